//! The daemon, with us as its service manager; and clients on the peer.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::lab::{Peer, Ran, THEM, US, program, ran};

/// A folder that goes with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        // Short, as names of sockets have to be.
        let path = std::env::temp_dir().join(format!("wd{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made where temporary files are");
        Self(path)
    }

    pub(super) fn file(&self, name: &str) -> String {
        let path = self.0.join(name).into_os_string();
        path.into_string().expect("a path in UTF-8")
    }

    pub(super) fn write(&self, name: &str, text: &str) -> String {
        let file = self.file(name);
        fs::write(&file, text).expect("there is room for a few bytes");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A daemon that runs; killed when it is dropped.
pub(super) struct Daemon {
    process: Child,
    manager: UnixDatagram,
    log: Receiver<Value>,
}

impl Daemon {
    /// Serves 10.0.0.100 to 10.0.0.119 by flags, these and others.
    pub(super) fn by_flags(folder: &Folder, extra: &[&str]) -> Self {
        let (state, socket) = (folder.file("state"), folder.file("control"));
        let arguments = [
            &["-i", US, "--range", "10.0.0.100-10.0.0.119"],
            &["--state-dir", &state, "--socket", &socket][..],
            extra,
        ];
        Self::start(folder, &arguments.concat())
    }

    /// Starts it, and waits until it serves.
    pub(super) fn start(folder: &Folder, arguments: &[&str]) -> Self {
        let name = folder.file("manager");
        let _ = fs::remove_file(&name);
        let manager = UnixDatagram::bind(&name).expect("a name of our own");
        let patience = Some(Duration::from_secs(30));
        manager.set_read_timeout(patience).expect("a time");
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", &program(), "dhcpd", "--json"])
            .args(arguments)
            .env("NOTIFY_SOCKET", &name)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("setpriv is a part of util-linux");
        let (said, log) = channel();
        let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                // What is not of the log is for people to read above.
                if let Ok(line) = serde_json::from_str(&line) {
                    let _ = said.send(line);
                }
            }
        });
        let daemon = Self {
            process,
            manager,
            log,
        };
        daemon.notice("READY=1");
        daemon
    }

    /// Waits until the manager is told this.
    #[track_caller]
    pub(super) fn notice(&self, text: &str) -> String {
        let mut buffer = [0; 512];
        loop {
            let len = self.manager.recv(&mut buffer).expect("it is told");
            let told = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if told.contains(text) {
                return told;
            }
        }
    }

    /// Waits until this event is in the log.
    #[track_caller]
    pub(super) fn logs(&self, event: &str) -> Value {
        loop {
            let line = self.log.recv_timeout(Duration::from_secs(30));
            let line = line.expect("it is logged");
            if line["event"] == event {
                return line;
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id() as i32).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }

    /// Asks it to end.
    #[track_caller]
    pub(super) fn stop(mut self) {
        self.signal(Signal::TERM);
        self.notice("STOPPING=1");
        let ended = self.process.wait().expect("it ends");
        assert_eq!(ended.code(), Some(0));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks the daemon, as users do.
#[track_caller]
pub(super) fn ask(folder: &Folder, question: &[&str]) -> Ran {
    let socket = folder.file("control");
    let arguments = [&["dhcpd"], question, &["--json", "--socket", &socket]].concat();
    ran(&arguments)
}

/// A client on the peer that ends when it has a lease, and prints what it was told.
pub(super) fn client(folder: &Folder, peer: &Peer, extra: &[&str]) -> Command {
    const SCRIPT: &str = "#!/bin/sh\n\
        case $1 in bound|renew) ip address replace $ip/$mask dev $interface;; esac\n\
        echo $1 $ip $mask $lease $serverid\n";
    let script = folder.write("script", SCRIPT);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut client = peer.command("setpriv");
    client
        .args([
            "--pdeathsig",
            "KILL",
            "busybox",
            "udhcpc",
            "-i",
            THEM,
            "-f",
            "-n",
            "-t",
            "5",
            "-T",
            "1",
        ])
        .args(["-s", &script])
        .args(extra);
    client
}

/// The address that a client gets.
#[track_caller]
pub(super) fn leased(folder: &Folder, peer: &Peer, extra: &[&str]) -> String {
    let output = client(folder, peer, &[&["-q"], extra].concat()).output();
    let ran = Ran::from(output.expect("busybox is installed"));
    let bound = ran.out.lines().find(|line| line.starts_with("bound "));
    let bound = bound.unwrap_or_else(|| panic!("no lease: {ran:?}"));
    bound.split(' ').nth(1).expect("an address").to_owned()
}
