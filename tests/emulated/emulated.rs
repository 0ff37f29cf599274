//! The application as machine code of a Cortex-M33, on an emulated board whose cable ends in a network
//! namespace of the test's: there are a DHCP and DNS server, a broker and a collector, all real.
#![cfg(target_os = "linux")]

mod device;
mod figures;

use whohas_lab::{self as support, wire_test};
