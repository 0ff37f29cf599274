//! Which queue of a port a flow belongs to, for cards that say how they spread flows and for ports that
//! do not.
//!
//! Who opens a flow on one queue needs the answers on that queue. So every queue goes by the same rule,
//! which is a function of a frame and of nothing else:
//!
//! - TCP to one of our [ephemeral ports](EPHEMERAL_PORTS) belongs to the queue that the hash of its
//!   addresses and ports leads to;
//! - UDP to one of them belongs to a queue by that port alone: one socket hears many peers;
//! - everything else belongs to the queue on which it arrives: servers listen on all of them, and
//!   fragments, ICMP and ARP are nobody's.
//!
//! With the hash and the table of the card itself, TCP arrives where it belongs. Otherwise whoever
//! receives a frame that belongs to another queue has to hand it over, as with datagrams on every port.
//! Either way a stack dials from ports that lead back to it.
//!
//! Nothing here sends or receives; what it costs is on [`Steering::owner_of_frame`].

mod frame;
mod toeplitz;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;

use whohas::link::{EPHEMERAL_PORTS, Flow};
use whohas::wire::IpProtocol;

pub use toeplitz::{DEFAULT_KEY, KeyTooShort, SYMMETRIC_KEY, Toeplitz};

/// Which queue a flow belongs to.
///
/// ```
/// use std::net::SocketAddrV4;
///
/// use whohas::link::Flow;
/// use whohas::wire::IpProtocol;
/// use whohas_dpdk::steering::Steering;
///
/// let steering = Steering::by_software(4)?;
/// let here = "192.0.2.1".parse()?;
/// let there = "198.51.100.7:443".parse()?;
///
/// // Queue 2 dials from the first port, beginning with 50,000, to which the answers come back.
/// let port = steering.port_for(2, here, there, 50_000).ok_or("none is left")?;
/// let answers = Flow {
///     protocol: IpProtocol::TCP,
///     local: SocketAddrV4::new(here, port),
///     remote: Some(there),
/// };
/// assert_eq!(steering.queue_of(&answers), Some(2));
///
/// // What comes for a server belongs to whichever queue it comes to.
/// let local = SocketAddrV4::new(here, 80);
/// assert_eq!(steering.queue_of(&Flow { local, ..answers }), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Steering {
    hash: Toeplitz,
    /// A queue for each value of the hash's lowest bits: a power of two of them.
    table: Box<[u16]>,
    queues: NonZeroU16,
    by_ports: bool,
    is_predicted: bool,
}

impl Steering {
    /// How many queues [`by_software`](Self::by_software) can steer to: as many as its table has entries.
    pub const MAX_QUEUES: u16 = 512;

    /// What a card does with so many queues, as read from it: its key, its table, and whether it hashes
    /// the ports of TCP beside the addresses.
    ///
    /// Without the ports, all that one peer sends to one address of ours is one queue's, and no other
    /// queue can dial that peer: [`port_for`](Self::port_for) finds nothing. Where each queue has to
    /// reach everybody, steer such a card by software.
    pub fn of_card(
        key: &[u8],
        table: &[u16],
        queues: u16,
        by_ports: bool,
    ) -> Result<Self, SteeringError> {
        let hash = Toeplitz::new(key)?;
        let count = NonZeroU16::new(queues).ok_or(SteeringError::NoQueues)?;
        let entries = table.len();
        if !entries.is_power_of_two() {
            return Err(SteeringError::TableLen(entries));
        }
        if usize::from(queues) > entries {
            return Err(SteeringError::TooManyQueues { queues, entries });
        }
        if let Some(entry) = table.iter().position(|&queue| queue >= queues) {
            let queue = table[entry];
            return Err(SteeringError::NoSuchQueue {
                entry,
                queue,
                queues,
            });
        }
        if let Some(queue) = (0..queues).find(|queue| !table.contains(queue)) {
            return Err(SteeringError::Unreached(queue));
        }
        Ok(Self {
            hash,
            table: table.into(),
            queues: count,
            by_ports,
            is_predicted: true,
        })
    }

    /// A rule of our own for so many queues of a port that does not tell its own: evenly, by addresses
    /// and ports.
    pub fn by_software(queues: u16) -> Result<Self, SteeringError> {
        let count = NonZeroU16::new(queues).ok_or(SteeringError::NoQueues)?;
        let table: Vec<_> = (0..Self::MAX_QUEUES).map(|entry| entry % count).collect();
        Ok(Self {
            is_predicted: false,
            ..Self::of_card(&DEFAULT_KEY, &table, queues, true)?
        })
    }

