//! What Fuchsia's netstack3 asserts of its neighbour machine, NS-01 to NS-35: the arrows as one
//! matrix of start, stimulus and profile (`matrix`), the rows about time and tables (`entries`), and
//! those about frames (`frames`).
//!
//! netstack3 speaks of ARP in the words of neighbour discovery: a peer's *probe* is a request that
//! it sends us, a *confirmation* is a reply, *solicited* if it was sent to us alone, with *override*
//! unless it comes within the lock time. Its packets wait in the neighbour; ours wait in `link`, so
//! where a row speaks of a queued packet, here it is the holder that waits.
//!
//! | row | where it is, if not here |
//! |---|---|
//! | NS-12 | parked packets and which of them is dropped: `link` |
//! | NS-14 | here for the holders; the order of the packets: `link` |
//! | NS-15 | here for the holders; one ICMP error for each packet: `link` |
//! | NS-34 | here for the frame; when it is sent: `conflict` |

mod entries;
mod frames;
mod matrix;

use whohas::Policy;
use whohas::cache::{EntryState, HoldKey};

use crate::support::{Rig, ip, mac};

/// The neighbour under test, and the station that it is at as far as we know.
pub const PEER: u8 = 2;
pub const OLD: u8 = 2;
/// Another station that says it is the neighbour.
pub const NEW: u8 = 99;

/// Where a cell of the matrix starts. As with netstack3 nobody holds the entry, unless there would
/// be none otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Held, asked for once.
    Incomplete,
    Reachable,
    Stale,
    Delay,
    /// Unicast phase, asked once.
    Probe,
    /// netstack3's Unreachable, except that it keeps the old address. Held.
    Failed,
    Static,
    /// Reachable, and held.
    Held,
}

impl Start {
    pub const ALL: [Self; 8] = [
        Self::Incomplete,
        Self::Reachable,
        Self::Stale,
        Self::Delay,
        Self::Probe,
        Self::Failed,
        Self::Static,
        Self::Held,
    ];
}

/// Brings the neighbour into a state, long enough ago that neither the lock time nor the time
/// between two requests plays a part. Gives the hold, where there is one.
#[track_caller]
pub fn reach(rig: &mut Rig, start: Start, policy: &Policy) -> Option<HoldKey> {
    let settled = policy.lock_time.max(policy.retransmit);
    let hold = match start {
        Start::Incomplete => Some(rig.hold(ip(PEER)).expect("a free slot")),
        Start::Reachable => {
            let hold = rig.resolve(PEER);
            rig.release(hold);
            rig.run_for(settled);
            None
        }
        Start::Held => {
            let hold = rig.resolve(PEER);
            rig.run_for(settled);
            Some(hold)
        }
        Start::Stale => {
            reach(rig, Start::Reachable, policy);
            rig.run_for(policy.reachable_time);
            None
        }
        Start::Delay => {
            reach(rig, Start::Stale, policy);
            assert_eq!(rig.touch(ip(PEER)), Some(mac(OLD)));
            rig.run_for(settled);
            None
        }
        Start::Probe => {
            reach(rig, Start::Delay, policy);
            rig.run_for(policy.delay_first_probe - settled);
            None
        }
        Start::Failed => {
            let hold = rig.hold(ip(PEER)).expect("a free slot");
            rig.run_for(policy.retransmit * u32::from(policy.requests.get()));
            Some(hold)
        }
        Start::Static => {
            rig.insert_static(ip(PEER), mac(OLD));
            None
        }
    };
    let reached = match start {
        Start::Incomplete => EntryState::Incomplete,
        Start::Reachable | Start::Held => EntryState::Reachable,
        Start::Stale => EntryState::Stale,
        Start::Delay => EntryState::Delay,
        Start::Probe => EntryState::Probe,
        Start::Failed => EntryState::Failed,
        Start::Static => EntryState::Static,
    };
    assert_eq!(rig.state(ip(PEER)), Some(reached), "reaching {start:?}");
    rig.sent.clear();
    rig.events.clear();
    hold
}
