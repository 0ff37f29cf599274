//! The daemon, and what it says of itself.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::Value;
use whohas_lab::Folder;
use whohas_lab::lan::Host;
use whohas_lab::peers::Program;

/// The program under test, as the stage of `xtask` names it.
const COMMAND: &str = "WHOHAS_COMMAND";
/// Where metrics are, if they are asked for.
pub const HTTP: &str = "127.0.0.1:9167";

/// What differs between the configurations of tests.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Lines before all tables.
    pub top: String,
    pub conflicts: String,
    /// Where leases are kept, if not in the daemon's own folder.
    pub store: String,
    /// Lines of the subnet: pools.
    pub subnet: String,
    /// Tables behind it.
    pub rest: String,
}

impl Default for Setup {
    /// Ten addresses, and no probes: for tests that are about something else.
    fn default() -> Self {
        Self {
            top: String::new(),
            conflicts: "probe = false\nquarantine-percent = 100".into(),
            store: String::new(),
            subnet: r#"pools = ["10.0.0.50-10.0.0.59"]"#.into(),
            rest: String::new(),
        }
    }
}

/// What is asked for before addresses are offered.
pub const PROBING: &str = "probe-count = 2\nprobe-interval = \"60ms\"\nquarantine-percent = 100";

impl Setup {
    pub fn pool(range: &str) -> Self {
        Self {
            subnet: format!("pools = [\"{range}\"]"),
            ..Self::default()
        }
    }

    pub fn conflicts(self, lines: &str) -> Self {
        Self {
            conflicts: lines.into(),
            ..self
        }
    }

    pub fn top(mut self, line: &str) -> Self {
        let _ = writeln!(self.top, "{line}");
        self
    }

    pub fn rest(mut self, lines: &str) -> Self {
        let _ = writeln!(self.rest, "{lines}");
        self
    }

    fn text(&self, folder: &Path) -> String {
        let interfaces = match self.top.contains("interfaces") {
            true => "",
            false => "interfaces = [\"eth0\"]",
        };
        let times = match self.top.contains("lease-time") {
            true => "",
            false => "lease-time = \"5m\"\nmin-lease-time = \"4s\"",
        };
        let Self {
            top,
            conflicts,
            store,
            subnet,
            rest,
        } = self;
        let folder = folder.display();
        let own = format!("directory = \"{folder}/state\"");
        let store = if store.is_empty() { &own } else { store };
        format!(
            "{interfaces}\n{times}\ncontrol-socket = \"{folder}/socket\"\n{top}\n\
             [conflicts]\n{conflicts}\n\
             [store]\n{store}\n\
             {rest}\n\
             [[subnet]]\nprefix = \"10.0.0.0/24\"\n{subnet}\n"
        )
    }
}

/// A lease or an offer, as `whohas dhcpd leases --json` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub ip: Ipv4Addr,
    pub hardware: String,
    pub state: String,
    pub expires: Option<String>,
}

/// A running daemon.
pub struct Daemon<'h> {
    host: &'h Host,
    folder: Folder,
    program: Program,
}

impl<'h> Daemon<'h> {
    /// Starts it, and waits until it serves.
    #[track_caller]
    pub fn start(host: &'h Host, setup: &Setup) -> Self {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("state")).expect("it is ours");
        write(folder.path(), setup);
        let program = serve(host, folder.path());
        Self {
            host,
            folder,
            program,
        }
    }

