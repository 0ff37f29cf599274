//! What stores read of files that are nobody knows what.

use std::net::Ipv4Addr;

use whohas::Instant;
use whohas::dhcp::store::dnsmasq::{Document, Times};
use whohas::dhcp::store::log::{self, Found, MOST_FRAME, Reader};
use whohas::dhcp::store::{Claim, Record};

const NOW: Instant = Instant::from_secs(1_800_000_000);

/// What a fuzzer finds easily between two files.
const BETWEEN: u8 = b'~';

/// Reads the bytes as a log. What it says is written again as it was read, and whatever the bytes are,
/// what is appended to them is found.
pub fn log(bytes: &[u8]) {
    let mut again = Vec::new();
    let mut reader = Reader::new(bytes);
    let mut end = 0;
    while let Some(found) = reader.read() {
        match found {
            Found::Header { version: _any } => {}
            Found::Record(record) => again.push(frame(&record)),
            Found::Skipped(piece) => {
                assert!(end <= piece.offset && piece.offset + piece.len <= bytes.len());
                assert!(!piece.to_string().is_empty());
            }
        }
        assert!(end < reader.offset() && reader.offset() <= bytes.len());
        end = reader.offset();
    }
    let last = frame(&Record {
        ip: Ipv4Addr::new(10, 7, 0, 1),
        claim: Claim::Free,
    });
    let records = records(&[bytes, &last].concat());
    // Only what was at the very end may have become a part of something else: nothing does.
    again.push(last);
    assert_eq!(records, again);
    assert_eq!(self::records(&again.concat()), again);
}

/// Reads the bytes as a lease file and its sidecar. What is read is written so that it is read again, what
/// is said once more changes nothing, and without its leases a file has kept everything else.
pub fn lease_file(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == BETWEEN);
    let (file, sidecar) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    for times in [Times::Expiry, Times::Length] {
        let mut document = Document::parse(NOW, times, file, sidecar, |skipped| {
            assert!(!skipped.to_string().is_empty());
        });
        let (written, beside) = (document.to_file(), document.to_sidecar());
        let again = Document::parse(NOW, times, &written, &beside, |_skipped| {});
        let records = leases(&document);
        assert_eq!(records, leases(&again));
        assert_eq!((written, beside), (again.to_file(), again.to_sidecar()));

        for record in &records {
            each(record, |record| {
                assert!(matches!(document.set(NOW, record), Ok(None)));
            });
        }
        let addresses: Vec<_> = document.addresses().collect();
        assert_eq!(addresses.len(), records.len());
        let mut changed = Vec::new();
        for ip in addresses {
            let claim = Claim::Free;
            let old = document.set(NOW, &Record { ip, claim });
            changed.push(old.expect("it fits").expect("it was there"));
        }
        assert!(document.to_sidecar().is_empty());
        let rest = Document::parse(NOW, times, &document.to_file(), b"", |_skipped| {});
        assert_eq!(rest.addresses().count(), 0);
        for old in changed.into_iter().rev() {
            document.undo(old);
        }
        assert_eq!(records, leases(&document));
    }
}

/// The records of a document, as their frames.
fn leases(document: &Document) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    document.each(NOW, |record| records.push(frame(record)));
    records
}

/// The records of a log, as their frames.
fn records(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    each(bytes, |record| records.push(frame(record)));
    records
}

fn each(bytes: &[u8], mut take: impl FnMut(&Record<'_>)) {
    let mut reader = Reader::new(bytes);
    while let Some(found) = reader.read() {
        if let Found::Record(record) = found {
            take(&record);
        }
    }
}

fn frame(record: &Record<'_>) -> Vec<u8> {
    let frame = log::frame(record, &mut [0; MOST_FRAME]).map(<[u8]>::to_vec);
    frame.expect("what was read fits")
}
