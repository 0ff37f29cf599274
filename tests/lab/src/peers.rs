//! Programs that others wrote, as peers: started for one test, and killed at its end.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::cable::THEIR_IP;
use crate::folder::Folder;
use crate::run;

/// Where the broker listens.
pub const MQTT: u16 = 1883;
/// Where the collector listens.
pub const OTLP: u16 = 4318;

/// After which a program that is waited for will never get there.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program; dropped, it is killed.
pub struct Program {
    name: String,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Program {
    /// Starts it. It does not outlive this thread, whatever becomes of us.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_behind(&[], name, arguments)
    }

    /// The same, by these words, which become that program.
    pub(crate) fn start_behind(words: &[String], name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .args(words)
            .arg(name)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("setpriv is a part of util-linux");
        let (line, lines) = channel();
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        for output in [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)] {
            let line = line.clone();
            thread::spawn(move || {
                let read = BufReader::new(output).lines().map_while(Result::ok);
                read.map_while(|text| line.send(text).ok()).for_each(drop);
            });
        }
        Self {
            name: name.into(),
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        self.expect_times(1, text);
    }

    /// Waits until it has said this in as many lines.
    #[track_caller]
    pub fn expect_times(&mut self, times: usize, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let said_it = |said: &[String]| said.iter().filter(|line| line.contains(text)).count();
        while said_it(&self.said) < times {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{} has ended: is it installed? {:#?}", self.name, self.said)
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} does not say `{text}`: {:#?}", self.name, self.said)
                }
            }
        }
    }

    /// What it has said so far.
    pub fn said(&mut self) -> &[String] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended; whether as it should.
    #[track_caller]
    pub fn ended(&mut self) -> bool {
        let ended = self.ends_within(PATIENCE);
        ended.unwrap_or_else(|| panic!("goes on: {:#?}", self.said()))
    }

    /// The same, if it ends in time.
    pub fn ends_within(&mut self, patience: Duration) -> Option<bool> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return Some(status.success());
            }
            if Instant::now() > deadline {
                return None;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it at once, as the power does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it was not waited for");
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        run("kill", &["-s", signal, &self.child.id().to_string()]);
    }

    /// Waits until it takes connections at this port.
    #[track_caller]
    pub fn listens(&mut self, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((THEIR_IP, port)).is_err() {
            let ended = self.child.try_wait().expect("it is our child").is_some();
            let said = self.said();
            assert!(!ended, "has ended: is it installed? {said:#?}");
            assert!(Instant::now() < deadline, "does not listen: {said:#?}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error is that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file for a program; dropped, it is removed.
pub struct Scratch {
    path: PathBuf,
    _folder: Folder,
}

impl Scratch {
    /// Writes it where temporary files are.
    pub fn write(name: &str, text: &str) -> Self {
        let folder = Folder::new();
        let path = folder.path().join(name);
        fs::write(&path, text).expect("there is room for a few bytes");
        Self {
            path,
            _folder: folder,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("we chose the name")
    }
}

/// The collector's program, if there is one on this machine.
pub fn collector() -> Option<String> {
    let program = env::var("WHOHAS_COLLECTOR").ok();
    if program.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "no collector");
        eprintln!("skipped: no collector; `cargo xtask test` gets one");
    }
    program
}

/// A collector that says what it receives.
#[track_caller]
pub fn start_collector(program: &str) -> Program {
    start_collector_with(program, &[])
}

/// A collector that says each record that it receives, and all that is in it.
#[track_caller]
pub fn start_talkative_collector(program: &str) -> Program {
    start_collector_with(program, &["--debug-log-verbosity", "detailed"])
}

#[track_caller]
fn start_collector_with(program: &str, more: &[&str]) -> Program {
    let (http, grpc) = (format!("{THEIR_IP}:{OTLP}"), format!("{THEIR_IP}:4317"));
    let mut arguments = vec!["start", "--exporter", "blackhole"];
    arguments.extend(["--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc]);
    arguments.extend(more);
    for kind in ["logs", "metrics", "traces"] {
        arguments.extend(["--debug-log", kind]);
    }
    let mut collector = Program::start(program, &arguments);
    collector.listens(OTLP);
    collector
}

/// An MQTT broker for everybody, and its configuration, which it may read again.
#[track_caller]
pub fn start_broker() -> (Program, Scratch) {
    // In a user namespace there is nobody else to become.
    let config = format!(
        "listener {MQTT} {THEIR_IP}\nallow_anonymous true\nuser root\nlog_dest stderr\nlog_type all\n"
    );
    let config = Scratch::write("mosquitto.conf", &config);
    let mut broker = Program::start("mosquitto", &["-c", config.path()]);
    broker.listens(MQTT);
    (broker, config)
}

/// Somebody who says what is published, in this format of `mosquitto_sub`.
#[track_caller]
pub fn start_subscriber(broker: &mut Program, topic: &str, format: &str) -> Program {
    let (host, port) = (THEIR_IP.to_string(), MQTT.to_string());
    #[rustfmt::skip]
    let arguments = [
        "-h", &host, "-p", &port, "-V", "5", "-q", "1", "-t", topic, "-F", format,
    ];
    let subscriber = Program::start("mosquitto_sub", &arguments);
    broker.expect("Sending SUBACK");
    subscriber
}
