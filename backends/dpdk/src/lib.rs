//! whohas on DPDK: every queue knows every neighbour.
//!
//! A card spreads TCP over its queues and puts ARP on one of them. Here each queue has a stack of its
//! own and a [`Reader`](whohas::resolver::shared::Reader) of one shared resolver, so it does not matter
//! which queue hears an answer, and however many want a neighbour, one asks.
//!
//! | type | what it is for |
//! |---|---|
//! | [`EalOptions`], [`Eal`] | starts DPDK, once in a process |
//! | [`PortOptions`], [`Port`] | a card or a virtual device, opened with its queues |
//! | [`Queue`] | one queue as a driver, for one thread |
//! | [`run`] | a thread for each queue, and the loop that it runs: [`run_to_completion`] |
//! | [`steering`] | which queue a flow belongs to |
//! | [`Cable`] | a port without a card, for tests: you say which frame arrives on which queue |
//! | [`Pool`], [`Mbuf`], [`Burst`] | frames in DPDK's memory, for programs that do without a stack |
//!
//! # How the parts meet
//!
//! On each queue's thread: [`Queue`] under [`InPlace`](whohas::link::InPlace) under
//! `whohas::net::Net`, as the example of [`run`] shows it. Frames are read where the card has put
//! them and written where it takes them from.
//!
//! - **ARP** may land on any queue: whichever it is gives it to the resolver. [`Port::steer_arp`] has a
//!   card put it on one queue, where it can; nothing depends on it.
//! - **Listening** sockets are opened on every queue. A connection lives on the queue on which its SYN has
//!   arrived, and its packets arrive there too, as the card spreads by what does not change.
//! - **Dialling** is from a port to which the answers come back: `net` asks the queue for each port that
//!   would do. Where the card tells the key and the table by which it spreads (RSS), that is by its own
//!   hash, and nothing has to be moved. Where it does not, the queue on which an answer arrives hands it to
//!   the queue whose it is. Both is [`steering`]'s, and a queue hands over by it on every port, so a card
//!   that does other than it has said costs time and no connection.
//! - **Datagrams** to a port that the stack has chosen go by that port to one queue. A socket that is
//!   bound to a port below 49,152 hears what arrives on its own queue: bind it on all of them.
//!
//! For a stack of another make on each queue, smoltcp's for instance, put
//! [`Transparent`](whohas::link::Transparent) between: its requests are answered from the shared resolver.
//! It chooses its local ports itself: take them from [`Steering::port_for`](steering::Steering::port_for).
//!
//! A server whose clients all come through one gateway meets a cold one with many handshakes at once:
//! a link keeps three packets for each neighbour that is asked for. More of them come a second later,
//! with TCP's next try, unless it [keeps more](whohas::link::Link::set_parked_per_neighbour).
//!
//! # Which ports do what
//!
//! As DPDK 22.11 has them; `cargo xtask test dpdk` prints what each says of itself.
//!
//! | port | queues | whose queue an answer to TCP arrives on | left to the port | link | to know |
//! |---|---|---|---|---|---|
//! | a card that tells its key and table | its own | the one that asked | checksums, ARP to one queue, if it can | as it is | not tried |
//! | a card that does not, or that spreads TCP by addresses alone | its own | any: handed over | as above | as it is | not tried |
//! | `net_af_packet` | `qpairs` | any: handed over | nothing | always up | what is lost after it was taken is in [`PortStats::tx_errors`] alone |
//! | `net_tap` | up to 16 | any: handed over | checksums | always up | the kernel's end gets the port's own MAC address: give it another |
//! | `net_ring`, [`Cable`] | as made | the one that you say: handed over | nothing | always up | has no MAC address: [`PortOptions::mac`] |
//! | `net_memif` | up to 255 | any: handed over | nothing | down without a peer | traffic not tried |
//! | `net_pcap` | 1 | - | nothing | always up | its MAC address is not the interface's: [`PortOptions::mac`] |
//! | `net_af_xdp` on veth | 1 | - | nothing | always up | wants more frames: [`PortOptions::frames`] with 4,095, or it does not open |
//! | `net_null` | up to 1,024 | - | nothing | always up | takes a key and a table, and makes no use of them |
//!
//! # What is bounded, and what happens at the bound
//!
//! | what | bound | at the bound |
//! |---|---|---|
//! | received frames not fetched | the card's descriptors, [`PortOptions::descriptors`] | the newest are lost, [`PortStats::rx_missed`] |
//! | frames of other queues | [`PortOptions::inbox`] | lost, [`QueueCounters::lost_over`] |
//! | frames to be sent | a burst, and the card's descriptors | no token before there is room, [`QueueCounters::postponed`] |
//! | frames in all | the pool, [`PortOptions::frames`] | no token before one comes back, [`QueueCounters::no_frame`] |
//! | a frame to be sent | the MTU | not sent, [`QueueCounters::too_long`] |
//! | a received frame | one buffer; what comes in pieces is joined where it fits | not received, [`QueueCounters::refused`] |
//!
//! # A real card
//!
//! Bind it to `vfio-pci` (`dpdk-devbind.py`), set huge pages aside, start with [`EalOptions::new`] and
//! your arguments (`-l 0-4 -a 0000:01:00.0`), open the port by its address, and give the threads cores of
//! their own ([`run::Cores`]) and no sleep ([`run::Idle::Spin`]). [`Port::info`] tells what the card can,
//! [`Port::steering`] by whom flows are spread.
//!
//! **Not tried**, as there was none here: a real card, with its hash, its checksums and its rules; more
//! than two cores; more than one NUMA node; huge pages. What stands in for them: Microsoft's vectors for
//! the hash, a device of the kernel's that takes over checksums (`net_tap`), and ports made of rings on
//! which any frame arrives on any queue.
//!
//! # Unsafe code
//!
//! All of it is in one module, `sys`, with `shim/shim.c` for what DPDK has in its headers only. Frames
//! have one owner; pools wait for their frames, and DPDK for its pools. The tests run it under valgrind.

#![deny(unsafe_code)]
#![warn(clippy::undocumented_unsafe_blocks)]
#![warn(unreachable_pub)]

mod bursts;
mod cable;
mod eal;
mod handover;
mod port;
mod queue;
pub mod run;
pub mod steering;
// The one place where memory and calls are not the compiler's to check.
#[allow(unsafe_code)]
mod sys;

pub use cable::{Cable, NotDelivered};
pub use eal::EalOptions;
pub use handover::QueueCounters;
pub use port::{ArpRule, OpenError, Port, PortOptions};
pub use queue::{Queue, Received, Room};
pub use run::{
    Cores, Idle, Lcore, LoopClock, Pace, RunOptions, Stop, SystemClock, run_to_completion,
};
pub use sys::Failure;
pub use sys::device::{LinkStatus, PortInfo, PortStats};
pub use sys::eal::{Eal, EalError};
pub use sys::mbuf::{BURST, Burst, Mbuf, Sum, Summed};
pub use sys::pool::Pool;
pub use sys::thread::Registered;
