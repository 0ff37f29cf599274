//! The append log.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::store::{Change, Claim, Refusal, Store, Ticket, Version};
use whohas_linux::dhcp::{OpenError, StateDirectory};

use crate::desk::{
    self, Contents, Folder, commit, free, lease, next_outcome, note, quick, restless, wait_until,
};

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let folder = Folder::new();
    let path = folder.file("state");
    let (mut store, report, found) = desk::start(&path, quick());
    assert_eq!((report.records, report.skipped, found.len()), (0, 0, 0));

    let mut expected = Contents::new();
    for round in 0..20 {
        let records: Vec<_> = (0..50).map(|n| lease(n, round)).chain([free(7)]).collect();
        assert_eq!(commit(&mut store, &records), vec![Ok(()); 51]);
        for record in &records {
            note(&mut expected, record);
        }
    }
    drop(store);

    let (_store, report, found) = desk::start(&path, quick());
    assert_eq!((report.records, report.skipped), (49, 0));
    assert_eq!(found, expected);
}

#[test]
fn only_the_owner_reads_it_and_only_one_daemon_has_it() {
    let folder = Folder::new();
    let path = folder.file("a/state");
    let (mut store, ..) = desk::start(&path, quick());
    assert_eq!(commit(&mut store, &[lease(1, 0)]), [Ok(())]);
    let mode = |path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(mode(path.clone()), 0o700);
    assert_eq!(mode(path.join("leases.log")), 0o600);

    let second = StateDirectory::open(&path);
    assert!(matches!(second, Err(OpenError::InUse(named)) if named == path));
    drop(store);
    desk::open(&path);
}

#[test]
fn a_log_that_has_grown_is_written_anew_while_it_is_written() {
    let folder = Folder::new();
    let path = folder.file("state");
    let (mut store, ..) = desk::start(&path, restless());
    let mut round = 0;
    let mut expected = Contents::new();
    wait_until("ten snapshots", || {
        round += 1;
        let records: Vec<_> = (0..9).map(|n| lease(n, round)).collect();
        assert_eq!(commit(&mut store, &records), [Ok(()); 9]);
        for record in &records {
            note(&mut expected, record);
        }
        store.status().snapshots > 10
    });
    let status = store.status();
    assert_eq!((status.commits, status.changes), (round, round * 9));
    assert!(status.upkeep.is_none() && status.trouble.is_none());
    drop(store);
    let (_store, report, found) = desk::start(&path, quick());
    assert_eq!(report.skipped, 0);
    assert_eq!(found, expected);
    let names = fs::read_dir(&path).expect("it is there").count();
    assert_eq!(names, 1, "nothing is left beside the log");
}

#[test]
fn what_is_committed_while_it_is_written_is_written_together() {
    let folder = Folder::new();
    let (mut store, ..) = desk::start(&folder.file("state"), quick());
    let mut submitted = 0;
    while store.has_room() {
        let change = Change {
            ticket: Ticket(submitted),
            expects: Version::default(),
            record: lease(submitted as u16, 0),
        };
        store.submit(Instant::ZERO, &change);
        store.commit(Instant::ZERO);
        submitted += 1;
    }
    for n in 0..submitted {
        let outcome = next_outcome(&mut store);
        assert_eq!(
            (outcome.ticket, outcome.result),
            (Ticket(n), Ok(Version(1)))
        );
        assert!(store.has_room());
    }
    let status = store.status();
    assert_eq!(status.changes, u64::from(submitted));
    assert!(status.commits < status.changes / 2, "{status:?}");
}

#[test]
fn a_disk_that_is_fast_is_given_time_for_more_than_one_change() {
    let folder = Folder::new();
    let (mut store, ..) = desk::start(&folder.file("state"), quick());
    let began = std::time::Instant::now();
    for n in 0..50 {
        commit(&mut store, &[lease(n, 0)]);
    }
    let pauses = store.status().commits as u32 - 1;
    assert!(began.elapsed() >= pauses * Duration::from_millis(1));
}

#[test]
fn nobody_is_woken_for_outcomes_that_were_fetched() {
    let folder = Folder::new();
    let (mut store, ..) = desk::start(&folder.file("state"), quick());
    for n in 0..200 {
        commit(&mut store, &[lease(n, 0), lease(n + 200, 0)]);
        assert_eq!(store.poll_outcome(), None);
        let readable = whohas_linux::wait_readable(&store, Some(Duration::ZERO));
        assert!(!readable.expect("it can be waited for"), "{n}");
    }
}

#[test]
fn what_is_too_long_is_refused_alone() {
    let folder = Folder::new();
    let (mut store, ..) = desk::start(&folder.file("state"), quick());
    let mut long = lease(1, 0);
    if let Claim::Leased { holder, .. } = &mut long.claim {
        holder.client_id = Some(&[7; 256]);
    }
    let results = commit(&mut store, &[lease(1, 0), long, lease(2, 0)]);
    assert_eq!(results, [Ok(()), Err(Refusal::Unavailable), Ok(())]);
}
