//! The servers: each a process in a network namespace of its own, at one end of a new cable.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{self, Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::namespace::tool;
use super::{kernel, ours, smoltcp};

/// Whose turn is when.
pub(crate) const WHO: [&str; 3] = [ours::WHO, kernel::WHO, smoltcp::WHO];

/// The contenders' end of the cable, which the kernel gives no address.
pub(crate) const NEAR: &str = "us";
/// The kernel's end.
const FAR: &str = "them";
pub(crate) const NEAR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const FAR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const PREFIX_LEN: u8 = 24;
pub(crate) const PORT: u16 = 80;

/// Said to the start of this program that is a contender: which.
const CONTENDER: &str = "WHOHAS_BENCH_CONTENDER";
/// With how many queues.
const QUEUES: &str = "WHOHAS_BENCH_QUEUES";

/// Serves, if this process is to; then it has ended.
pub(crate) fn was_it() -> bool {
    let (Ok(who), Ok(queues)) = (env::var(CONTENDER), env::var(QUEUES)) else {
        return false;
    };
    let queues = queues.parse().expect("a number");
    // The namespace is here, and waits for its cable.
    say("here");
    hear();
    match who.as_str() {
        ours::WHO => ours::serve(queues),
        kernel::WHO => kernel::serve(queues),
        smoltcp::WHO => smoltcp::serve(queues),
        other => panic!("nobody is called {other}"),
    }
    // Now, as the kernel takes its time with a namespace that is gone.
    tool(&format!("ip link delete {NEAR}"));
    true
}

/// To be called by a contender that serves: returns when it is to end.
pub(crate) fn serve_until_told() {
    say("ready");
    while hear() {
        let cpu: Duration = clock_gettime(ClockId::ProcessCPUTime)
            .try_into()
            .expect("not negative");
        say(&cpu.as_nanos().to_string());
    }
}

fn say(word: &str) {
    println!("{word}");
}

/// Waits for a line; false at the end.
fn hear() -> bool {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("text") > 0
}

/// A contender that serves.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Where DPDK has its files.
    folder: PathBuf,
}

impl Running {
    pub(crate) fn start(who: &str, queues: u16) -> Self {
        let folder = env::temp_dir().join(format!("whohas-http-bench-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        let mut child = Command::new("unshare")
            .arg("--net")
            .arg(env::current_exe().expect("a program knows its own file"))
            .env(CONTENDER, who)
            .env(QUEUES, queues.to_string())
            // In a user namespace DPDK believes to be root, and may not write where root does.
            .env("RUNTIME_DIRECTORY", &folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare is a part of util-linux");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut running = Self {
            child,
            output,
            folder,
        };
        running.answer("here");
        lay_cable(running.child.id());
        running.say("go");
        running.answer("ready");
        running
    }

    /// The processor time that it has had, the kernel's on its behalf included.
    pub(crate) fn cpu(&mut self) -> Duration {
        self.say("cpu");
        let nanos = self.answer("").parse();
        Duration::from_nanos(nanos.expect("a number"))
    }

    /// Has it end, and waits until its cable is gone.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        let status = self.child.wait().expect("it was not waited for");
        assert!(status.success(), "{rest}");
    }

    fn say(&mut self, word: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{word}").expect("it listens");
    }

    /// The next line with these words in it.
    fn answer(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let len = self.output.read_line(&mut line).expect("text");
            assert!(len > 0, "it has ended");
            if line.contains(words) {
                return line.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Does nothing if it has ended.
        let _ = self.child.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Lays a cable to the namespace of a process.
fn lay_cable(to: u32) {
    tool(&format!(
        "ip link add {FAR} type veth peer name {NEAR} netns {to}"
    ));
    tool(&format!("ip link set {FAR} addrgenmode none up"));
    tool(&format!("ip address add {FAR_IP}/{PREFIX_LEN} dev {FAR}"));
    // What the kernel leaves to a card, DPDK's programs would have to do.
    tool(&format!("ethtool -K {FAR} tx off"));
}

/// Sets up this end, in a contender.
pub(crate) fn set_up_near_end() {
    tool(&format!("ip link set {NEAR} addrgenmode none up"));
}
