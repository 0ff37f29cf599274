//! The stack over a real link: the Linux kernel and real programs at the other end of a cable, in
//! network namespaces that the tests make themselves.
#![cfg(target_os = "linux")]

mod cold;
mod datagrams;
mod dhcp;
mod hostile;
mod kernel;
mod lies;
mod names;
mod same;
mod story;
mod tcp;
mod us;

use whohas_lab::{self as support, wire_test};

// Frames that broke others.
#[allow(dead_code)]
#[path = "../cases/corpus.rs"]
mod corpus;
