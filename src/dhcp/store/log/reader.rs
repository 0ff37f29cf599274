//! Finds what is whole in a log.

use heapless::Vec;

use super::payload::{self, Content, MOST};
use super::{MOST_FRAME, stuffing};
use crate::dhcp::store::Record;

/// Reads a log from the front: every whole frame, and a word on everything between them.
///
/// It looks at each byte a fixed number of times, whatever the bytes are.
///
/// ```
/// use whohas::dhcp::store::{Claim, Record};
/// use whohas::dhcp::store::log::{self, Found, MOST_FRAME, Reader};
///
/// let record = Record { ip: [192, 0, 2, 7].into(), claim: Claim::Free };
/// let mut bytes = log::header(&mut [0; MOST_FRAME]).to_vec();
/// bytes.extend(log::frame(&record, &mut [0; MOST_FRAME])?);
/// bytes.extend(b"torn");
///
/// let mut reader = Reader::new(&bytes);
/// assert_eq!(reader.read(), Some(Found::Header { version: 1 }));
/// assert_eq!(reader.read(), Some(Found::Record(record)));
/// assert!(matches!(reader.read(), Some(Found::Skipped(piece)) if piece.len == 4));
/// assert_eq!(reader.read(), None);
/// # Ok::<(), log::Unfit>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    payload: Vec<u8, MOST>,
}

/// What is in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Its beginning.
    Header {
        /// The format's version. Above [`VERSION`](super::VERSION) there may be what cannot be understood.
        version: u8,
    },
    /// A record.
    Record(Record<'a>),
    /// Something else.
    Skipped(Skipped),
}

/// A piece of a log that was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("{len} bytes at offset {offset}: {why}")]
pub struct Skipped {
    /// Where it begins.
    pub offset: usize,
    /// How long it is.
    pub len: usize,
    /// Why it was skipped.
    pub why: Why,
}

/// Why a piece of a log was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Why {
    /// It is not as it was written.
    #[error("torn, or changed on the disk")]
    Damaged,
    /// It is as it was written, by a program that writes something else.
    #[error("written by another version")]
    Unknown,
}

impl<'a> Reader<'a> {
    /// At the beginning of a log.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            offset: 0,
            payload: Vec::new(),
        }
    }

    /// Up to where it has read: all before it is known.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What comes next; `None` at the end.
    pub fn read(&mut self) -> Option<Found<'_>> {
        let rest = self.bytes.get(self.offset..)?;
        let zeros = rest.iter().position(|byte| *byte != 0)?;
        let rest = &rest[zeros..];
        let len = rest.iter().position(|byte| *byte == 0);
        let len = len.unwrap_or(rest.len());
        let offset = self.offset + zeros;
        // The zero at its end is a part of it, but may be missing.
        self.offset = (offset + len + 1).min(self.bytes.len());
        let skipped = |why| Some(Found::Skipped(Skipped { offset, len, why }));
        if len > MOST_FRAME {
            return skipped(Why::Damaged);
        }
        let Some(payload) = stuffing::payload(&rest[..len]) else {
            return skipped(Why::Damaged);
        };
        self.payload = payload;
        let Some(fields) = payload::unsealed(&self.payload) else {
            return skipped(Why::Damaged);
        };
        match payload::content(fields) {
            Some(Content::Header { version }) => Some(Found::Header { version }),
            Some(Content::Record(record)) => Some(Found::Record(record)),
            None => skipped(Why::Unknown),
        }
    }
}
