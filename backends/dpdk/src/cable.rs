//! Ports without a card: whoever has the other end says which frame arrives on which queue.
//!
//! For tests, deterministic and without anybody's rights:
//!
//! ```no_run
//! use whohas::UnicastMac;
//! use whohas_dpdk::{Cable, EalOptions, PortOptions};
//!
//! let eal = EalOptions::without_hardware(64).start()?;
//! let options = PortOptions::new().queues(2).mac(UnicastMac::new([2, 0, 0, 0, 0, 1])?);
//! let (port, queues, cable) = Cable::open(&eal, &options)?;
//! cable.deliver(1, &[0; 60])?; // an ARP answer on queue 1, perhaps
//! let sent: Option<Vec<u8>> = cable.sent(0);
//! # drop((port, queues, sent));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::sync::Arc;

use crate::port::{OpenError, Port, PortOptions};
use crate::queue::Queue;
use crate::sys::eal::Eal;
use crate::sys::mbuf::Burst;
use crate::sys::pool::Pool;
use crate::sys::ring::{self, Ring};

/// How many frames are on their way to a queue or from it, less one.
const DEPTH: u32 = 1024;

/// The other end of a port's cable.
pub struct Cable {
    to_port: Vec<Arc<Ring>>,
    from_port: Vec<Arc<Ring>>,
    /// After the rings: frames that are in them are of it, or the port's.
    pool: Pool,
    _port_pools: Vec<Pool>,
}

impl Cable {
    /// Makes a port with as many queues as the options say, and the other end of its cable.
    pub fn open(eal: &Eal, options: &PortOptions) -> Result<(Port, Vec<Queue>, Self), OpenError> {
        let queues = options.queue_count();
        let rings = || -> Result<Vec<_>, OpenError> {
            (0..queues).map(|_| Ok(Ring::new(eal, DEPTH)?)).collect()
        };
        let (to_port, from_port) = (rings()?, rings()?);
        let pool = Pool::new(eal, 2 * DEPTH - 1, 2048)?;
        let device = ring::device(eal, &to_port, &from_port)?;
        // Whichever end goes first, the other has frames that are of its pools.
        let (port, queues) = options.open_device(eal, device.keep_pool(&pool))?;
        let cable = Self {
            to_port,
            from_port,
            pool,
            _port_pools: port.pools().to_vec(),
        };
        Ok((port, queues, cable))
    }

    /// A port whose cable ends where it begins: what a queue sends arrives on the same queue.
    pub fn open_loop(eal: &Eal, options: &PortOptions) -> Result<(Port, Vec<Queue>), OpenError> {
        let rings = (0..options.queue_count()).map(|_| Ring::new(eal, DEPTH));
        let rings = rings.collect::<Result<Vec<_>, _>>()?;
        let device = ring::device(eal, &rings, &rings)?;
        options.open_device(eal, device)
    }

    /// A frame arrives on this queue.
    pub fn deliver(&self, queue: u16, frame: &[u8]) -> Result<(), NotDelivered> {
        let frame = self.pool.frame_of(frame).ok_or(NotDelivered)?;
        let ring = self.to_port.get(usize::from(queue)).ok_or(NotDelivered)?;
        ring.put(frame).map_err(|_| NotDelivered)
    }

    /// A frame arrives in so many pieces.
    pub fn deliver_in_pieces(&self, queue: u16, pieces: &[&[u8]]) -> Result<(), NotDelivered> {
        let mut frames = Burst::new();
        for piece in pieces {
            let frame = self.pool.frame_of(piece).ok_or(NotDelivered)?;
            frames.push(frame).map_err(|_| NotDelivered)?;
        }
        let ring = self.to_port.get(usize::from(queue)).ok_or(NotDelivered)?;
        ring.put_chain(frames).then_some(()).ok_or(NotDelivered)
    }

    /// The next frame that this queue has sent.
    pub fn sent(&self, queue: u16) -> Option<Vec<u8>> {
        let ring = self.from_port.get(usize::from(queue))?;
        ring.take().map(|frame| frame.to_vec())
    }

    /// Where the frames of this end come from.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// How many frames this end has: those on their way to the port, or with it.
    pub fn frames_in_use(&self) -> u32 {
        self.pool.in_use()
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable")
            .field("queues", &self.to_port.len())
            .field("frames_in_use", &self.frames_in_use())
            .finish_non_exhaustive()
    }
}

/// The queue has not fetched what came before, the frame is too long, or there is no such queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the frame does not arrive: the queue's ring is full, the frame too long, or no such queue"
)]
pub struct NotDelivered;
