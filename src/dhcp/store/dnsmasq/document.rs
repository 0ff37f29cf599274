//! A lease file and its sidecar in memory.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::Times;
use super::line::{Lease, Line, line};
use super::sidecar::Quarantine;
use crate::dhcp::store::log::Unfit;
use crate::dhcp::store::{Cause, Claim, Record};
use crate::time::Instant;

/// A lease file and its sidecar, line by line.
///
/// ```
/// use whohas::Instant;
/// use whohas::dhcp::store::{Claim, Record};
/// use whohas::dhcp::store::dnsmasq::{Document, Times};
///
/// let file = b"\
/// 1900000000 02:00:00:00:00:07 192.0.2.7 sensor-7 *
/// 1900000000 02:00:00:00:00:08 192.0.2.8 * 01:02:00:00:00:00:08
/// duid 00:01:00:01:2c:5a
/// 1900000000 7 2001:db8::7 * 00:01:00:01
/// ";
/// let now = Instant::from_secs(1_800_000_000);
/// let mut leases = Document::parse(now, Times::Expiry, file, b"", |skipped| panic!("{skipped}"));
///
/// let mut addresses = Vec::new();
/// leases.each(now, |record| addresses.push(record.ip.octets()[3]));
/// assert_eq!(addresses, [7, 8]);
///
/// leases.set(now, &Record { ip: [192, 0, 2, 7].into(), claim: Claim::Free })?;
/// assert_eq!(leases.to_file(), b"\
/// 1900000000 02:00:00:00:00:08 192.0.2.8 * 01:02:00:00:00:00:08
/// duid 00:01:00:01:2c:5a
/// 1900000000 7 2001:db8::7 * 00:01:00:01
/// ");
/// # Ok::<(), whohas::dhcp::store::log::Unfit>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Document {
    times: Times,
    /// Up to the last IPv4 lease. Where one was that has gone, there is nothing.
    lines: Vec<Option<Box<[u8]>>>,
    /// Where there is nothing.
    gaps: Vec<usize>,
    /// What comes behind the last IPv4 lease.
    tail: Vec<Box<[u8]>>,
    leases: BTreeMap<Ipv4Addr, usize>,
    quarantined: BTreeMap<Ipv4Addr, Quarantine>,
}

/// What a document said of an address before it was changed.
#[derive(Clone, Debug)]
pub struct Old {
    ip: Ipv4Addr,
    line: Option<Box<[u8]>>,
    quarantine: Option<Quarantine>,
}

/// A line that tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Skipped {
    /// Which; the first is 1.
    pub line: usize,
    /// Why.
    pub why: Why,
}

/// Why a line tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// It is kept as it is.
    #[error(
        "not a lease: five words, the third of them an address; dnsmasq loses what comes after it"
    )]
    Unknown,
    /// It is left out when the file is written next.
    #[error("another line has the same address, and a lease that ends later")]
    Duplicate,
    /// A line of the sidecar. It is left out when that is written next.
    #[error("not a quarantine: until when, an address, `declined` or `in-use`, and by whom")]
    UnknownQuarantine,
}

impl Document {
    /// Reads a lease file and its sidecar, either of which may be empty. `skip` is told of each line that
    /// tells nothing and should.
    pub fn parse(
        now: Instant,
        times: Times,
        file: &[u8],
        sidecar: &[u8],
        mut skip: impl FnMut(Skipped),
    ) -> Self {
        let mut document = Self {
            times,
            ..Self::default()
        };
        for (n, line) in lines(file).enumerate() {
            let why = match Line::parse(line, now, times) {
                Line::Lease(lease) => document.read(lease, line, now),
                Line::Foreign => {
                    document.tail.push(line.into());
                    None
                }
                Line::Unknown => {
                    document.tail.push(line.into());
                    Some(Why::Unknown)
                }
            };
            if let Some(why) = why {
                skip(Skipped { line: n + 1, why });
            }
        }
        for (n, line) in lines(sidecar).enumerate() {
            match Quarantine::parse(line) {
                Some((ip, quarantine)) => document.read_quarantine(ip, quarantine, now),
                None if line.is_empty() => {}
                None => skip(Skipped {
                    line: n + 1,
                    why: Why::UnknownQuarantine,
                }),
            }
        }
        document
    }

