//! dnsmasq's lease file: beside a log, and alone.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use whohas::dhcp::store::dnsmasq::Times;
use whohas::dhcp::store::{Cause, Claim, Record, Refusal};
use whohas::wire::dhcp::ClientHardware;
use whohas::{Instant, UnicastMac};
use whohas_lab::{disk_test, tool};
use whohas_linux::dhcp::{FileStore, LeaseFile, LoadReport};

use crate::desk::{self, Contents, Folder, commit, frame, free, lease, note, quick, wait_until};

const FILE: &str = "\
1900000001 02:00:00:00:00:01 10.7.0.1 sensor-7 ff:00:07:00
1900000500 02:00:00:00:00:02 10.7.0.2 elsewhere *
duid 00:01:00:01:2c:5a
1900000000 7 2001:db8::7 * 00:01:00:01
";

fn open(path: &Path) -> LeaseFile {
    LeaseFile::open(path, Times::Expiry).expect("it can be opened")
}

fn start_alone(path: &Path) -> (FileStore, LoadReport, Contents) {
    let mut contents = Contents::new();
    // Until nobody has its directory.
    drop(desk::open(path.parent().expect("it is in a folder")));
    let started = FileStore::dnsmasq(open(path), quick(), |record| note(&mut contents, record));
    let (store, report) = started.expect("it can be read");
    (store, report, contents)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn declined(n: u16) -> Record<'static> {
    let by = ClientHardware::ethernet(UnicastMac::new([2, 0, 0, 0, 0, 9]).expect("it is even"));
    Record {
        claim: Claim::Quarantined {
            until: Instant::from_secs(1_900_000_300),
            cause: Cause::Declined { by },
        },
        ..lease(n, 0)
    }
}

#[test]
fn an_export_has_what_was_committed_and_keeps_what_is_not_ours() {
    let folder = Folder::new();
    let (state, file) = (folder.file("state"), folder.file("dnsmasq.leases"));
    fs::write(&file, FILE).expect("it can be written");
    let modified = |path| fs::metadata(path).expect("it is there").ino();
    let untouched = modified(&file);

    // What dnsmasq has promised is taken over.
    let (mut store, report, found) = desk::start_with(&state, Some(open(&file)), quick());
    assert_eq!((report.records, report.imported, report.skipped), (2, 2, 0));
    assert_eq!(found.len(), 2);
    assert_eq!(commit(&mut store, &[free(9)]), [Ok(())]);
    assert_eq!(
        (text(&file).as_str(), modified(&file)),
        (FILE, untouched),
        "no news"
    );

    let news = [lease(1, 0), free(2), lease(3, 0), declined(4)];
    assert_eq!(commit(&mut store, &news), [Ok(()); 4]);
    let expected = "\
1900000000 02:00:00:00:00:01 10.7.0.1 sensor-7 ff:00:07:00
1900000000 02:00:00:00:00:03 10.7.0.3 sensor-7 ff:00:07:00
1900000300 00:00:00:00:00:00 10.7.0.4 * *
duid 00:01:00:01:2c:5a
1900000000 7 2001:db8::7 * 00:01:00:01
";
    wait_until("the export", || text(&file) == expected);
    let sidecar = folder.file("dnsmasq.leases.quarantine");
    assert_eq!(
        text(&sidecar),
        "1900000300 10.7.0.4 declined 02:00:00:00:00:09\n"
    );

    // What was committed last is there when the store has ended.
    assert_eq!(commit(&mut store, &[free(4)]), [Ok(())]);
    drop(store);
    assert_eq!(text(&sidecar), "");
    let expected = expected.replace("1900000300 00:00:00:00:00:00 10.7.0.4 * *\n", "");
    assert_eq!(text(&file), expected);

    // And nothing of it is news to the log.
    let (_store, report, found) = desk::start_with(&state, Some(open(&file)), quick());
    assert_eq!((report.records, report.imported), (2, 0));
    assert_eq!(found[&lease(1, 0).ip], frame(&lease(1, 0)));
    assert_eq!(text(&file), expected);
}

#[test]
fn what_dnsmasq_has_promised_meanwhile_counts_if_it_ends_later() {
    let folder = Folder::new();
    let (state, file) = (folder.file("state"), folder.file("dnsmasq.leases"));
    let (mut store, ..) = desk::start(&state, quick());
    let ours = [lease(1, 2_000_001), lease(2, 0)];
    assert_eq!(commit(&mut store, &ours), [Ok(()); 2]);
    drop(store);
    fs::write(&file, FILE).expect("it can be written");

    let (store, report, found) = desk::start_with(&state, Some(open(&file)), quick());
    assert_eq!((report.records, report.imported), (2, 1));
    assert_eq!(found[&lease(1, 0).ip], frame(&ours[0]));
    assert_ne!(found[&lease(2, 0).ip], frame(&ours[1]));
    drop(store);
    // The log has it from now on.
    fs::remove_file(&file).expect("it is there");
    assert_eq!(desk::start(&state, quick()).2, found);
}

