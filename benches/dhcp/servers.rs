//! The servers: how each is told the same, and how leases of a former life are given to it.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use whohas_lab::peers::Program;
use whohas_lab::{Folder, command};

use crate::far::{NEAR, SERVER};

/// What is given away.
const POOL: [&str; 2] = ["10.2.0.0", "10.63.255.255"];
const LEASE: u32 = 3_600;

/// A server program.
#[derive(Clone, Copy)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    /// Whether it can look for conflicts.
    pub(crate) probes: bool,
    start: fn(&Path, u32, bool) -> Program,
}

/// All of them, ours first.
pub(crate) const SERVERS: [Server; 3] = [
    Server {
        name: "whohas",
        probes: true,
        start: start_whohas,
    },
    Server {
        name: "kea",
        probes: false,
        start: start_kea,
    },
    Server {
        name: "dnsmasq",
        probes: true,
        start: start_dnsmasq,
    },
];

/// A running server, and where its files are.
pub(crate) struct Running {
    program: Program,
    _files: Folder,
}

impl Server {
    /// Starts it with so many leases; until it answers.
    pub(crate) fn start(self, leases: u32, probe: bool) -> Running {
        let files = Folder::new();
        let program = (self.start)(files.path(), leases, probe);
        Running {
            program,
            _files: files,
        }
    }
}

impl Running {
    /// How much of its memory is resident, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.program.id());
        let status = fs::read_to_string(status).expect("it runs");
        let lines = status
            .lines()
            .filter_map(|line| line.strip_prefix("VmRSS:"));
        let mut kibibytes = lines.filter_map(|rest| rest.split_whitespace().next()?.parse().ok());
        let kibibytes: u64 = kibibytes.next().expect("a process has memory");
        1_024 * kibibytes
    }
}

/// A file of this text.
fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("there is room for a few megabytes");
    path.display().to_string()
}

/// Leases of clients that are none of perfdhcp's: their addresses and hardware addresses.
fn leases(count: u32) -> impl Iterator<Item = (Ipv4Addr, String)> {
    let first: Ipv4Addr = POOL[0].parse().expect("an address");
    (0..count).map(move |n| {
        let [_, a, b, c] = n.to_be_bytes();
        let ip = Ipv4Addr::from_bits(first.to_bits() + n);
        (ip, format!("02:aa:00:{a:02x}:{b:02x}:{c:02x}"))
    })
}

/// When those leases end, in Unix time.
fn end() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_secs() + 100_000
}

/// The leases as dnsmasq writes them.
fn lease_file(folder: &Path, count: u32) -> String {
    let end = end();
    let mut text = String::new();
    for (ip, mac) in leases(count) {
        writeln!(text, "{end} {mac} {ip} * *").expect("to memory");
    }
    write(folder, "leases", &text)
}

fn start_whohas(folder: &Path, leases: u32, probe: bool) -> Program {
    let before = lease_file(folder, leases);
    let [first, last] = POOL;
    let config = format!(
        r#"
        interfaces = ["{NEAR}"]
        control-socket = false
        max-leases = 5000000
        lease-time = {LEASE}
        [conflicts]
        probe = {probe}
        [store]
        directory = "{}"
        [dnsmasq]
        import-leases = "{before}"
        [log]
        # As the others are told: nothing of each lease.
        level = "notice"
        [[subnet]]
        prefix = "10.0.0.0/8"
        pools = ["{first}-{last}"]
        "#,
        folder.join("state").display(),
    );
    let config = write(folder, "whohas.toml", &config);
    let whohas = command::whohas();
    let whohas = whohas.to_str().expect("a path that can be read");
    let mut program = Program::start(whohas, &["dhcpd", "--config", &config]);
    program.expect("serving");
    program
}

fn start_dnsmasq(folder: &Path, leases: u32, probe: bool) -> Program {
    let file = format!("--dhcp-leasefile={}", lease_file(folder, leases));
    let [first, last] = POOL;
    let range = format!("--dhcp-range={first},{last},255.0.0.0,{LEASE}");
    let interface = format!("--interface={NEAR}");
    let mut arguments = vec![
        "--no-daemon",
        "--conf-file=/dev/null",
        // In a user namespace there is nobody else to become.
        "--user=root",
        "--port=0",
        "--quiet-dhcp",
        "--dhcp-lease-max=5000000",
        &interface,
        &range,
        &file,
    ];
    if !probe {
        arguments.push("--no-ping");
    }
    let mut program = Program::start("dnsmasq", &arguments);
    program.expect("DHCP, IP range");
    program
}

fn kea_logger(name: &str, severity: &str) -> String {
    format!(
        r#"{{"name": "{name}", "severity": "{severity}", "output_options": [{{"output": "stdout"}}]}}"#
    )
}

fn start_kea(folder: &Path, count: u32, _probe: bool) -> Program {
    let end = end();
    let mut text = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,\
                    hostname,state,user_context\n"
        .to_owned();
    for (ip, mac) in leases(count) {
        writeln!(text, "{ip},{mac},,{LEASE},{end},1,0,0,,0,").expect("to memory");
    }
    let file = write(folder, "leases.csv", &text);
    let [first, last] = POOL;
    let config = format!(
        r#"{{"Dhcp4": {{
            "interfaces-config": {{"interfaces": ["{NEAR}/{SERVER}"], "dhcp-socket-type": "udp"}},
            "lease-database": {{"type": "memfile", "name": "{file}", "lfc-interval": 0}},
            "valid-lifetime": {LEASE},
            "subnet4": [{{"subnet": "10.0.0.0/8", "pools": [{{"pool": "{first}-{last}"}}]}}],
            "loggers": [{}, {}]
        }}}}"#,
        kea_logger("kea-dhcp4", "WARN"),
        // Says that it has started, and nothing of each lease.
        kea_logger("kea-dhcp4.dhcp4", "INFO"),
    );
    let config = write(folder, "kea.json", &config);
    let folder = folder.display();
    let (pids, locks) = (
        format!("KEA_PIDFILE_DIR={folder}"),
        format!("KEA_LOCKFILE_DIR={folder}"),
    );
    let mut program = Program::start("env", &[&pids, &locks, "kea-dhcp4", "-c", &config]);
    program.expect("DHCP4_STARTED");
    program
}
