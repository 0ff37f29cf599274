//! The log's format: V25 and V26 of what has broken others.

use proptest::prelude::*;
use whohas::Instant;
use whohas::dhcp::store::log::{self, Found, MOST_FRAME, Reader, Unfit, Why};
use whohas::dhcp::store::{Claim, Expiry, Holder, Record};
use whohas::wire::dhcp::ClientHardware;

use crate::samples::{frame, read, sample, samples};

/// A log of all samples, and where each of its frames ends.
fn log() -> (Vec<u8>, Vec<Vec<u8>>, Vec<usize>) {
    let mut bytes = log::header(&mut [0; MOST_FRAME]).to_vec();
    let frames: Vec<_> = samples()
        .iter()
        .map(|sample| frame(&sample.record()))
        .collect();
    let mut ends = Vec::new();
    for frame in &frames {
        bytes.extend(frame);
        ends.push(bytes.len());
    }
    (bytes, frames, ends)
}

fn lease<'a>(client_id: &'a [u8], host_name: Option<&'a str>) -> Record<'a> {
    Record {
        ip: [10, 7, 0, 1].into(),
        claim: Claim::Leased {
            holder: Holder {
                hardware: ClientHardware::new(255, &[255; 16]).expect("it fits"),
                client_id: Some(client_id),
                host_name,
            },
            expiry: Expiry::At(Instant::from_micros(u64::MAX - 1)),
        },
    }
}

#[test]
fn every_record_is_there_up_to_where_a_log_was_cut() {
    let (bytes, frames, ends) = log();
    for cut in 0..=bytes.len() {
        let (records, skipped) = read(&bytes[..cut]);
        // The zero at the end of a frame is for its neighbour's sake.
        let whole = ends.iter().filter(|end| **end <= cut + 1).count();
        assert_eq!(records, frames[..whole], "cut at {cut}");
        assert!(skipped.len() <= 1 && skipped.iter().all(|piece| piece.why == Why::Damaged));
    }
}

#[test]
fn a_bit_that_is_not_as_it_was_costs_one_record_at_most() {
    let (bytes, frames, ends) = log();
    for bit in 0..bytes.len() * 8 {
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let hit = ends
            .iter()
            .position(|end| bit / 8 < *end)
            .expect("within the log");
        let (records, skipped) = read(&bent);
        let mut others = frames.clone();
        if records.len() < frames.len() {
            // The frame's own, or, if it is a zero, none.
            let lost = others
                .iter()
                .zip(&records)
                .position(|(one, other)| one != other);
            let lost = lost.unwrap_or(records.len());
            assert!(
                lost == hit || lost + 1 == hit,
                "bit {bit}: {hit} was hit, {lost} is lost"
            );
            others.remove(lost);
            assert!(!skipped.is_empty(), "bit {bit}: and nothing is said");
        }
        assert_eq!(records, others, "bit {bit}");
    }
}

#[test]
fn what_a_client_says_is_never_taken_for_a_frame() {
    let inner = frame(&Record {
        ip: [10, 7, 9, 9].into(),
        claim: Claim::Free,
    });
    let outer = frame(&lease(&inner, None));
    for bit in 0..outer.len() * 8 {
        let mut bent = outer.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        for cut in [bent.len(), bent.len() - 1] {
            let (records, _skipped) = read(&bent[..cut]);
            assert!(!records.contains(&inner), "bit {bit}");
        }
    }
}

#[test]
fn the_longest_record_fits_and_the_next_one_does_not() {
    let name = "n".repeat(Holder::MOST);
    let (longest, longer) = ([255; 255], [255; 256]);
    let record = lease(&longest, Some(&name));
    assert_eq!(frame(&record).len(), MOST_FRAME);
    assert_eq!(read(&frame(&record)).0, [frame(&record)]);
    let refused = log::frame(&lease(&longer, None), &mut [0; MOST_FRAME]).map(<[u8]>::len);
    assert_eq!(refused, Err(Unfit(256)));
}

#[test]
fn a_name_that_is_none_is_not_kept() {
    let id = [1, 2];
    for name in [
        "",
        "two words",
        "line\n",
        "caf\u{e9}",
        "*",
        &"n".repeat(256),
    ] {
        assert_eq!(
            frame(&lease(&id, Some(name))),
            frame(&lease(&id, None)),
            "{name:?}"
        );
    }
}

#[test]
fn zeros_are_nothing() {
    let (bytes, frames, _ends) = log();
    let mut padded = vec![0; 4096];
    padded.extend(bytes);
    padded.extend([0; 4096]);
    assert_eq!(read(&padded), (frames, vec![]));
}

proptest! {
    #[test]
    fn what_is_written_is_read(samples in prop::collection::vec(sample(false), 0..8)) {
        let mut bytes = log::header(&mut [0; MOST_FRAME]).to_vec();
        for sample in &samples {
            bytes.extend(frame(&sample.record()));
        }
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(reader.read(), Some(Found::Header { version: log::VERSION }));
        for sample in &samples {
            prop_assert_eq!(reader.read(), Some(Found::Record(sample.record())));
        }
        prop_assert_eq!(reader.read(), None);
    }

    #[test]
    fn what_is_appended_to_anything_is_read(
        mut bytes in prop::collection::vec(any::<u8>(), 0..600),
        sample in sample(false),
    ) {
        let frame = frame(&sample.record());
        bytes.extend(&frame);
        let (records, _skipped) = read(&bytes);
        prop_assert_eq!(records.last(), Some(&frame));
    }
}