    /// Hands out a record for each line of an IPv4 lease.
    pub fn each(&self, now: Instant, mut take: impl FnMut(&Record<'_>)) {
        let lines = self.addresses().filter_map(|ip| self.line_of(ip));
        for line in lines {
            let Line::Lease(lease) = Line::parse(line, now, self.times) else {
                continue;
            };
            let mut record = lease.record();
            if let Some(Quarantine { until, cause }) = self.quarantined.get(&lease.ip) {
                record.claim = Claim::Quarantined {
                    until: *until,
                    cause: *cause,
                };
            }
            take(&record);
        }
    }

    /// Changes what is said of an address; what was said, if it has changed.
    pub fn set(&mut self, now: Instant, record: &Record<'_>) -> Result<Option<Old>, Unfit> {
        let text = line(record, now, self.times)?;
        let quarantine = match record.claim {
            // Of this the line says it all.
            Claim::Quarantined {
                cause: Cause::InUse { by: None },
                ..
            } => None,
            Claim::Quarantined { until, cause } => Some(Quarantine { until, cause }),
            Claim::Free | Claim::Leased { .. } => None,
        };
        let known = self.line_of(record.ip);
        // Compared as we would write it: what others write in their own way stays as it is.
        let known = known.and_then(|line| canonical(line, now, self.times));
        let noted = |quarantine: &Quarantine| quarantine.line(record.ip);
        let was = self.quarantined.get(&record.ip).map(noted);
        if known == text && was == quarantine.as_ref().map(noted) {
            return Ok(None);
        }
        Ok(Some(self.put(Old {
            ip: record.ip,
            line: text.map(|text| text.into_bytes().into()),
            quarantine,
        })))
    }

    /// Takes a change back: the last one first.
    pub fn undo(&mut self, old: Old) {
        self.put(old);
    }

    /// The lease file.
    pub fn to_file(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for line in self.lines.iter().flatten().chain(&self.tail) {
            file.extend_from_slice(line);
            file.push(b'\n');
        }
        file
    }

    /// The sidecar.
    pub fn to_sidecar(&self) -> Vec<u8> {
        let mut file = Vec::new();
        for (ip, quarantine) in &self.quarantined {
            file.extend_from_slice(quarantine.line(*ip).as_bytes());
            file.push(b'\n');
        }
        file
    }

    /// The addresses that there are lines of.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.leases.keys().copied()
    }

    fn line_of(&self, ip: Ipv4Addr) -> Option<&[u8]> {
        self.lines.get(*self.leases.get(&ip)?)?.as_deref()
    }

    fn put(&mut self, new: Old) -> Old {
        let Old {
            ip,
            line,
            quarantine,
        } = new;
        let old_quarantine = match quarantine {
            Some(quarantine) => self.quarantined.insert(ip, quarantine),
            None => self.quarantined.remove(&ip),
        };
        Old {
            ip,
            line: match line {
                Some(line) => self.put_line(ip, line),
                None => self.take_line(ip),
            },
            quarantine: old_quarantine,
        }
    }

    fn put_line(&mut self, ip: Ipv4Addr, line: Box<[u8]>) -> Option<Box<[u8]>> {
        let index = match self.leases.get(&ip) {
            Some(index) => *index,
            None => self.gaps.pop().unwrap_or(self.lines.len()),
        };
        self.leases.insert(ip, index);
        match self.lines.get_mut(index) {
            Some(place) => place.replace(line),
            None => {
                self.lines.push(Some(line));
                None
            }
        }
    }

    fn take_line(&mut self, ip: Ipv4Addr) -> Option<Box<[u8]>> {
        let index = self.leases.remove(&ip)?;
        self.gaps.push(index);
        self.lines.get_mut(index)?.take()
    }

    /// A line of a lease, of which there can be only one for each address.
    fn read(&mut self, lease: Lease<'_>, line: &[u8], now: Instant) -> Option<Why> {
        if let Some(known) = self.line_of(lease.ip) {
            if let Line::Lease(known) = Line::parse(known, now, self.times)
                && known.expiry < lease.expiry
            {
                self.put_line(lease.ip, line.into());
            }
            return Some(Why::Duplicate);
        }
        let tail = self.tail.drain(..).map(Some);
        self.lines.extend(tail);
        self.leases.insert(lease.ip, self.lines.len());
        self.lines.push(Some(line.into()));
        None
    }

    /// What the sidecar says counts unless somebody has given the address away since.
    fn read_quarantine(&mut self, ip: Ipv4Addr, quarantine: Quarantine, now: Instant) {
        let is_lease = |line| match Line::parse(line, now, self.times) {
            Line::Lease(lease) => matches!(lease.record().claim, Claim::Leased { .. }),
            Line::Foreign | Line::Unknown => false,
        };
        let Quarantine { until, cause } = quarantine;
        let claim = Claim::Quarantined { until, cause };
        if !self.line_of(ip).is_some_and(is_lease) {
            // A line without a client identifier fits.
            let _ = self.set(now, &Record { ip, claim });
        }
    }
}

/// A line as we would write it.
fn canonical(old: &[u8], now: Instant, times: Times) -> Option<String> {
    match Line::parse(old, now, times) {
        Line::Lease(lease) => line(&lease.record(), now, times).ok().flatten(),
        _other => None,
    }
}

/// The lines of a file, the last of which may not have an end.
fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = file.strip_suffix(b"\n").unwrap_or(file);
    ends.split(|byte| *byte == b'\n')
        .take(if file.is_empty() { 0 } else { usize::MAX })
}
