//! The application against a real broker and a real collector, on our stack over a real link, in
//! network namespaces that the tests make themselves.
#![cfg(target_os = "linux")]

mod device;
mod time;

#[cfg(feature = "defmt")]
#[path = "../sim/silent.rs"]
mod silent;
// Our stack.
#[allow(dead_code)]
#[path = "../../../../../tests/peers/us.rs"]
mod us;

use whohas_lab::{self as support, wire_test};