    /// Ends it as the power does.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it anew, with what it has kept.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.program = serve(self.host, self.folder.path());
    }

    /// Ends it as it should be, and starts it anew.
    #[track_caller]
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Ends it as it should be.
    #[track_caller]
    pub fn stop(&mut self) {
        self.program.signal("TERM");
        assert!(self.program.ended(), "{:#?}", self.program.said());
    }

    /// Another configuration, read at the next start or reload.
    pub fn write(&self, setup: &Setup) {
        write(self.folder.path(), setup);
    }

    /// The same, whatever it says.
    pub fn write_text(&self, text: &str) {
        fs::write(self.folder.path().join("dhcpd.toml"), text).expect("it is ours");
    }

    pub fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// Waits for a line of the log with this in it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        self.program.expect(text);
    }

    /// The log since the start.
    pub fn log(&mut self) -> &[String] {
        self.program.said()
    }

    pub fn id(&self) -> u32 {
        self.program.id()
    }

    /// A file of its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a command to it prints, line by line.
    #[track_caller]
    pub fn ask(&self, words: &[&str]) -> Vec<Value> {
        let (success, said) = self.try_to_ask(words);
        assert!(success, "{words:?}: {said}");
        said.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {said}"))
            })
            .collect()
    }

    /// The same, and whether it was answered as one would like.
    pub fn try_to_ask(&self, words: &[&str]) -> (bool, String) {
        let socket = self.path("socket");
        let mut arguments = vec!["dhcpd"];
        arguments.extend(words);
        arguments.extend(["--json", "--socket", socket.to_str().expect("ours")]);
        let (success, stdout, stderr) = whohas_lab::attempt(&command(), &arguments);
        (success, stdout + &stderr)
    }

    /// What it has given and offered.
    #[track_caller]
    pub fn bindings(&self) -> Vec<Lease> {
        let lines = self.ask(&["leases"]);
        let leases = lines.iter().filter(|line| line["type"] == "lease");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        leases
            .map(|line| Lease {
                ip: address(&line["ip"]),
                hardware: text(&line["hardware"]).expect("a text"),
                state: text(&line["state"]).expect("a text"),
                expires: text(&line["expires"]),
            })
            .collect()
    }

    /// What it has given.
    #[track_caller]
    pub fn leases(&self) -> Vec<Lease> {
        let mut leases = self.bindings();
        leases.retain(|lease| lease.state == "leased");
        leases
    }

    /// The lease of an address.
    #[track_caller]
    pub fn lease(&self, ip: Ipv4Addr) -> Option<Lease> {
        self.leases().into_iter().find(|lease| lease.ip == ip)
    }

    /// The addresses that nobody gets, and why.
    #[track_caller]
    pub fn declined(&self) -> Vec<(Ipv4Addr, String)> {
        let lines = self.ask(&["declined"]);
        let declined = lines.iter().filter(|line| line["type"] == "declined");
        let why = |line: &Value| line["cause"].as_str().expect("a text").to_owned();
        declined
            .map(|line| (address(&line["ip"]), why(line)))
            .collect()
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.ask(&["status"]).remove(0)
    }

    /// What its metrics page says.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics"))
    }

    /// A page of it.
    #[track_caller]
    pub fn get(&self, path: &str) -> String {
        let page = self.host.within(|| {
            let mut stream = TcpStream::connect(HTTP)?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )?;
            let mut page = String::new();
            stream.read_to_string(&mut page)?;
            std::io::Result::Ok(page)
        });
        let page = page.expect("it is served");
        let (head, body) = page.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        body.to_owned()
    }

    /// A line of what the kernel says of its process.
    pub fn process(&self, key: &str) -> String {
        let path = format!("/proc/{}/status", self.id());
        let status = fs::read_to_string(path).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.expect("a line of this name")
            .trim_start_matches(':')
            .trim()
            .to_owned()
    }

    /// How much memory it uses, in KiB.
    pub fn memory(&self) -> u64 {
        let line = self.process("VmRSS");
        let number = line.split(' ').next().expect("a number");
        number.parse().expect("a number")
    }
}

/// A page of metrics.
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of a counter's samples, those that have this label.
    #[track_caller]
    pub fn sum(&self, name: &str, label: &str) -> u64 {
        let samples = self.0.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = rest.rsplit_once(' ')?;
            let mine = labels.is_empty() || labels.starts_with('{');
            (mine && labels.contains(label)).then_some(value)
        });
        let values = samples.map(|value| value.parse::<u64>().expect("a whole number"));
        values.sum()
    }
}

/// The program under test.
pub fn command() -> String {
    let beside = || {
        let mut path = env::current_exe().expect("a test knows its own binary");
        path.pop();
        path.pop();
        path.join("whohas").display().to_string()
    };
    env::var(COMMAND).unwrap_or_else(|_| beside())
}

fn write(folder: &Path, setup: &Setup) {
    fs::write(folder.join("dhcpd.toml"), setup.text(folder)).expect("it is ours");
}

#[track_caller]
fn serve(host: &Host, folder: &Path) -> Program {
    let config = folder.join("dhcpd.toml");
    let config = config.to_str().expect("ours");
    let mut program = host.start(&command(), &["dhcpd", "--config", config]);
    program.expect("serving");
    program
}

fn address(value: &Value) -> Ipv4Addr {
    let text = value.as_str().expect("a text");
    text.parse().expect("an address")
}
