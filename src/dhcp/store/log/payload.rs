//! What is in a frame.

use core::net::Ipv4Addr;

use heapless::Vec;

use super::checksum::crc32;
use crate::dhcp::store::{Cause, Claim, Expiry, Holder, Record, host_name};
use crate::time::Instant;
use crate::wire::dhcp::ClientHardware;
use crate::wire::{UnicastMac, can_be_host};

/// No payload is longer: a lease of the longest identifier and the longest name.
pub(super) const MOST: usize =
    1 + 4 + 8 + (2 + ClientHardware::MOST) + (1 + Holder::MOST) + Holder::MOST + CHECK;
const CHECK: usize = size_of::<u32>();

const TITLE: &[u8] = b"whohas leases ";

const HEADER: u8 = b'W';
const FREE: u8 = b'F';
const FOR_EVER: u8 = b'E';
const LEASED: u8 = b'L';
const DECLINED: u8 = b'D';
const IN_USE: u8 = b'U';

/// A record's client identifier is longer than [`Holder::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("a client identifier of {0} bytes; 255 can be kept")]
pub struct Unfit(pub usize);

/// Fields and their checksum.
pub(super) struct Payload(Vec<u8, MOST>);

/// What a payload says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Header { version: u8 },
    Record(Record<'a>),
}

impl Payload {
    pub(super) fn header(version: u8) -> Self {
        Self::new(HEADER).with(TITLE).with(&[version]).sealed()
    }

    pub(super) fn record(record: &Record<'_>) -> Result<Self, Unfit> {
        let begin = |kind| Self::new(kind).with(&record.ip.octets());
        let payload = match record.claim {
            Claim::Free => begin(FREE),
            Claim::Leased {
                holder,
                expiry: Expiry::Never,
            } => begin(FOR_EVER).with_holder(&holder)?,
            Claim::Leased {
                holder,
                expiry: Expiry::At(end),
            } => begin(LEASED).with_time(end).with_holder(&holder)?,
            Claim::Quarantined { until, cause } => match cause {
                Cause::Declined { by } => begin(DECLINED).with_time(until).with_hardware(&by),
                Cause::InUse { by: None } => begin(IN_USE).with_time(until),
                Cause::InUse { by: Some(mac) } => {
                    begin(IN_USE).with_time(until).with(&mac.octets())
                }
            },
        };
        Ok(payload.sealed())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn new(kind: u8) -> Self {
        Self(Vec::new()).with(&[kind])
    }

    fn with(mut self, bytes: &[u8]) -> Self {
        // `MOST` is the sum of the longest fields.
        let _ = self.0.extend_from_slice(bytes);
        self
    }

    fn with_time(self, time: Instant) -> Self {
        self.with(&time.as_micros().to_le_bytes())
    }

    fn with_hardware(self, hardware: &ClientHardware) -> Self {
        let bytes = hardware.as_bytes();
        self.with(&[hardware.kind(), bytes.len() as u8]).with(bytes)
    }

    fn with_holder(self, holder: &Holder<'_>) -> Result<Self, Unfit> {
        let id = holder.client_id.unwrap_or_default();
        let len = u8::try_from(id.len()).map_err(|_long| Unfit(id.len()))?;
        let name = holder.host_name.unwrap_or_default().as_bytes();
        let name = host_name(name).unwrap_or_default().as_bytes();
        let payload = self.with_hardware(&holder.hardware);
        Ok(payload.with(&[len]).with(id).with(name))
    }

    fn sealed(self) -> Self {
        let check = crc32(&self.0);
        self.with(&check.to_le_bytes())
    }
}

/// The payload without its checksum, if that is right.
pub(super) fn unsealed(payload: &[u8]) -> Option<&[u8]> {
    let (fields, check) = payload.split_last_chunk()?;
    // A fuzzer would not get past it.
    let is_right = cfg!(fuzzing) || crc32(fields) == u32::from_le_bytes(*check);
    is_right.then_some(fields)
}

/// What an unsealed payload says, if it is one that we would write.
pub(super) fn content(fields: &[u8]) -> Option<Content<'_>> {
    let (kind, rest) = fields.split_first()?;
    let mut fields = Fields(rest);
    if *kind == HEADER {
        let (version, title) = fields.0.split_last()?;
        return (title == TITLE).then_some(Content::Header { version: *version });
    }
    let ip = Ipv4Addr::from(fields.take::<4>()?);
    let claim = match *kind {
        FREE => Claim::Free,
        FOR_EVER => Claim::Leased {
            expiry: Expiry::Never,
            holder: fields.holder()?,
        },
        LEASED => Claim::Leased {
            expiry: Expiry::At(fields.time()?),
            holder: fields.holder()?,
        },
        DECLINED => Claim::Quarantined {
            until: fields.time()?,
            cause: Cause::Declined {
                by: fields.hardware()?,
            },
        },
        IN_USE => Claim::Quarantined {
            until: fields.time()?,
            cause: Cause::InUse { by: fields.mac()? },
        },
        _other => return None,
    };
    let whole = fields.0.is_empty() && can_be_host(ip);
    whole.then_some(Content::Record(Record { ip, claim }))
}

/// What was not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }

    fn time(&mut self) -> Option<Instant> {
        self.take()
            .map(u64::from_le_bytes)
            .map(Instant::from_micros)
    }

    fn hardware(&mut self) -> Option<ClientHardware> {
        let [kind, len] = self.take()?;
        ClientHardware::new(kind, self.slice(len.into())?).ok()
    }

    fn mac(&mut self) -> Option<Option<UnicastMac>> {
        match self.0 {
            [] => Some(None),
            _some => UnicastMac::new(self.take()?).ok().map(Some),
        }
    }

    fn holder(&mut self) -> Option<Holder<'a>> {
        let hardware = self.hardware()?;
        let [len] = self.take()?;
        let id = self.slice(len.into())?;
        let name = core::mem::take(&mut self.0);
        Some(Holder {
            hardware,
            client_id: (!id.is_empty()).then_some(id),
            host_name: match name {
                [] => None,
                name => Some(host_name(name)?),
            },
        })
    }
}
