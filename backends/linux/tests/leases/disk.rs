//! Disks that are full, and such as cannot be written.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use whohas::dhcp::store::Refusal;
use whohas_lab::{disk_test, tool};

use crate::desk::{self, Contents, Folder, commit, lease, note, quick, restless, wait_until};

/// A disk of this many KiB.
fn mount(at: &Path, kilobytes: u32) {
    fs::create_dir_all(at).expect("a folder can be made");
    tool(&format!(
        "mount -t tmpfs -o size={kilobytes}k none {}",
        at.display()
    ));
}

fn remount(at: &Path, how: &str) {
    // With its source named, what it is mounted with is not looked up, and not set once more: in a user
    // namespace not all of it may be.
    tool(&format!("mount -o remount,{how} none {}", at.display()));
}

disk_test! {
    fn a_full_disk_refuses_and_loses_nothing_until_there_is_room_again() {
        for options in [quick(), restless()] {
            let folder = Folder::new();
            let disk = folder.file("disk");
            mount(&disk, 512);
            let (mut store, ..) = desk::start(&disk.join("state"), options);
            let mut expected = Contents::new();
            let mut round = 0;
            let mut write = |store: &mut _| {
                round += 1;
                let records: Vec<_> = (0..100).map(|n| lease(n, round)).collect();
                let results = commit(store, &records);
                if results[0].is_ok() {
                    for record in &records {
                        note(&mut expected, record);
                    }
                }
                // A batch fares as one.
                assert!(results.iter().all(|result| *result == results[0]));
                results[0]
            };
            assert_eq!(write(&mut store), Ok(()));
            // All there is, but for less than a block.
            fill(&disk);
            for _again in 0..3 {
                wait_until("the log is full", || write(&mut store) == Err(Refusal::Unavailable));
                let trouble = store.status().trouble.expect("it says why");
                assert_eq!(trouble.kind(), ErrorKind::StorageFull);
                let text = trouble.to_string();
                assert!(text.contains("leases.log") && text.contains("No space left"), "{text}");

                fs::remove_file(disk.join("filler")).expect("it is there");
                wait_until("there is room", || store.status().trouble.is_none());
                assert_eq!(write(&mut store), Ok(()));
                fill(&disk);
            }
            drop(store);
            fs::remove_file(disk.join("filler")).expect("it is there");
            let (_store, report, found) = desk::start(&disk.join("state"), quick());
            assert_eq!(report.skipped, 0);
            assert_eq!(found, expected);
            tool(&format!("umount -l {}", disk.display()));
        }
    }
}

/// Leaves nothing.
fn fill(disk: &Path) {
    let written = fs::write(disk.join("filler"), vec![0; 1 << 20]);
    let error = written.expect_err("the disk is smaller than that");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

disk_test! {
    fn a_log_on_a_disk_that_cannot_be_written_is_read_and_goes_on_when_it_can() {
        let folder = Folder::new();
        let disk = folder.file("disk");
        mount(&disk, 512);
        let state = disk.join("state");
        let (mut store, ..) = desk::start(&state, quick());
        assert_eq!(commit(&mut store, &[lease(1, 0)]), [Ok(())]);
        drop(store);
        remount(&disk, "ro");

        let mut expected = Contents::new();
        note(&mut expected, &lease(1, 0));
        let (mut store, _report, found) = desk::start(&state, quick());
        assert_eq!(found, expected);
        assert_eq!(commit(&mut store, &[lease(2, 0)]), [Err(Refusal::Unavailable)]);
        let trouble = store.status().trouble.expect("it says why");
        assert_eq!(trouble.kind(), ErrorKind::ReadOnlyFilesystem);

        remount(&disk, "rw");
        wait_until("it is written", || store.status().trouble.is_none());
        assert_eq!(commit(&mut store, &[lease(2, 0)]), [Ok(())]);
        drop(store);
        note(&mut expected, &lease(2, 0));
        assert_eq!(desk::start(&state, quick()).2, expected);
    }
}
