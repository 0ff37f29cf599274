//! The example as people run it: a program on a cable, with the kernel, curl and wrk at the other end.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::http::PATTERN;
use crate::support::{attempt, run, wire_scenario};

const URL: &str = "http://10.0.0.1";
const QUEUES: usize = 2;
/// What waits in vain, waits for so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Said in the end if nothing is lost.
const ALL_BACK: &str = "all frames came back";

/// Where the example was built to.
fn example() -> PathBuf {
    if let Some(path) = env::var_os("WHOHAS_DPDK_HTTP") {
        return path.into();
    }
    let test = env::current_exe().expect("a test knows its own binary");
    let built = test.parent().and_then(|deps| deps.parent());
    let path = built
        .expect("a test is in a folder of a profile's")
        .join("examples/dpdk_http");
    assert!(
        path.exists(),
        "{} is not there: build it with `cargo build -p whohas-dpdk --example dpdk_http`",
        path.display()
    );
    path
}

/// The running example.
struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(words: &[&str]) -> Self {
        let mut child = Command::new(example())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let output = child.stdout.take().expect("it is piped");
        Self {
            child,
            output: BufReader::new(output),
        }
    }

    /// On a cable that is laid here, when it serves.
    fn on_veth() -> Self {
        run("ip", &["link", "add", "us", "type", "veth", "peer", "them"]);
        for end in ["us", "them"] {
            run("ip", &["link", "set", end, "addrgenmode", "none", "up"]);
        }
        run("ip", &["address", "add", "10.0.0.2/24", "dev", "them"]);
        run("ethtool", &["-K", "them", "tx", "off"]);
        let queues = QUEUES.to_string();
        let at = ["--address", "10.0.0.1/24", "--iface", "us"];
        let mut program = Self::start(&[&at[..], &["--queues", &queues]].concat());
        program.line("serving at");
        program
    }

    /// What it says with these words in it.
    fn line(&mut self, words: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let len = self.output.read_line(&mut line).expect("text");
            assert!(len > 0, "it has ended and not said `{words}`");
            println!("{}", line.trim_end());
            if line.contains(words) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is there");
    }

    /// It has ended as it should end.
    #[track_caller]
    fn has_ended(mut self) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        print!("{rest}");
        let status = self.child.wait().expect("it was not waited for");
        assert!(status.success(), "{status}");
        assert!(rest.contains(ALL_BACK), "frames are missing");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Does nothing if it has ended; otherwise the test has failed.
        let _ = self.child.kill();
    }
}

/// What curl gets.
#[track_caller]
fn fetch(path: &str) -> Vec<u8> {
    let url = format!("{URL}{path}");
    let words = ["--silent", "--show-error", "--fail", "--max-time", "60"];
    output(Command::new("curl").args(words).arg(url))
}

/// What a program writes that succeeds, without its complaints.
#[track_caller]
fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().expect("it is installed");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    output.stdout
}

fn status() -> Value {
    serde_json::from_slice(&fetch("/status")).expect("JSON")
}

/// Asks for the status until it is as it has to become.
#[track_caller]
fn status_until(mut is_right: impl FnMut(&Value) -> bool) -> Value {
    let pause = Duration::from_millis(20);
    for _ in 0..PATIENCE.as_millis() / pause.as_millis() {
        let status = status();
        if is_right(&status) {
            return status;
        }
        thread::sleep(pause);
    }
    panic!("it does not come to that: {:#}", status());
}

/// The holds on the kernel's address.
fn holds(status: &Value) -> Option<u64> {
    let list = status["neighbours"]["list"].as_array()?;
    let kernel = list.iter().find(|entry| entry["address"] == "10.0.0.2")?;
    kernel["holds"].as_u64()
}

/// A connection on which one request was answered.
fn connected() -> TcpStream {
    let mut stream = TcpStream::connect("10.0.0.1:80").expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = b"GET /hello HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n";
    stream.write_all(request).expect("written");
    let mut answer = Vec::new();
    while !answer.ends_with(b"Hello from a queue.\n") {
        let mut bytes = [0; 256];
        let len = stream.read(&mut bytes).expect("an answer");
        assert!(len > 0, "it has closed");
        answer.extend_from_slice(&bytes[..len]);
    }
    stream
}

/// It ends with an error instead if it is not closed but forgotten.
#[track_caller]
fn assert_closed(mut stream: &TcpStream) {
    let end = stream.read(&mut [0]);
    assert!(
        matches!(end, Ok(0)),
        "{:?}",
        end.map_err(|error| error.kind())
    );
}

wire_scenario! {
    fn curl_gets_every_page_over_the_cable() {
        let program = Program::on_veth();
        assert!(fetch("/").starts_with(b"whohas on DPDK\n"));
        assert_eq!(fetch("/hello"), b"Hello from a queue.\n");
        let long = fetch("/bytes/1000000");
        assert!(long.iter().eq(PATTERN.iter().cycle().take(1_000_000)));
        program.signal(Signal::TERM);
        program.has_ended();
    }
}

