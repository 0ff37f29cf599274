//! Two hosts and a cable: ours, where the command runs, and the kernel's in a namespace of its own, so
//! that ours can have an address.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::run;

pub(crate) const US: &str = "us";
pub(crate) const THEM: &str = "them";
pub(crate) const OUR_MAC: &str = "02:00:00:00:00:01";
pub(crate) const THEIR_MAC: &str = "02:00:00:00:00:02";

/// The other host. Gone with its namespace and its end of the cable when it is dropped.
pub(crate) struct Peer {
    process: Child,
}

impl Peer {
    /// Lays the cable. The peer has 10.0.0.2/16; we have no address.
    pub(crate) fn without_our_address() -> Self {
        let process = Command::new("unshare")
            .args(["--net", "sleep", "infinity"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("unshare is a part of util-linux");
        let peer = Self { process };
        peer.wait_for_namespace();
        let pid = peer.process.id().to_string();
        #[rustfmt::skip]
        run("ip", &[
            "link", "add", US, "address", OUR_MAC, "type", "veth",
            "peer", "name", THEM, "address", THEIR_MAC, "netns", &pid,
        ]);
        run("ip", &["link", "set", US, "addrgenmode", "none", "up"]);
        peer.ip(&["link", "set", THEM, "addrgenmode", "none", "up"]);
        peer.ip(&["addr", "add", "10.0.0.2/16", "dev", THEM]);
        peer
    }

    /// The same, and we have 10.0.0.1/16.
    pub(crate) fn new() -> Self {
        let peer = Self::without_our_address();
        run("ip", &["addr", "add", "10.0.0.1/16", "dev", US]);
        peer
    }

    fn wait_for_namespace(&self) {
        let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let ours = of("self");
        let theirs = self.process.id().to_string();
        while of(&theirs).is_none_or(|theirs| Some(theirs) == ours) {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// `ip` on the peer.
    #[track_caller]
    pub(crate) fn ip(&self, arguments: &[&str]) {
        let output = self.command("ip").args(arguments).output().expect("ip");
        assert!(output.status.success(), "ip {arguments:?}: {output:?}");
    }

    /// A program on the peer.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.process.id().to_string(),
            "--net",
            "--",
            program,
        ]);
        command
    }

    /// Makes the peer say who it is, by asking for us.
    pub(crate) fn speak(&self) {
        let mut arping = self.command("arping");
        // Whether it is answered is not its point.
        arping.args(["-c", "1", "-w", "1", "-I", THEM, "10.0.0.1"]);
        arping.output().expect("arping is in iputils-arping");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where the command is: where it was built, or a copy for users who may not look there.
pub(crate) fn program() -> String {
    let built = env!("CARGO_BIN_EXE_whohas");
    std::env::var("WHOHAS_COMMAND").unwrap_or_else(|_unset| built.into())
}

/// The command with these arguments, not started yet.
pub(crate) fn whohas(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a run of the command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The lines of `--json`, each of which must be an object of version 1 with the common fields.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line| {
            let value: Value = serde_json::from_str(line).expect(line);
            assert_eq!(value["v"], 1, "{line}");
            assert_eq!(value["interface"], US, "{line}");
            let time = value["time"].as_str().expect(line);
            assert!(is_rfc3339_utc(time), "{time}");
            value
        };
        self.out.lines().map(parse).collect()
    }
}

fn is_rfc3339_utc(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00.000000Z"
}

/// Runs the command to its end.
pub(crate) fn ran(arguments: &[&str]) -> Ran {
    whohas(arguments)
        .output()
        .expect("the command starts")
        .into()
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// Where a test of this name writes its capture: in a folder that everybody may write to.
pub(crate) fn capture(name: &str) -> String {
    let name = format!("whohas-{name}-{}.pcapng", std::process::id());
    let path = std::env::temp_dir().join(name);
    path.into_os_string()
        .into_string()
        .expect("a path in UTF-8")
}

/// ARP packets in a capture, as bytes of their frames. The capture is gone afterwards.
pub(crate) fn frames_in(path: &str) -> Vec<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = fs::File::open(path).expect("the capture is there");
    file.read_to_end(&mut bytes).expect("and can be read");
    fs::remove_file(path).expect("it is ours");
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    let word = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
    };
    while !rest.is_empty() {
        let total = word(rest, 4);
        assert_eq!(word(rest, total - 4), total, "a block ends with its length");
        // An enhanced packet block.
        if word(rest, 0) == 6 {
            let len = word(rest, 20);
            frames.push(rest[28..28 + len].to_vec());
        }
        rest = &rest[total..];
    }
    frames
}
