//! Neighbours for everybody who needs them: the [`Resolver`] and [`Hold`] traits, the resolver for one
//! executor or one chip, [`LocalResolver`], and the one for the queues of a server, `shared` (feature
//! `std`).
//!
//! A hold is an RAII guard: as long as it lives its neighbour is asked for, kept fresh and never
//! evicted; dropped, it gives back exactly its own claim and nobody else's.

mod driven;
mod local;
#[cfg(feature = "std")]
pub mod shared;
mod wakers;

use core::future::{Future, poll_fn};
use core::task::{Context, Poll};

pub use driven::{Busy, Driven};
pub use local::{LocalHold, LocalResolver};

use crate::cache::{HoldError, Key, Status};
use crate::time::Instant;
use crate::wire::UnicastMac;

/// Gives out holds on neighbours.
///
/// Code that talks to neighbours is generic over this, and so runs on a chip and on a server:
///
/// ```
/// use whohas::resolver::{Hold, ResolveError, Resolver};
/// use whohas::{HoldError, Key, UnicastMac};
///
/// async fn dial<R: Resolver>(resolver: R, peer: Key) -> Result<UnicastMac, DialError> {
///     let hold = resolver.hold(peer)?;
///     // ... keep `hold` for as long as the connection lives
///     Ok(hold.resolved().await?)
/// }
/// # fn example(neighbours: &'static whohas::LocalResolver, peer: Key) {
/// let dialling = dial(neighbours, peer); // a resolver is a reference: cheap to hand on
/// # drop(dialling);
/// # }
/// # enum DialError { Hold(HoldError), Resolve(ResolveError) }
/// # impl From<HoldError> for DialError { fn from(e: HoldError) -> Self { Self::Hold(e) } }
/// # impl From<ResolveError> for DialError { fn from(e: ResolveError) -> Self { Self::Resolve(e) } }
/// ```
pub trait Resolver {
    /// A claim on one neighbour, given back when it is dropped.
    type Hold: Hold;

    /// Claims a neighbour: joins its entry or its query, or starts one. Never blocks.
    fn hold(&self, key: impl Into<Key>) -> Result<Self::Hold, HoldError>;

    /// The address of a neighbour, if one is known. No query, no count.
    fn lookup(&self, key: impl Into<Key>) -> Option<UnicastMac>;
}

/// A counted claim on one neighbour. Dropping it gives it back.
pub trait Hold {
    /// The neighbour.
    fn key(&self) -> Key;

    /// How it stands with the neighbour now.
    fn status(&self) -> Status;

    /// The layers above have heard from the neighbour: no need to ask it whether it is there.
    fn confirm(&self, now: Instant);

    /// The outcome, or `Pending` and a wake-up when there is one: for those who poll by hand.
    fn poll_resolved(&self, context: &mut Context<'_>) -> Poll<Result<UnicastMac, ResolveError>>;

    /// The neighbour's address now. It follows the neighbour: ask again for every packet.
    fn mac(&self) -> Option<UnicastMac> {
        match self.status() {
            Status::Resolved(mac) => Some(mac),
            Status::Gone | Status::Pending | Status::Unreachable => None,
        }
    }

    /// The neighbour's address as soon as it is known.
    ///
    /// Cancel-safe: dropping the future loses nothing, and the hold stays what it was. On an error
    /// the hold stays too: an unreachable neighbour is asked for again, ever less often, as long as
    /// somebody holds it. Until it is back every call says so at once, so wait a while in between.
    ///
    /// Whether the future can be sent to another thread depends on the hold: that of a
    /// [`LocalResolver`] can.
    fn resolved(&self) -> impl Future<Output = Result<UnicastMac, ResolveError>> {
        poll_fn(|context| self.poll_resolved(context))
    }
}

/// Why a neighbour was not resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ResolveError {
    /// The entry was removed under the hold (flush, own address changed, denied). Take a new hold.
    #[error("the entry was removed: take a new hold")]
    Aborted,
    /// The hold was given out while the cache was busy, and the cache would not have it.
    #[error("the hold was refused: {0}")]
    Refused(HoldError),
    /// Nobody answered.
    #[error("the neighbour does not answer")]
    Unreachable,
}
