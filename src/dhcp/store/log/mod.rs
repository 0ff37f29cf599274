//! Records one after the other, as bytes that can be torn, cut and bent and still be read.
//!
//! A log begins with [`header`] and goes on with a [`frame`] for each change; the last one of an
//! address counts. [`Reader`] finds every whole frame again.
//!
//! # On the device
//!
//! A frame is a zero, the payload without zeros in it (consistent overhead byte stuffing), and another
//! zero. So nothing that is inside a frame, whoever chose it, can be taken for the beginning of one, and
//! a reader that has lost its way finds it at the next zero. That each frame brings both of its zeros
//! keeps its neighbours whole when one of them is hit, and makes it safe to append to a torn end.
//!
//! The payload is a byte that says what it is, the fields, and the CRC-32 of both:
//!
//! | what | fields |
//! |---|---|
//! | header | `whohas leases`, the version |
//! | free | address |
//! | leased, for ever | address, holder |
//! | leased | address, when it ends, holder |
//! | declined | address, when the quarantine ends, hardware address |
//! | in use | address, when the quarantine ends, 0 or 6 bytes of a MAC address |
//!
//! Times are microseconds since the Unix epoch in eight bytes, the lowest first, as the CRC's. A hardware
//! address is its kind, its length and its bytes; a holder is one of these, the length of its client
//! identifier (0: none) and the identifier, and a name up to the end.

mod checksum;
mod payload;
mod reader;
mod stuffing;

pub use payload::Unfit;
pub use reader::{Found, Reader, Skipped, Why};

use super::Record;
use payload::Payload;

/// The version of the format that is written.
pub const VERSION: u8 = 1;

/// No frame is longer.
pub const MOST_FRAME: usize = 2 + stuffing::most(payload::MOST);

/// What a log begins with.
pub fn header(out: &mut [u8; MOST_FRAME]) -> &[u8] {
    stuffing::frame(&Payload::header(VERSION), out)
}

/// A record as a frame.
pub fn frame<'b>(record: &Record<'_>, out: &'b mut [u8; MOST_FRAME]) -> Result<&'b [u8], Unfit> {
    Ok(stuffing::frame(&Payload::record(record)?, out))
}
