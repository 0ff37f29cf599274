//! A process that is killed while it writes.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::store::dnsmasq::{Document, Times};
use whohas::dhcp::store::{Change, Store, Ticket, Version};
use whohas_linux::dhcp::{FileStore, LeaseFile};
use whohas_linux::wait_readable;

use crate::desk::{self, Folder, lease, restless, round};

/// Said to the process that is going to be killed: where.
const VICTIM: &str = "WHOHAS_LEASES_VICTIM";
const ADDRESSES: u64 = 40;
const KILLS: u64 = 200;

/// What is in the store: the round of each lease.
fn start(folder: &Path) -> (FileStore, BTreeMap<u16, u64>) {
    let directory = desk::open(&folder.join("state"));
    let export = LeaseFile::open(folder.join("dnsmasq.leases"), Times::Expiry);
    let export = Some(export.expect("it can be opened"));
    let mut rounds = BTreeMap::new();
    let started = FileStore::log(directory, export, restless(), |record| {
        let [_ten, _seven, high, low] = record.ip.octets();
        rounds.insert(u16::from_be_bytes([high, low]), round(record));
    });
    let (store, report) = started.expect("it can be read");
    // A killed process tears at most what it was writing.
    assert!(report.skipped <= 1, "{:?}", report.lines);
    (store, rounds)
}

/// Writes for ever, and says what is durable.
fn victim(folder: &Path) {
    let (mut store, rounds) = start(folder);
    let mut next = rounds.values().max().map_or(0, |last| last + 1);
    loop {
        // Batches of all sizes, some of them while another one is being written.
        for _change in 0..next % 13 + 1 {
            if !store.has_room() {
                break;
            }
            let change = Change {
                ticket: Ticket(next as u32),
                expects: Version::default(),
                record: lease((next % ADDRESSES) as u16, next),
            };
            store.submit(Instant::ZERO, &change);
            next += 1;
        }
        store.commit(Instant::ZERO);
        if !next.is_multiple_of(3) {
            wait_readable(&store, None).expect("it can be waited for");
        }
        while let Some(outcome) = store.poll_outcome() {
            outcome.result.expect("there is room on the disk");
            eprintln!("{}", outcome.ticket.0);
        }
    }
}

#[test]
fn what_was_reported_is_there_whenever_the_process_is_killed() {
    if let Some(folder) = env::var_os(VICTIM) {
        return victim(Path::new(&folder));
    }
    let folder = Folder::new();
    let mut reported = BTreeMap::new();
    let mut random = 7_u64;
    for kill in 0..KILLS {
        let before = reported.len();
        run_and_kill(folder.file("").as_os_str(), &mut random, &mut reported);
        assert!(kill > 0 || reported.len() > before, "nothing was reported");
        let (_store, found) = start(&folder.file(""));
        for (address, round) in &reported {
            let there = found.get(address);
            assert!(
                there >= Some(round),
                "kill {kill}: {address}: {there:?} < {round}"
            );
        }
        check_export(&folder.file("dnsmasq.leases"));
    }
    println!(
        "{KILLS} kills, {} changes",
        reported.values().max().unwrap_or(&0)
    );
}

/// Runs a victim for some milliseconds, and notes the last round of each address that it reported.
fn run_and_kill(folder: &OsStr, random: &mut u64, reported: &mut BTreeMap<u16, u64>) {
    let mut child = Command::new(env::current_exe().expect("a test knows its own binary"))
        .args(["--exact", "--nocapture"])
        .arg("crash::what_was_reported_is_there_whenever_the_process_is_killed")
        .env(VICTIM, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a test can be started once more");
    let mut reports = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut text = String::new();
    reports.read_line(&mut text).expect("text");
    let reader = thread::spawn(move || {
        reports.read_to_string(&mut text).expect("text");
        text
    });
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    thread::sleep(Duration::from_micros(*random >> 40 & 0x3fff));
    child.kill().expect("it runs");
    child.wait().expect("it was not waited for");
    let text = reader.join().expect("it has read to the end");
    // The last line may be a part of one.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for line in whole.lines() {
        let round: u64 = line.parse().unwrap_or_else(|_| panic!("{text}"));
        reported.insert((round % ADDRESSES) as u16, round);
    }
}

/// Whoever reads the file reads a whole one.
fn check_export(file: &Path) {
    let Ok(bytes) = fs::read(file) else {
        return;
    };
    let now = Instant::ZERO;
    let document = Document::parse(now, Times::Expiry, &bytes, b"", |line| panic!("{line}"));
    assert!(bytes.ends_with(b"\n") && document.addresses().count() > 0);
}
