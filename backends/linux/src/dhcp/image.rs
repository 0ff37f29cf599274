//! What a store would say if it were read now.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use whohas::Instant;
use whohas::dhcp::store::log::{self, Found, MOST_FRAME, Reader};
use whohas::dhcp::store::{Claim, Expiry, Record};

/// The last frame of each address that is not free.
#[derive(Debug, Default)]
pub(super) struct Image {
    frames: HashMap<Ipv4Addr, Box<[u8]>>,
    bytes: usize,
}

impl Image {
    /// How long a log of it is.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a record in the place of what was there.
    pub(super) fn set(&mut self, record: &Record<'_>) {
        let old = match (record.claim, log::frame(record, &mut [0; MOST_FRAME])) {
            // What is free need not be remembered, and what comes out of frames fits into one.
            (Claim::Free, _) | (_, Err(_)) => self.frames.remove(&record.ip),
            (_, Ok(frame)) => {
                self.bytes += frame.len();
                self.frames.insert(record.ip, frame.into())
            }
        };
        self.bytes -= old.map_or(0, |frame| frame.len());
    }

    /// Takes all records of these frames.
    pub(super) fn apply(&mut self, frames: &[u8]) {
        each(frames, |record| self.set(record));
    }

    /// Until when an address is somebody's, to the second; `None` if nothing is known of it.
    pub(super) fn end(&self, ip: Ipv4Addr) -> Option<u64> {
        let mut known = None;
        each(self.frames.get(&ip)?, |record| known = Some(end(record)));
        known
    }

    /// Hands out every record.
    pub(super) fn each(&self, mut take: impl FnMut(&Record<'_>)) {
        for frame in self.frames.values() {
            each(frame, &mut take);
        }
    }

    /// A log of it.
    pub(super) fn to_log(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MOST_FRAME + self.bytes);
        bytes.extend_from_slice(log::header(&mut [0; MOST_FRAME]));
        for frame in self.frames.values() {
            bytes.extend_from_slice(frame);
        }
        bytes
    }
}

/// Hands out every record of these frames, all of which are whole.
pub(super) fn each(frames: &[u8], mut take: impl FnMut(&Record<'_>)) {
    let mut reader = Reader::new(frames);
    while let Some(found) = reader.read() {
        if let Found::Record(record) = found {
            take(&record);
        }
    }
}

/// Until when nobody else gets the address, in whole seconds as lease files have it.
pub(super) fn end(record: &Record<'_>) -> u64 {
    let end = match record.claim {
        Claim::Free => Instant::ZERO,
        Claim::Leased {
            expiry: Expiry::At(end),
            ..
        } => end,
        Claim::Leased {
            expiry: Expiry::Never,
            ..
        } => Instant::FAR_FUTURE,
        Claim::Quarantined { until, .. } => until,
    };
    end.as_micros().div_ceil(1_000_000)
}
