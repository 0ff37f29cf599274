//! A folder, records, and a server's part of a store.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::store::log::{self, MOST_FRAME};
use whohas::dhcp::store::{
    Change, Claim, Expiry, Holder, Outcome, Record, Refusal, Store, Ticket, Version,
};
use whohas::wire::dhcp::ClientHardware;
use whohas_linux::dhcp::{FileStore, LeaseFile, LoadReport, OpenError, Options, StateDirectory};

/// Longer than any disk takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// When the first round's leases end, in microseconds.
const START: u64 = 1_900_000_000_000_000;

/// A folder that is there as long as this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("whohas-leases-{}-{n}", process::id()));
        fs::create_dir_all(&path).expect("a folder can be made where temporary files are");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a store has, for comparison: each record as its frame.
pub(crate) type Contents = BTreeMap<Ipv4Addr, Vec<u8>>;

/// As a store does, forgets what is free.
pub(crate) fn note(contents: &mut Contents, record: &Record<'_>) {
    match record.claim {
        Claim::Free => contents.remove(&record.ip),
        _taken => contents.insert(record.ip, frame(record)),
    };
}

pub(crate) fn frame(record: &Record<'_>) -> Vec<u8> {
    let frame = log::frame(record, &mut [0; MOST_FRAME]).map(<[u8]>::to_vec);
    frame.expect("it fits")
}

/// The `n`th client's lease, as it was the `round`th time.
pub(crate) fn lease(n: u16, round: u64) -> Record<'static> {
    let [high, low] = n.to_be_bytes();
    let hardware = ClientHardware::new(1, &[2, 0, 0, 0, high, low]);
    Record {
        ip: Ipv4Addr::new(10, 7, high, low),
        claim: Claim::Leased {
            holder: Holder {
                hardware: hardware.expect("six bytes fit"),
                client_id: Some(&[255, 0, 7, 0]),
                host_name: Some("sensor-7"),
            },
            expiry: Expiry::At(Instant::from_micros(START + round)),
        },
    }
}

/// Nobody has the address.
pub(crate) fn free(n: u16) -> Record<'static> {
    Record {
        claim: Claim::Free,
        ..lease(n, 0)
    }
}

/// The `round` of such a lease.
pub(crate) fn round(record: &Record<'_>) -> u64 {
    match record.claim {
        Claim::Leased {
            expiry: Expiry::At(end),
            ..
        } => end.as_micros() - START,
        other => panic!("{other:?}"),
    }
}

/// Opens a directory that nobody has for long: a process that another test starts has all that is open,
/// until it has become another program.
#[track_caller]
pub(crate) fn open(path: &Path) -> StateDirectory {
    let mut opened = None;
    wait_until("nobody has it", || match StateDirectory::open(path) {
        Err(OpenError::InUse(_)) => false,
        result => {
            opened = Some(result.expect("it can be opened"));
            true
        }
    });
    opened.expect("it was waited for")
}

/// Starts a log, and says what is in it.
#[track_caller]
pub(crate) fn start(directory: &Path, options: Options) -> (FileStore, LoadReport, Contents) {
    start_with(directory, None, options)
}

/// As [`start`], with an export.
#[track_caller]
pub(crate) fn start_with(
    directory: &Path,
    export: Option<LeaseFile>,
    options: Options,
) -> (FileStore, LoadReport, Contents) {
    let directory = open(directory);
    let mut contents = Contents::new();
    let started = FileStore::log(directory, export, options, |record| {
        note(&mut contents, record);
    });
    let (store, report) = started.expect("it can be read");
    (store, report, contents)
}

/// Options that leave out what takes time.
pub(crate) fn quick() -> Options {
    let mut options = Options::default();
    options.retry_after = Duration::from_millis(1);
    options.retry_at_most = Duration::from_millis(10);
    options.export_after = Duration::from_millis(1);
    options
}

/// As [`quick`], with snapshots all the time.
pub(crate) fn restless() -> Options {
    let mut options = quick();
    options.shortest_log = 1024;
    options.growth = NonZeroU32::MIN.saturating_add(1);
    options
}

/// Waits, as a person who looks at a status now and then.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = std::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(std::time::Instant::now() < patience, "not in time: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Submits and commits these, and waits for all outcomes.
pub(crate) fn commit(store: &mut FileStore, records: &[Record<'_>]) -> Vec<Result<(), Refusal>> {
    for (n, record) in records.iter().enumerate() {
        let change = Change {
            ticket: Ticket(n as u32),
            expects: Version(6),
            record: *record,
        };
        assert!(store.has_room());
        store.submit(Instant::ZERO, &change);
    }
    store.commit(Instant::ZERO);
    let mut results = Vec::new();
    for n in 0..records.len() {
        let Outcome { ticket, result } = next_outcome(store);
        assert_eq!(ticket, Ticket(n as u32), "in their order");
        results.push(result.map(|version| assert_eq!(version, Version(7))));
    }
    results
}

/// Waits for an outcome as a daemon does.
pub(crate) fn next_outcome(store: &mut FileStore) -> Outcome {
    loop {
        if let Some(outcome) = store.poll_outcome() {
            return outcome;
        }
        let readable = whohas_linux::wait_readable(&store, Some(PATIENCE));
        let readable = readable.expect("it can be waited for");
        assert!(readable, "no outcome");
    }
}