    /// How many queues there are.
    pub fn queues(&self) -> u16 {
        self.queues.get()
    }

    /// Whether it is the card itself that does this, so that TCP arrives where it belongs and only
    /// datagrams may have to be handed over.
    pub fn is_predicted(&self) -> bool {
        self.is_predicted
    }

    /// The queue that a flow belongs to, or `None` if it belongs to whoever receives it. That includes
    /// TCP flows which leave an address open: they are not one queue's.
    #[inline]
    pub fn queue_of(&self, flow: &Flow) -> Option<u16> {
        let &Flow {
            protocol,
            local,
            remote,
        } = flow;
        if !EPHEMERAL_PORTS.contains(&local.port()) {
            return None;
        }
        match protocol {
            IpProtocol::TCP if !local.ip().is_unspecified() => {
                Some(self.queue_of_tcp(local, remote?))
            }
            IpProtocol::UDP => Some(local.port() % self.queues),
            _ => None,
        }
    }

    /// The queue that a received frame belongs to, or `None` if it belongs to whoever has it: there is
    /// no TCP or UDP to an ephemeral port of ours in it, or only a fragment or less.
    ///
    /// It takes about 2 ns to let a frame for a server pass, 3 ns for a datagram and 6 ns for TCP to an
    /// ephemeral port (one core of a server, everything in its caches).
    #[inline]
    pub fn owner_of_frame(&self, frame: &[u8]) -> Option<u16> {
        self.queue_of(&frame::flow_of(frame)?)
    }

    /// The first ephemeral port, from `start` on and round once, from which this queue can dial a TCP
    /// server: the answers come back to the queue. For programs that choose the ports of their stack;
    /// if the port is in use, ask again with the one after it as the start.
    pub fn port_for(
        &self,
        queue: u16,
        local: Ipv4Addr,
        remote: SocketAddrV4,
        start: u16,
    ) -> Option<u16> {
        let (first, last) = EPHEMERAL_PORTS.into_inner();
        let start = start.max(first);
        (start..=last)
            .chain(first..start)
            .find(|&port| self.queue_of_tcp(SocketAddrV4::new(local, port), remote) == queue)
    }

    #[inline]
    fn queue_of_tcp(&self, local: SocketAddrV4, remote: SocketAddrV4) -> u16 {
        let hash = match self.by_ports {
            true => self.hash.hash(remote, local),
            false => self.hash.hash_addresses(*remote.ip(), *local.ip()),
        };
        self.table[hash as usize & (self.table.len() - 1)]
    }
}

/// One line for people: who steers, by what, over how many queues, and what has to be handed over.
impl fmt::Display for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (who, what) = match self.is_predicted {
            true => ("the card", "only UDP that"),
            false => ("software", "what"),
        };
        let ports = if self.by_ports { " and ports" } else { "" };
        let (queues, entries) = (self.queues, self.table.len());
        let s = if queues.get() == 1 { "" } else { "s" };
        write!(
            f,
            "{who} steers TCP by addresses{ports} over {queues} queue{s} ({entries} entries); \
             {what} arrives elsewhere is handed over"
        )
    }
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Steering");
        all.field("queues", &self.queues)
            .field("entries", &self.table.len())
            .field("by_ports", &self.by_ports)
            .field("is_predicted", &self.is_predicted)
            .finish_non_exhaustive()
    }
}

/// Why flows cannot be steered like this. What a card says can be left aside:
/// [`Steering::by_software`] works on every port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SteeringError {
    /// The key is too short.
    #[error(transparent)]
    Key(#[from] KeyTooShort),
    /// There are no queues.
    #[error("a port without queues receives nothing: open at least one")]
    NoQueues,
    /// An entry of the table names a queue that is not there.
    #[error(
        "entry {entry} of the table names queue {queue}, but there are {queues}: open more or set the table"
    )]
    NoSuchQueue {
        /// Which entry.
        entry: usize,
        /// The queue that it names.
        queue: u16,
        /// How many there are.
        queues: u16,
    },
    /// The length of the table is none that the lowest bits of a hash can choose from; it may be zero.
    #[error("a table of {0} entries is none that a hash chooses from: a power of two is")]
    TableLen(usize),
    /// More queues than the table can name.
    #[error("{queues} queues are more than a table of {entries} entries can name: open fewer")]
    TooManyQueues {
        /// How many there are.
        queues: u16,
        /// How many entries the table has.
        entries: usize,
    },
    /// A queue that the table does not name: no answer would ever come to it.
    #[error("no entry of the table names queue {0}: set the table, or open fewer queues")]
    Unreached(u16),
}

#[cfg(test)]
mod tests;
