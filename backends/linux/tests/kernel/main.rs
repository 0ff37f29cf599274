//! The Linux kernel as the peer: in a namespace, at the other end of a cable.

use whohas_lab::{self as support, wire_test};

#[cfg(feature = "tokio")]
mod example;
mod hostile;
mod neighbours;
mod queues;
mod raw;
mod ring;
mod segments;
#[cfg(feature = "tokio")]
mod stack;
mod tap;
mod wake;
