//! Logs that are not as they were written.

use std::fs;

use whohas::dhcp::store::log::{self, MOST_FRAME};
use whohas_linux::dhcp::{FileStore, LoadError, StateDirectory};

use crate::desk::{self, Contents, Folder, commit, frame, lease, note, quick};

/// A log of four leases, and where each of its frames ends.
fn sample() -> (Vec<u8>, Vec<usize>) {
    let mut bytes = log::header(&mut [0; MOST_FRAME]).to_vec();
    let mut ends = Vec::new();
    for n in 0..4 {
        bytes.extend(frame(&lease(n, 0)));
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn leases(which: impl Iterator<Item = usize>) -> Contents {
    let mut contents = Contents::new();
    for n in which {
        note(&mut contents, &lease(n as u16, 0));
    }
    contents
}

#[test]
fn a_log_that_was_cut_anywhere_goes_on_from_there() {
    let (bytes, ends) = sample();
    for cut in 0..=bytes.len() {
        let folder = Folder::new();
        let file = folder.file("leases.log");
        fs::write(&file, &bytes[..cut]).expect("it can be written");
        let mut expected = leases((0..4).filter(|n| ends[*n] <= cut + 1));

        let (mut store, _report, found) = desk::start(&folder.file(""), quick());
        assert_eq!(found, expected, "cut at {cut}");
        assert_eq!(commit(&mut store, &[lease(7, 1)]), [Ok(())]);
        drop(store);

        note(&mut expected, &lease(7, 1));
        let (_store, report, found) = desk::start(&folder.file(""), quick());
        assert_eq!((found, report.skipped), (expected, 0), "cut at {cut}");
    }
}

#[test]
fn a_log_with_a_bit_that_is_wrong_loses_one_record_and_keeps_a_copy() {
    let (bytes, _ends) = sample();
    for bit in (0..bytes.len() * 8).step_by(5) {
        let folder = Folder::new();
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        fs::write(folder.file("leases.log"), &bent).expect("it can be written");

        let (store, report, found) = desk::start(&folder.file(""), quick());
        assert!(found.len() >= 3, "bit {bit}");
        assert!(found.iter().all(|lease| leases(0..4).contains_key(lease.0)));
        let at_the_end = report.lines.iter().all(|line| line.contains("torn"));
        assert!(at_the_end, "{:?}", report.lines);
        drop(store);

        let (_store, report, again) = desk::start(&folder.file(""), quick());
        assert_eq!((again, report.skipped), (found.clone(), 0), "bit {bit}");
        // What is torn at the end is nothing that anybody would look for.
        if let Ok(copy) = fs::read(folder.file("leases.log.damaged")) {
            assert_eq!(copy, bent, "bit {bit}");
        } else {
            assert!(
                found.len() == 4 || !found.contains_key(&lease(3, 0).ip),
                "bit {bit}"
            );
        }
    }
}

#[test]
fn something_else_of_that_name_is_kept_and_not_understood() {
    let folder = Folder::new();
    fs::write(folder.file("leases.log"), "not a log").expect("it can be written");
    let (mut store, report, found) = desk::start(&folder.file(""), quick());
    assert_eq!((found.len(), report.skipped), (0, 1));
    let expected = "leases.log: 9 bytes at offset 0: torn, or changed on the disk";
    assert_eq!(report.lines, [expected]);
    assert_eq!(commit(&mut store, &[lease(1, 0)]), [Ok(())]);
    let kept = fs::read(folder.file("leases.log.damaged")).expect("it is kept");
    assert_eq!(kept, b"not a log");
}

#[test]
fn what_a_later_version_has_written_is_left_alone() {
    let folder = Folder::new();
    let mut bytes = b"\0\x15Wwhohas leases \x02".to_vec();
    bytes.extend([0x50, 0xdb, 0x1f, 0xf0, 0]);
    fs::write(folder.file("leases.log"), &bytes).expect("it can be written");
    let directory = StateDirectory::open(folder.file("")).expect("it is there");
    let started = FileStore::log(directory, None, quick(), |_record| {});
    assert!(
        matches!(started, Err(LoadError::Newer(_, 2))),
        "{started:?}"
    );
    assert_eq!(fs::read(folder.file("leases.log")).ok(), Some(bytes));
}
