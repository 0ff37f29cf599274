//! The application on the real driver and the simulated chip: its broker and its collector at one
//! address, which it gets by DHCP like its own, and everything that goes wrong between them.

mod claims;
mod failures;
mod faults;
mod whole;