#[test]
fn a_lease_file_alone_is_a_store() {
    let folder = Folder::new();
    let file = folder.file("dnsmasq.leases");
    fs::write(&file, FILE).expect("it can be written");
    let (mut store, report, found) = start_alone(&file);
    assert_eq!((report.records, report.skipped), (2, 0));
    assert_eq!(text(&file), FILE);
    let second = FileStore::dnsmasq(open(&file), quick(), |_record| {});
    assert!(second.is_err_and(|error| error.to_string().contains("in use")));

    let news = [lease(3, 0), declined(4), free(2)];
    assert_eq!(commit(&mut store, &news), [Ok(()); 3]);
    drop(store);
    let mut expected = found;
    for record in &news {
        note(&mut expected, record);
    }
    let (_store, report, found) = start_alone(&file);
    assert_eq!((found, report.skipped), (expected, 0));
    assert!(text(&file).ends_with("2001:db8::7 * 00:01:00:01\n"));
}

#[test]
fn a_lease_file_keeps_its_mode_and_its_place_behind_a_link() {
    let folder = Folder::new();
    let (file, link) = (folder.file("dnsmasq.leases"), folder.file("link"));
    fs::write(&file, FILE).expect("it can be written");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("it is ours");
    symlink(&file, &link).expect("it can be made");
    let (mut store, ..) = start_alone(&link);
    assert_eq!(commit(&mut store, &[lease(3, 0), declined(4)]), [Ok(()); 2]);
    let mode = |path: &Path| {
        fs::symlink_metadata(path)
            .map(|data| data.mode())
            .unwrap_or(0)
    };
    assert_eq!(mode(&file), 0o100_644);
    assert_eq!(mode(&link) & 0o170_000, 0o120_000);
    // What is new is ours alone.
    assert_eq!(mode(&folder.file("dnsmasq.leases.quarantine")), 0o100_600);
    assert!(text(&file).contains("10.7.0.3"));
}

disk_test! {
    fn a_lease_file_that_is_a_mount_point_is_written_over_if_there_is_a_log() {
        let folder = Folder::new();
        let (state, file) = (folder.file("state"), folder.file("dnsmasq.leases"));
        fs::write(folder.file("outside"), FILE).expect("it can be written");
        fs::write(&file, "").expect("it can be written");
        let (from, to) = (folder.file("outside"), file.clone());
        tool(&format!("mount --bind {} {}", from.display(), to.display()));

        let (mut store, ..) = desk::start_with(&state, Some(open(&file)), quick());
        let news = [lease(1, 0), free(2)];
        assert_eq!(commit(&mut store, &news), [Ok(()); 2]);
        let shorter = text(&folder.file("outside")).len();
        wait_until("the export", || text(&folder.file("outside")).len() < shorter);
        let expected = FILE
            .replace("1900000001", "1900000000")
            .replace("1900000500 02:00:00:00:00:02 10.7.0.2 elsewhere *\n", "");
        wait_until("the export", || text(&folder.file("outside")) == expected);
        assert!(store.status().export.is_none());
        drop(store);

        // Alone, a crash would leave a part of it and nothing else.
        let (mut store, ..) = start_alone(&file);
        assert_eq!(commit(&mut store, &[free(1)]), [Err(Refusal::Unavailable)]);
        let trouble = store.status().trouble.expect("it says why");
        assert_eq!(trouble.kind(), ErrorKind::ResourceBusy);
        assert_eq!(text(&folder.file("outside")), expected);
        drop(store);
        tool(&format!("umount {}", file.display()));
    }
}

disk_test! {
    fn a_lease_file_on_a_full_disk_says_what_was_committed() {
        let folder = Folder::new();
        let disk = folder.file("disk");
        fs::create_dir_all(&disk).expect("a folder can be made");
        tool(&format!("mount -t tmpfs -o size=64k none {}", disk.display()));
        let file = disk.join("dnsmasq.leases");
        let (mut store, ..) = start_alone(&file);
        assert_eq!(commit(&mut store, &[lease(1, 0)]), [Ok(())]);
        let filled = fs::write(disk.join("filler"), vec![0; 1 << 20]);
        assert!(filled.is_err());
        let refused = [lease(1, 1_000_000), lease(2, 0), free(1), declined(3)];
        assert_eq!(commit(&mut store, &refused), [Err(Refusal::Unavailable); 4]);
        let trouble = store.status().trouble.expect("it says why");
        assert_eq!(trouble.kind(), ErrorKind::StorageFull);
        fs::remove_file(disk.join("filler")).expect("it is there");
        wait_until("there is room", || store.status().trouble.is_none());
        let line = "1900000000 02:00:00:00:00:01 10.7.0.1 sensor-7 ff:00:07:00\n";
        assert_eq!(text(&file), line);
        drop(store);
        tool(&format!("umount -l {}", disk.display()));
    }
}
