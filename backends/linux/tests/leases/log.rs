//! The append log.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use whohas_linux::dhcp::{OpenError, StateDirectory};

use crate::desk::{self, Contents, Folder, commit, free, lease, note, quick};

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
    assert!(StateDirectory::open(&path).is_ok());
}
