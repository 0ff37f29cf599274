//! How many instructions of a Cortex-M33 it takes to look a neighbour up, to deal with an ARP frame, to
//! send and to receive a packet. Prints a JSON object per figure.
//!
//! For an emulator that lets every instruction take 64 ns (`-icount shift=6`): then the board's timer
//! counts them. Whether it does is seen first. All frames are in memory: drivers and what they drive are
//! not counted. With the feature `smoltcp` it is smoltcp that is measured.

#![no_std]
#![no_main]

mod count;
mod frames;
mod memory;
#[cfg(not(feature = "smoltcp"))]
mod ours;
#[cfg(feature = "smoltcp")]
#[path = "smoltcp.rs"]
mod peer;

use cortex_m_rt::entry;
use whohas_emulated::{program, time};

#[entry]
fn main() -> ! {
    time::start();
    count::check();
    #[cfg(not(feature = "smoltcp"))]
    ours::measure();
    #[cfg(feature = "smoltcp")]
    peer::measure();
    program::succeed();
}
