use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{set_thread_groups, set_thread_res_uid};

use super::*;
use crate::cli::dhcpd::control::Conversation;
use crate::cli::dhcpd::desk::fixture::Fixture;

const NOW: Instant = Instant::from_secs(7);
const ASK: &[u8] = b"{\"command\":\"leases\"}\n";

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("whohas-listener-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn listener(folder: &Folder) -> Listener<Conversation> {
    Listener::new(Door::unix(&folder.socket(), None).unwrap()).unwrap()
}

/// Serves until the other end, in a thread, has got what it came for.
fn serve<T: Send + 'static>(
    listener: &mut Listener<Conversation>,
    desk: &mut Fixture,
    visitor: impl FnOnce() -> T + Send + 'static,
) -> T {
    let visitor = std::thread::spawn(visitor);
    while !visitor.is_finished() {
        wait(listener);
        listener.serve(NOW, desk).unwrap();
    }
    visitor.join().unwrap()
}

fn wait<D>(listener: &Listener<D>) {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut ends = [PollFd::new(listener, PollFlags::IN)];
    let moment = Timespec {
        tv_sec: 0,
        tv_nsec: 10_000_000,
    };
    poll(&mut ends, Some(&moment)).unwrap();
}

#[test]
fn a_daemon_is_asked_over_a_socket_that_is_its_users_alone() {
    let folder = Folder::new("asked");
    let (mut listener, mut desk) = (listener(&folder), Fixture::with_leases(20_000));
    let path = folder.socket();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let heard = serve(&mut listener, &mut desk, {
        let path = path.clone();
        move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(ASK).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut heard = String::new();
            stream.read_to_string(&mut heard).unwrap();
            heard
        }
    });
    assert_eq!(heard.lines().count(), 20_001);
    drop(listener);
    assert!(!path.exists(), "the file goes with the daemon");
}

#[test]
fn what_a_daemon_left_is_removed_and_what_another_needs_is_not() {
    let folder = Folder::new("stale");
    let path = folder.socket();
    // The standard library leaves its file there, as a daemon does that was killed.
    drop(UnixListener::bind(&path).unwrap());
    let first = Door::unix(&path, None).unwrap();
    let error = Door::unix(&path, None).unwrap_err();
    assert!(matches!(error, DoorError::InUse(_)), "{error}");
    // Somebody has put another one there: that is not ours to remove.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(other);
    fs::remove_file(&path).unwrap();

    fs::write(&path, "precious").unwrap();
    let error = Door::unix(&path, None).unwrap_err();
    assert!(matches!(error, DoorError::NotASocket(_)), "{error}");
    let link = folder.0.join("link");
    symlink(&path, &link).unwrap();
    let error = Door::unix(&link, None).unwrap_err();
    assert!(matches!(error, DoorError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let long = folder.0.join("x".repeat(200));
    let error = Door::unix(&long, None).unwrap_err();
    assert!(matches!(error, DoorError::System { .. }), "{error}");
}

/// Connects as another user and says what it hears. Only this thread becomes that user, and it ends.
fn ask_as(path: PathBuf, user: u32, groups: &'static [u32]) -> io::Result<String> {
    let groups: Vec<Gid> = groups.iter().map(|&group| Gid::from_raw(group)).collect();
    set_thread_groups(&groups)?;
    let user = Uid::from_raw(user);
    set_thread_res_uid(user, user, user)?;
    let mut stream = UnixStream::connect(path)?;
    let _ = stream.write_all(ASK);
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut heard = Vec::new();
    // Who is refused is not listened to either, and the connection ends at once.
    let _ = stream.read_to_end(&mut heard);
    Ok(String::from_utf8(heard).expect("it is text"))
}

/// V28: whoever could connect could command.
#[test]
fn strangers_are_refused_even_where_the_files_mode_lets_them_in() {
    if !geteuid().is_root() {
        println!("left out: only root can become somebody else");
        return;
    }
    let folder = Folder::new("strangers");
    let mut desk = Fixture::with_leases(3);
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.socket();
    let ask = |groups| {
        let path = path.clone();
        move || ask_as(path, 65_534, groups)
    };

    let mut alone = listener(&folder);
    let error = serve(&mut alone, &mut desk, ask(&[])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let heard = serve(&mut alone, &mut desk, ask(&[4_242])).unwrap();
    assert!(heard.contains("\"denied\""), "{heard}");
    assert_eq!(alone.refused, 1);
    drop(alone);

    let door = Door::unix(&path, Some(Gid::from_raw(4_242))).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    let mut shared = Listener::new(door).unwrap();
    let heard = serve(&mut shared, &mut desk, ask(&[4_242])).unwrap();
    assert_eq!(heard.lines().count(), 4, "{heard}");
    let error = serve(&mut shared, &mut desk, ask(&[4_243])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn who_comes_when_all_places_are_taken_waits_until_one_is_free() {
    let folder = Folder::new("full");
    let (mut listener, mut desk) = (listener(&folder), Fixture::with_leases(0));
    let connect = || UnixStream::connect(folder.socket()).unwrap();
    let silent: Vec<UnixStream> = (0..Conversation::MOST).map(|_| connect()).collect();
    listener.serve(NOW, &mut desk).unwrap();
    let mut late = connect();
    late.write_all(ASK).unwrap();
    listener.serve(NOW, &mut desk).unwrap();
    assert_eq!(
        listener.connections.iter().flatten().count(),
        Conversation::MOST
    );
    let deadline = listener.poll_timeout().unwrap();
    assert_eq!(deadline, NOW + Duration::from_secs(30));

    listener
        .serve(deadline - Duration::from_micros(1), &mut desk)
        .unwrap();
    assert_eq!(listener.timed_out, 0);
    listener.serve(deadline, &mut desk).unwrap();
    assert_eq!(listener.timed_out, Conversation::MOST as u64);
    // It is let in, and then heard.
    for _ in 0..2 {
        wait(&listener);
        listener.serve(deadline, &mut desk).unwrap();
    }
    let mut heard = [0; 64];
    let len = late.read(&mut heard).unwrap();
    assert_eq!(&heard[..len], b"{\"v\":1,\"type\":\"end\",\"count\":0}\n");
    drop(silent);
}

#[test]
fn nobody_who_waits_or_has_gone_keeps_the_loop_awake() {
    let folder = Folder::new("idle");
    let (mut listener, mut desk) = (listener(&folder), Fixture::with_leases(100_000));
    // Asks, and never reads.
    let mut greedy = UnixStream::connect(folder.socket()).unwrap();
    greedy.write_all(ASK).unwrap();
    // Says half a word.
    let mut shy = UnixStream::connect(folder.socket()).unwrap();
    shy.write_all(b"{").unwrap();
    // Goes without a word.
    drop(UnixStream::connect(folder.socket()).unwrap());
    let mut turns = 0;
    while is_ready(&listener) {
        listener.serve(NOW, &mut desk).unwrap();
        turns += 1;
        assert!(turns < 1_000, "it never sleeps");
    }
    assert_eq!(listener.connections.iter().flatten().count(), 2);
}

fn is_ready<D>(listener: &Listener<D>) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut ends = [PollFd::new(listener, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut ends, Some(&at_once)).unwrap() > 0
}
