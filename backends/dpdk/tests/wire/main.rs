//! Ports of DPDK with the Linux kernel at the other end of the cable.
//!
//! Every test is a process in a network namespace of its own. Lines that begin with `note: ` tell what
//! was seen, beside what has to be.

mod host;
mod kernel_dials;
mod peer;
mod ports;
mod programs;
mod queue_zero;
mod servers;
mod sniffer;
mod stops;
mod veth;
mod we_dial;

use whohas_lab as support;