wire_scenario! {
    fn the_status_page_tells_of_queues_neighbours_and_holds() {
        let program = Program::on_veth();
        // Until both queues have some of them.
        let mut connections = Vec::new();
        let told = status_until(|told| {
            connections.push(connected());
            let queues = told["queues"].as_array().expect("queues");
            assert_eq!(queues.len(), QUEUES);
            let served = |queue: &Value| queue["requests"].as_u64() > Some(0);
            queues.iter().all(served) && holds(told) > Some(0)
        });
        assert_eq!(told["port"]["driver"], "net_af_packet");
        assert_eq!(told["port"]["link"]["up"], true);
        assert_eq!(told["neighbours"]["total"], 1);
        let mut arp = 0;
        for queue in told["queues"].as_array().expect("queues") {
            assert!(queue["frames"]["received"].as_u64() > Some(0), "{queue}");
            arp += queue["link"]["arp"].as_u64().expect("a number");
        }
        assert!(arp > 0);
        assert!(told["resolver"]["resolved"].as_u64() > Some(0));

        // A hold lives as long as its connection.
        drop(connections);
        status_until(|told| holds(told) == Some(0));
        program.signal(Signal::TERM);
        program.has_ended();
    }
}

wire_scenario! {
    fn a_load_is_served_without_an_error() {
        let program = Program::on_veth();
        let url = format!("{URL}/hello");
        let told = run("wrk", &["-t1", "-c32", "-d2", &url]);
        println!("note: {}", told.trim_end());
        // It tells of these only if there were some.
        assert!(!told.contains("Socket errors"), "{told}");
        assert!(!told.contains("Non-2xx"), "{told}");
        let told = status();
        let queues = told["queues"].as_array().expect("queues").iter();
        assert!(queues.clone().all(|queue| queue["requests"].as_u64() > Some(0)), "{told:#}");
        let lost = queues.map(|queue| &queue["frames"]).flat_map(|frames| {
            ["lost_over", "no_frame", "refused", "bad_sum", "too_long"].map(|name| frames[name].clone())
        });
        assert!(lost.into_iter().all(|count| count == 0), "{told:#}");
        program.signal(Signal::TERM);
        program.has_ended();
    }
}

wire_scenario! {
    fn a_server_that_stops_closes_its_connections() {
        let program = Program::on_veth();
        let connections: Vec<_> = (0..20).map(|_| connected()).collect();
        program.signal(Signal::TERM);
        connections.iter().for_each(assert_closed);
        // These never close their own ends: they are not waited for longer than the grace.
        program.has_ended();
    }
}

wire_scenario! {
    fn a_server_that_stops_in_the_middle_of_a_load_has_all_frames_back() {
        let program = Program::on_veth();
        let mut load = Command::new("wrk")
            .args(["-t1", "-c32", "-d60", &format!("{URL}/bytes/100000")])
            .stdout(Stdio::null())
            .spawn()
            .expect("wrk is installed");
        status_until(|told| {
            let queues = told["queues"].as_array().expect("queues");
            queues.iter().all(|queue| queue["requests"].as_u64() > Some(100))
        });
        program.signal(Signal::INT);
        program.has_ended();
        load.kill().expect("it is still trying");
        load.wait().expect("it was not waited for");
    }
}

wire_scenario! {
    fn a_port_that_is_not_there_is_an_error_in_words() {
        let output = Command::new(example())
            .args(["--address", "10.0.0.1/24", "--iface", "nowhere"])
            .output()
            .expect("the example starts");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(complaint.starts_with("dpdk_http: "), "{complaint}");
    }
}

/// Starts the demo, which makes a namespace of its own; `None` where it cannot.
fn demo(words: &[&str]) -> Option<Program> {
    let may = |flags: &[&str]| attempt("unshare", &[flags, &["--net", "true"]].concat()).0;
    if may(&[]) || may(&["--map-root-user"]) {
        return Some(Program::start(&[&["--demo"], words].concat()));
    }
    // Where it was promised that everything is tested, nothing may be left out in silence.
    assert!(
        env::var("CI").as_deref() != Ok("true"),
        "no namespaces here"
    );
    eprintln!("skipped: neither root nor user namespaces work here");
    None
}

#[test]
fn the_demo_shows_itself_and_what_it_says_one_can_type() {
    let Some(mut program) = demo(&[]) else { return };
    let line = program.line("curl http");
    let words: Vec<_> = line.split_whitespace().collect();
    // When the demo has fetched its own pages.
    program.line("\"version\"");
    let page = output(Command::new(words[0]).args(&words[1..]));
    let page: Value = serde_json::from_slice(&page).expect("JSON");
    assert_eq!(page["neighbours"]["list"][0]["address"], "10.0.0.2");
    let folder = env::temp_dir().join(format!("dpdk_http-{}", program.child.id()));
    assert!(folder.exists(), "its files are somewhere else");
    program.signal(Signal::INT);
    program.has_ended();
    assert!(!folder.exists(), "it has left files behind");
}

#[test]
fn the_demo_ends_by_itself_if_it_is_told_to() {
    if let Some(program) = demo(&["--once"]) {
        program.has_ended();
    }
}
