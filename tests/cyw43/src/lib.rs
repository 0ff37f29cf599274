//! The real `cyw43` driver on the host: a simulated CYW43439 below it, an access point on the simulated
//! LAN or the kernel's interfaces around it, and any stack above it.
//!
//! Everything happens in the virtual time of the LAN, one seed replays it, and faults are data
//! ([`Faults`]). [`Lab`] is all of it put together:
//!
//! ```
//! use core::net::SocketAddrV4;
//! use core::time::Duration;
//! use whohas_cyw43_tests::{Faults, Lab};
//! use whohas_stacks::{PORT, ip};
//!
//! let mut lab = Lab::new(42);
//! lab.echo_at(2);
//! let us = lab.join(); // the chip, the driver, the network, and `net` above it
//! let connection = lab.world.run(us.net.dial(SocketAddrV4::new(ip(2), PORT)));
//! assert!(connection.is_ok());
//!
//! lab.air.set_faults(Faults::default().link_loss(lab.world.now(), Duration::from_secs(60)));
//! lab.world.run_for(Duration::from_secs(24 * 3_600)); // takes a moment
//! assert!(lab.air.is_associated());
//! ```
//!
//! [`story`] has an application on it, and the servers of that.
//!
//! # What it is not
//!
//! Nothing but the wire between driver and chip is simulated to the bit, as far as the driver looks at
//! it. There is no radio: no rates, no retries, no scan results, no access point mode, no Bluetooth, no
//! interrupt but that a packet waits. WPA2 and WPA3 are a comparison of passphrases.

pub mod air;
pub mod bridge;
pub mod chip;
pub mod host;
mod lab;
pub mod story;
pub mod wifi;

pub use air::{AccessPoint, Air, Counters, Faults};
pub use chip::Chip;
pub use host::Host;
pub use lab::Lab;
