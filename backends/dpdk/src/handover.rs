//! What the queues of a port share: who is there, what each has counted, and the way from one to another
//! for frames that arrived at the wrong one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::CachePadded;

use crate::steering::Steering;
use crate::sys::device::Started;
use crate::sys::mbuf::Mbuf;

/// How often the state of the link is asked for.
const LINK_INTERVAL: Duration = Duration::from_millis(100);

/// All queues of a port.
pub(crate) struct Fabric {
    seats: Box<[CachePadded<Seat>]>,
    steering: Steering,
    /// Frames are looked at for whose they are.
    hands_over: bool,
    /// The card has to do with the checksums of TCP and UDP, and the stack has not.
    offloads_sums: bool,
    link: LinkWatch,
}

/// One queue, as the others see it.
struct Seat {
    inbox: ArrayQueue<Mbuf>,
    gone: AtomicBool,
    tally: Tally,
}

/// What became of a frame that was another queue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    /// It has it.
    Over,
    /// It has left as much undone as fits, or it is gone: the frame is lost.
    Lost,
}

impl Fabric {
    pub(crate) fn new(
        queues: u16,
        inbox: usize,
        steering: Steering,
        (hands_over, offloads_sums): (bool, bool),
    ) -> Self {
        let seat = |_| {
            CachePadded::new(Seat {
                inbox: ArrayQueue::new(inbox.max(1)),
                gone: AtomicBool::new(false),
                tally: Tally::default(),
            })
        };
        Self {
            seats: (0..queues).map(seat).collect(),
            steering,
            hands_over,
            offloads_sums,
            link: LinkWatch::new(),
        }
    }

    pub(crate) fn steering(&self) -> &Steering {
        &self.steering
    }

    pub(crate) fn hands_over(&self) -> bool {
        self.hands_over
    }

    pub(crate) fn offloads_sums(&self) -> bool {
        self.offloads_sums
    }

    pub(crate) fn link(&self) -> &LinkWatch {
        &self.link
    }

    pub(crate) fn tally(&self, queue: u16) -> &Tally {
        &self.seats[usize::from(queue)].tally
    }

    /// What each queue has counted.
    pub(crate) fn counters(&self) -> Vec<QueueCounters> {
        self.seats.iter().map(|seat| seat.tally.read()).collect()
    }

    /// Gives a frame to the queue whose it is.
    pub(crate) fn hand_over(&self, queue: u16, frame: Mbuf) -> Handed {
        match self.seats.get(usize::from(queue)) {
            Some(seat) if !seat.gone.load(Ordering::Acquire) => match seat.inbox.push(frame) {
                Ok(()) => Handed::Over,
                Err(_) => Handed::Lost,
            },
            Some(_) | None => Handed::Lost,
        }
    }

    /// The next frame that others have left for this queue.
    pub(crate) fn fetch(&self, queue: u16) -> Option<Mbuf> {
        self.seats[usize::from(queue)].inbox.pop()
    }

    /// The queue is no more: nobody shall leave anything to it, and what is there goes back.
    pub(crate) fn leave(&self, queue: u16) {
        self.seats[usize::from(queue)]
            .gone
            .store(true, Ordering::Release);
        // What comes in just now goes with the fabric itself.
        while self.fetch(queue).is_some() {}
    }
}

/// The state of a port's link, asked for a few times in a second by whichever queue comes by.
pub(crate) struct LinkWatch {
    up: AtomicBool,
    /// When it was asked for last.
    asked: Mutex<Option<Instant>>,
}

impl LinkWatch {
    fn new() -> Self {
        Self {
            up: AtomicBool::new(false),
            asked: Mutex::new(None),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    /// Asks, if it is time and nobody else does just now.
    pub(crate) fn refresh(&self, port: &Started) {
        let Ok(mut asked) = self.asked.try_lock() else {
            return;
        };
        let now = Instant::now();
        if asked.is_some_and(|asked| now - asked < LINK_INTERVAL) {
            return;
        }
        *asked = Some(now);
        // A driver that cannot tell leaves it as it was.
        if let Ok(link) = port.link() {
            self.up.store(link.up, Ordering::Relaxed);
        }
    }
}

/// Makes the words that one queue counts in, and the numbers that everybody reads, from one list.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a queue has counted.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct QueueCounters {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Counted by one queue, read by anybody.
        #[derive(Debug, Default)]
        pub(crate) struct Tally {
            $(pub(crate) $name: Count,)*
        }

        impl Tally {
            pub(crate) fn read(&self) -> QueueCounters {
                QueueCounters {
                    $($name: self.$name.read(),)*
                }
            }
        }

        impl QueueCounters {
            /// The counters by their names, for those who print them all.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Frames that the card has put on this queue.
    received,
    /// Frames of these that went to the stack.
    kept,
    /// Frames of these that went to the queue whose they were.
    handed_over,
    /// Frames of these that the queue whose they were had no room for, or that was gone.
    lost_over,
    /// Frames of these whose checksum was wrong, where these are the card's to look at.
    bad_sum,
    /// Frames in pieces that did not fit into one, or that were not the port's alone. They are not among
    /// the received.
    refused,
    /// Frames that other queues have handed to this one.
    taken_over,
    /// Frames given to the card. Not all of them may have left: see
    /// [`PortStats::tx_errors`](crate::PortStats::tx_errors).
    sent,
    /// Times that the card had no room for all that was to be sent: it stays, and nothing is lost.
    postponed,
    /// Times that the pool had no frame to write to.
    no_frame,
    /// Frames that were longer than the port takes, and were not sent.
    too_long,
}

/// A number that one thread counts up.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        if more > 0 {
            // One thread writes, so nothing comes in between.
            let sum = self.0.load(Ordering::Relaxed).wrapping_add(more);
            self.0.store(sum, Ordering::Relaxed);
        }
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
