//! The application in virtual time: our stack on one host of a simulated LAN, a broker and a collector
//! on another, which do what real ones do when they are in trouble.

mod lab;
mod properties;
mod session;
#[cfg(feature = "defmt")]
mod silent;
mod telemetry;
mod time;
mod whole;
#[allow(dead_code)]
#[path = "../../../../../tests/net/world.rs"]
mod world;
