//! The `whohas` command itself, with the Linux kernel as the peer.

use whohas_lab::{self as support, wire_test};

mod lab;

mod announce;
mod dhcpd;
mod options;
mod probe;
mod resolve;
mod scan;
mod watch;
