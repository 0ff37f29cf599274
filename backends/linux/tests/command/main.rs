//! The `whohas` command itself, with the Linux kernel as the peer.

#[path = "../support/mod.rs"]
mod support;

mod lab;

mod announce;
mod options;
mod probe;
mod resolve;
mod scan;
mod watch;
