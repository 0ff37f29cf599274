//! dnsmasq's lease file.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use proptest::prelude::*;
use whohas::dhcp::store::dnsmasq::{Document, Skipped, Times, Why};
use whohas::dhcp::store::{Cause, Claim, Expiry, Holder, Record};
use whohas::wire::dhcp::ClientHardware;
use whohas::{Instant, UnicastMac};

use crate::samples::{frame, sample};

const NOW: Instant = Instant::from_secs(1_800_000_000);

const FILE: &str = "\
1800003600 02:00:00:00:00:01 10.7.0.1 sensor-7 01:02:00:00:00:00:01
0 02:00:00:00:00:02 10.7.0.2 * *
1800003600 06-02:00:00:00:00:03 10.7.0.3 * *
1800003600 00- 10.7.0.4 * ff:00:01
1800003600   02:00:00:00:00:05\t10.7.0.5 caf\u{e9} AB:cd
what somebody wrote into it
1800003600 00:00:00:00:00:00 10.7.0.6 * *
1800003600 02:00:00:00:00:08 10.7.0.8 * 07
duid 00:01:00:01:2c:5a:00:00:02:00:00:00:00:01
1800003600 50331655 2001:db8::7 sensor-7 00:01:00:01
1800003600 T50331655 2001:db8::8 * *
";

fn parse(file: &str, sidecar: &str) -> (Document, Vec<Skipped>) {
    let mut skipped = Vec::new();
    let (file, sidecar) = (file.as_bytes(), sidecar.as_bytes());
    let document = Document::parse(NOW, Times::Expiry, file, sidecar, |line| skipped.push(line));
    (document, skipped)
}

/// Each record as its frame.
fn contents(document: &Document) -> BTreeMap<Ipv4Addr, Vec<u8>> {
    let mut contents = BTreeMap::new();
    document.each(NOW, |record| {
        let earlier = contents.insert(record.ip, frame(record));
        assert_eq!(earlier, None, "two of {}", record.ip);
    });
    contents
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("no more than what was there")
}

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 7, 0, n)
}

fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the first byte is even")
}

fn leased<'a>(n: u8, id: Option<&'a [u8]>, name: Option<&'a str>, expiry: Expiry) -> Record<'a> {
    let hardware = ClientHardware::ethernet(mac(n));
    let holder = Holder {
        hardware,
        client_id: id,
        host_name: name,
    };
    Record {
        ip: ip(n),
        claim: Claim::Leased { holder, expiry },
    }
}

fn until(seconds: u64) -> Expiry {
    Expiry::At(Instant::from_secs(seconds))
}

#[test]
fn every_kind_of_line_says_what_it_says_to_dnsmasq() {
    let (document, skipped) = parse(FILE, "");
    let why = Why::Unknown;
    assert_eq!(skipped, [Skipped { line: 6, why }]);
    let with = |n, hardware: ClientHardware, client_id| Record {
        ip: ip(n),
        claim: Claim::Leased {
            holder: Holder {
                hardware,
                client_id,
                host_name: None,
            },
            expiry: until(1_800_003_600),
        },
    };
    let other = ClientHardware::new(6, &[2, 0, 0, 0, 0, 3]).expect("it fits");
    let none = ClientHardware::new(0, &[]).expect("it fits");
    let expected = [
        leased(
            1,
            Some(&[1, 2, 0, 0, 0, 0, 1]),
            Some("sensor-7"),
            until(1_800_003_600),
        ),
        leased(2, None, None, Expiry::Never),
        with(3, other, None),
        with(4, none, Some(&[255, 0, 1])),
        leased(5, Some(&[0xab, 0xcd]), None, until(1_800_003_600)),
        Record {
            ip: ip(6),
            claim: Claim::Quarantined {
                until: Instant::from_secs(1_800_003_600),
                cause: Cause::InUse { by: None },
            },
        },
        leased(8, None, None, until(1_800_003_600)),
    ];
    let expected = expected
        .iter()
        .map(|record| (record.ip, frame(record)))
        .collect();
    assert_eq!(contents(&document), expected);
}

#[test]
fn what_is_not_changed_stays_byte_for_byte() {
    let (mut document, _skipped) = parse(FILE, "");
    assert_eq!(text(document.to_file()), FILE);
    // What is said once more is no change.
    let mut records = Vec::new();
    document.each(NOW, |record| records.push((record.ip, frame(record))));
    for (_ip, frame) in &records {
        let mut reader = whohas::dhcp::store::log::Reader::new(frame);
        let Some(whohas::dhcp::store::log::Found::Record(record)) = reader.read() else {
            panic!("one record");
        };
        assert!(document.set(NOW, &record).expect("it fits").is_none());
    }
    assert_eq!(text(document.to_file()), FILE);

    let renewed = leased(2, None, Some("two"), until(1_800_007_200));
    let new = leased(
        9,
        None,
        None,
        Expiry::At(Instant::from_micros(1_800_007_200_000_001)),
    );
    let gone = Record {
        ip: ip(4),
        claim: Claim::Free,
    };
    for record in [renewed, gone, new] {
        assert!(document.set(NOW, &record).expect("it fits").is_some());
    }
    let expected = FILE
        .replace(
            "0 02:00:00:00:00:02 10.7.0.2 * *",
            "1800007200 02:00:00:00:00:02 10.7.0.2 two *",
        )
        // Rounded up, in the place that has become free.
        .replace(
            "1800003600 00- 10.7.0.4 * ff:00:01",
            "1800007201 02:00:00:00:00:09 10.7.0.9 * *",
        );
    assert_eq!(text(document.to_file()), expected);
}

