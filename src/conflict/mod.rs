//! Is this address free, and does it stay ours? RFC 5227, address conflict detection.
//!
//! [`Detector`] is the whole of it for an address that this host wants to use: probe, announce,
//! defend, give up. [`QuickProbe`] is the short question that a DHCP server asks before it offers an
//! address to somebody else. Neither sends, reads a clock or draws a random number: packets and
//! times go in, packets, events and deadlines come out.
//!
//! Neither answers requests, either. That is the cache's work, and `Detector::is_usable` is all it
//! has to know: not usable, no answer, and no request that carries the address as its sender; usable,
//! and every request for it is answered, other hosts' probes above all. Answers that carry a
//! link-local address (169.254/16) are broadcast (RFC 3927 section 2.5), as all packets from here are.
//! Side by side, give the cache its address at [`Event::Usable`] and a policy without
//! `announcements`: the detector has made them.
//!
//! ```
//! use core::net::Ipv4Addr;
//! use whohas::conflict::{Defence, Detector, Event, Timing};
//! use whohas::{Instant, UnicastMac};
//!
//! let mac = UnicastMac::new([2, 0, 0, 0, 0, 1])?;
//! let ip = Ipv4Addr::new(10, 0, 0, 7);
//! let mut random = || 0x8000_0000; // yours is better
//! let mut detector = Detector::new(mac, ip, Timing::RFC5227, Defence::OncePerInterval)?;
//! detector.start(Instant::ZERO, random());
//!
//! let mut frames = 0;
//! while let Some(now) = detector.poll_timeout() {
//!     // Sleep until `now`; meanwhile `detector.receive(..)` for every ARP packet.
//!     detector.handle_timeout(now);
//!     while let Some(transmit) = detector.poll_transmit() {
//!         frames += 1; // transmit.packet.emit_frame(transmit.destination, None, &mut buffer)?
//!         detector.sent(now, random()); // or `refused`, if the driver had no room
//!     }
//!     if let Some(event) = detector.poll_event() {
//!         assert_eq!(event, Event::Usable);
//!         assert_eq!(now, Instant::from_millis(500 + 2 * 1_500 + 2_000));
//!     }
//! }
//! assert!(detector.is_usable());
//! assert_eq!(frames, 3 + 2); // probes and announcements
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod candidate;
mod detector;
mod quick;
#[cfg(test)]
mod tests;
mod timing;

pub use candidate::{Ignored, NotClaimable, Outgoing};
pub use detector::{Defence, Detector, DetectorStats, Event, State};
pub use quick::{QuickProbe, QuickTiming, Verdict};
pub use timing::Timing;
