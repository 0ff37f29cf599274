//! A LAN in virtual time: hosts, faults and attackers, all replayed by one seed.
//!
//! For tests of code that speaks Ethernet, ours and yours. A [`Lan`] is a switch with any number of
//! ports. Behind a port there is a built-in [`Host`], a [`Station`] of your own that the LAN drives,
//! or nothing but your calls to [`Lan::send`] and [`Lan::receive`]. Every direction of every cable
//! is a [`Link`] with faults of its own, a [`FrameLog`] remembers what was put on the wire, and time
//! is what the LAN says it is: no clock is read and nothing sleeps.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use core::time::Duration;
//! use whohas::UnicastMac;
//! use whohas::sim::{Host, Lan};
//! use whohas::wire::{ARP_FRAME_LEN, ArpPacket, MacAddr};
//!
//! let [us, printer] = [1, 2].map(|n| UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap());
//! let [our_ip, printer_ip, nas_ip] = [1, 2, 3].map(|n| Ipv4Addr::new(10, 0, 0, n));
//!
//! let mut lan = Lan::new(42);
//! let port = lan.add_port(us);
//! lan.add_host(Host::new(printer_ip, printer).answers_after(Duration::from_millis(1)));
//! lan.add_host(Host::new(nas_ip, UnicastMac::new([2, 0, 0, 0, 0, 3])?).dead());
//!
//! let mut frame = [0; ARP_FRAME_LEN];
//! let request = ArpPacket::request(us, our_ip, printer_ip);
//! request.emit_frame(MacAddr::BROADCAST, None, &mut frame)?;
//! lan.send(port, &frame);
//! lan.advance_to(lan.now() + Duration::from_millis(1));
//!
//! assert!(lan.receive(port).is_some_and(|reply| reply[6..12] == printer.octets()));
//! assert_eq!(lan.log().requests_for(printer_ip), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `link`, `SharedLan` makes ports into drivers of `embassy-net-driver` and runs
//! futures in the LAN's time.
//!
//! # What it is not
//!
//! The switch has infinite speed and learns nothing: it knows which station is where, and floods
//! what is for a group or for nobody. It carries 802.1Q tags and does not look at them; which VLAN a
//! frame belongs to is for the stations to see, as on a trunk port. Built-in hosts speak ARP only.
//!
//! # Bounds
//!
//! | What | How much | Past it |
//! |---|---|---|
//! | frames in flight | [`MAX_EVENTS`] | dropped, [`LinkStats::overrun`] |
//! | frames that wait for [`Lan::receive`], per port | [`INBOX_FRAMES`] | dropped, [`LinkStats::overrun`] |
//! | frames in the log | [`LOG_FRAMES`] or as [set](Lan::with_log_bound) | oldest dropped, [`FrameLog::dropped`] |
//! | what one [`Station`] does at one instant | [`MAX_STEPS`] | panic that names it |

mod claim;
// Tasks are woken through counted pointers, which take an atomic exchange.
#[cfg(all(feature = "link", target_has_atomic = "ptr"))]
mod driver;
mod events;
mod host;
mod lan;
mod link;
mod log;
pub mod pcapng;
mod resident;
mod resolver;
mod rng;
mod station;
mod switch;

#[cfg(all(feature = "link", target_has_atomic = "ptr"))]
pub use driver::{Frame, LanClock, LanDraft, LanDriver, Outlet, SharedLan};
pub use events::MAX_EVENTS;
pub use host::{Flood, Host};
pub use lan::{INBOX_FRAMES, Lan, PortId};
pub use link::{Link, LinkStats};
pub use log::{FrameLog, LOG_FRAMES, LoggedFrame};
pub use rng::Rng;
pub use station::{MAX_STEPS, Station};

use crate::wire::{ArpPacket, EtherType, EthernetFrame, EthernetHeader, HardwareTypes};

/// The ARP packet in a frame, if that is what the frame carries.
fn arp_in(frame: &[u8]) -> Option<(EthernetHeader, ArpPacket)> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ethertype != EtherType::ARP {
        return None;
    }
    let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()?;
    Some((frame.header, packet))
}