#[test]
fn new_leases_come_before_what_is_of_ipv6() {
    let (mut document, _skipped) = parse("duid 00:01\n1800003600 7 2001:db8::7 * 00:01", "");
    let new = leased(9, None, None, until(1_800_007_200));
    assert!(document.set(NOW, &new).expect("it fits").is_some());
    assert_eq!(
        text(document.to_file()),
        "1800007200 02:00:00:00:00:09 10.7.0.9 * *\nduid 00:01\n1800003600 7 2001:db8::7 * 00:01\n"
    );
}

#[test]
fn a_change_that_was_taken_back_has_left_nothing() {
    let sidecar = "1800003600 10.7.0.6 declined 02:00:00:00:00:06\n";
    let (mut document, _skipped) = parse(FILE, sidecar);
    let free = |n| Record {
        ip: ip(n),
        claim: Claim::Free,
    };
    let quarantined = Record {
        ip: ip(5),
        claim: Claim::Quarantined {
            until: NOW,
            cause: Cause::InUse { by: Some(mac(7)) },
        },
    };
    let new = leased(9, None, None, until(1_800_007_200));
    let mut olds = Vec::new();
    for record in [
        free(1),
        free(6),
        quarantined,
        new,
        free(9),
        free(9),
        free(5),
    ] {
        olds.extend(document.set(NOW, &record).expect("it fits"));
    }
    assert_eq!(olds.len(), 6, "what is free cannot become free");
    for old in olds.into_iter().rev() {
        document.undo(old);
    }
    let (untouched, _skipped) = parse(FILE, sidecar);
    assert_eq!(contents(&document), contents(&untouched));
    assert_eq!(text(document.to_sidecar()), sidecar);
    let sorted = |document: &Document| {
        let mut lines: Vec<_> = text(document.to_file())
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&document), sorted(&untouched));
}

#[test]
fn a_name_ends_no_line_and_begins_no_word() {
    for name in [
        "a b",
        "a\n0 02:00:00:00:00:09 10.7.0.9 * *",
        "a\tb",
        "",
        "\u{e9}",
        "*",
    ] {
        let (mut document, _skipped) = parse("", "");
        let record = leased(1, None, Some(name), until(1_800_003_600));
        assert!(document.set(NOW, &record).expect("it fits").is_some());
        assert_eq!(
            text(document.to_file()),
            "1800003600 02:00:00:00:00:01 10.7.0.1 * *\n"
        );
    }
}

#[test]
fn what_has_ended_has_not_become_endless() {
    let (mut document, _skipped) = parse("", "");
    let record = leased(1, None, None, Expiry::At(Instant::ZERO));
    assert!(document.set(NOW, &record).expect("it fits").is_some());
    assert_eq!(
        text(document.to_file()),
        "1 02:00:00:00:00:01 10.7.0.1 * *\n"
    );
}

#[test]
fn builds_without_a_clock_are_told_how_long_a_lease_is() {
    let file = b"3600 02:00:00:00:00:01 10.7.0.1 * *\n0 02:00:00:00:00:02 10.7.0.2 * *\n";
    let mut document =
        Document::parse(NOW, Times::Length, file, b"", |skipped| panic!("{skipped}"));
    let expected = [
        leased(1, None, None, until(1_800_003_600)),
        leased(2, None, None, Expiry::Never),
    ];
    let expected = expected
        .iter()
        .map(|record| (record.ip, frame(record)))
        .collect();
    assert_eq!(contents(&document), expected);
    let later = Instant::from_secs(1_800_000_600);
    let renewed = leased(1, None, None, until(1_800_007_800));
    assert!(document.set(later, &renewed).expect("it fits").is_some());
    let file = text(document.to_file());
    assert!(
        file.starts_with("7200 02:00:00:00:00:01 10.7.0.1 * *\n0 "),
        "{file}"
    );
}

