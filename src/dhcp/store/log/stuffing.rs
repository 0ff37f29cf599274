//! Bytes without zeros between zeros: consistent overhead byte stuffing.
//!
//! Each run of bytes that are not zero is written behind a code, one more than its length, that stands
//! for the zero that ended the run before. After the code 255 there was none: the run goes on.

use heapless::Vec;

use super::MOST_FRAME;
use super::payload::{MOST, Payload};

/// The longest run that one code can tell.
const RUN: usize = 254;

/// The most that a payload grows to.
pub(super) const fn most(len: usize) -> usize {
    len + len / RUN + 1
}

/// The payload as a frame.
pub(super) fn frame<'b>(payload: &Payload, out: &'b mut [u8; MOST_FRAME]) -> &'b [u8] {
    let mut room = Room { out, len: 0 };
    room.push(&[0]);
    for run in payload.as_bytes().split(|byte| *byte == 0) {
        let whole = run.chunks_exact(RUN);
        let rest = whole.remainder();
        for run in whole {
            room.push(&[u8::MAX]);
            room.push(run);
        }
        room.push(&[rest.len() as u8 + 1]);
        room.push(rest);
    }
    room.push(&[0]);
    let Room { out, len } = room;
    &out[..len]
}

/// What a frame's bytes between its zeros stood for. They have no zero among them.
pub(super) fn payload(mut stuffed: &[u8]) -> Option<Vec<u8, MOST>> {
    let mut payload = Vec::new();
    while let Some((code, rest)) = stuffed.split_first() {
        let (run, rest) = rest.split_at_checked(usize::from(*code).checked_sub(1)?)?;
        payload.extend_from_slice(run).ok()?;
        if *code != u8::MAX && !rest.is_empty() {
            payload.push(0).ok()?;
        }
        stuffed = rest;
    }
    Some(payload)
}

/// Room for the longest frame, filled from the front.
struct Room<'b> {
    out: &'b mut [u8; MOST_FRAME],
    len: usize,
}

impl Room<'_> {
    fn push(&mut self, bytes: &[u8]) {
        self.out[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}