#[test]
fn of_two_lines_of_one_address_the_lease_that_ends_later_counts() {
    let first = "1800000001 02:00:00:00:00:01 10.7.0.1 * *\n";
    let second = "1800000002 02:00:00:00:00:02 10.7.0.1 * *\n";
    let never = "0 02:00:00:00:00:03 10.7.0.1 * *\n";
    for (file, left) in [
        (format!("{first}{second}"), second),
        (format!("{second}{first}"), second),
        (format!("{first}{never}{second}"), never),
    ] {
        let (document, skipped) = parse(&file, "");
        assert!(!skipped.is_empty() && skipped.iter().all(|line| line.why == Why::Duplicate));
        assert_eq!(text(document.to_file()), left);
    }
}

#[test]
fn the_sidecar_tells_who_declined_unless_the_address_was_given_since() {
    let file = "\
1800003600 00:00:00:00:00:00 10.7.0.1 * *
1800003600 02:00:00:00:00:02 10.7.0.2 * *
";
    let sidecar = "\
1800003600 10.7.0.1 declined 06-02:00:00:00:00:01
1800003600 10.7.0.2 declined 02:00:00:00:00:07
1800003600 10.7.0.3 in-use 02:00:00:00:00:08
1800003600 10.7.0.4 in-use 00:00:00:00:00:00
1800003600 10.7.0.5 lost
";
    let (document, skipped) = parse(file, sidecar);
    let why = Why::UnknownQuarantine;
    assert_eq!(skipped, [Skipped { line: 5, why }]);
    let quarantined = |n, cause| Record {
        ip: ip(n),
        claim: Claim::Quarantined {
            until: Instant::from_secs(1_800_003_600),
            cause,
        },
    };
    let by = ClientHardware::new(6, &[2, 0, 0, 0, 0, 1]).expect("it fits");
    let expected = [
        quarantined(1, Cause::Declined { by }),
        leased(2, None, None, until(1_800_003_600)),
        quarantined(3, Cause::InUse { by: Some(mac(8)) }),
        quarantined(4, Cause::InUse { by: None }),
    ];
    let expected = expected
        .iter()
        .map(|record| (record.ip, frame(record)))
        .collect();
    assert_eq!(contents(&document), expected);
    assert_eq!(
        text(document.to_file()),
        format!(
            "{file}1800003600 00:00:00:00:00:00 10.7.0.3 * *\n\
             1800003600 00:00:00:00:00:00 10.7.0.4 * *\n"
        )
    );
}

/// The addresses of what a line says, if it says anything.
fn addresses(line: &[u8]) -> Vec<Ipv4Addr> {
    let document = Document::parse(NOW, Times::Expiry, line, b"", |_skipped| {});
    document.addresses().collect()
}

#[test]
fn a_file_that_was_cut_or_bent_keeps_all_its_other_leases() {
    let (whole, _skipped) = parse(FILE, "");
    let whole = contents(&whole);
    let lines: Vec<_> = FILE
        .split_inclusive('\n')
        .map(|line| (line, addresses(line.as_bytes())))
        .collect();
    let survive = |bytes: &[u8], from: usize, to: usize| {
        let document = Document::parse(NOW, Times::Expiry, bytes, b"", |_skipped| {});
        let found = contents(&document);
        let mut offset = 0;
        // What the lines that were hit say now, they may say of any address.
        let mut said = Vec::new();
        let mut others = Vec::new();
        for (line, ips) in &lines {
            let (begin, end) = (offset, offset + line.len());
            offset = end;
            match end <= from || begin >= to {
                true => others.extend(ips),
                false => said.extend(addresses(bytes.get(begin..end).unwrap_or_default())),
            }
        }
        for ip in others.iter().filter(|ip| !said.contains(ip)) {
            assert_eq!(found.get(ip), whole.get(ip), "{ip}");
        }
    };
    for cut in 0..FILE.len() {
        survive(&FILE.as_bytes()[..cut], cut, FILE.len());
    }
    for bit in 0..FILE.len() * 8 {
        let mut bent = FILE.as_bytes().to_vec();
        bent[bit / 8] ^= 1 << (bit % 8);
        // Where the end of a line is hit, the next one is a part of it.
        survive(&bent, bit / 8, bit / 8 + 2);
    }
}

proptest! {
    #[test]
    fn what_is_saved_is_loaded(samples in prop::collection::vec(sample(true), 0..12)) {
        let (mut document, _skipped) = parse("", "");
        let mut expected = BTreeMap::new();
        for sample in &samples {
            document.set(NOW, &sample.record()).expect("it fits");
            expected.insert(sample.record().ip, frame(&sample.record()));
        }
        prop_assert_eq!(contents(&document), expected.clone());
        let (file, sidecar) = (text(document.to_file()), text(document.to_sidecar()));
        let (again, skipped) = parse(&file, &sidecar);
        prop_assert_eq!(skipped, vec![]);
        prop_assert_eq!(contents(&again), expected);
        prop_assert_eq!(text(again.to_file()), file);
        prop_assert_eq!(text(again.to_sidecar()), sidecar);
    }
}
