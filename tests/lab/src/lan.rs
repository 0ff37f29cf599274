//! A LAN: a switch, and hosts at it that have a network and mounts of their own, so that each of them can
//! run programs that believe to be alone on a machine.
//!
//! The namespace that a test is in is the switch's: its kernel has no address, and answers nobody.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cable::{set_up, wait_until};
use crate::peers::Program;
use crate::run;

/// What hosts call their first end of a cable.
pub const ETH0: &str = "eth0";

/// A switch.
pub struct Lan {
    name: String,
    ports: Cell<u8>,
}

/// A host: a process that does nothing, and holds the namespaces. Dropped, it and all that runs in
/// them has nothing to go by.
pub struct Host {
    holder: Child,
}

impl Lan {
    /// A switch that forwards at once.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        run("ip", &["link", "add", name, "type", "bridge"]);
        set_up(name);
        Self {
            name: name.into(),
            ports: Cell::new(0),
        }
    }

    /// A host without an address.
    #[track_caller]
    pub fn host(&self) -> Host {
        let host = Host::alone();
        self.plug(&host, ETH0);
        host
    }

    /// A host with an address in a network of this prefix.
    #[track_caller]
    pub fn host_at(&self, ip: Ipv4Addr, prefix_len: u8) -> Host {
        let host = self.host();
        host.add_address(ETH0, ip, prefix_len);
        host
    }

    /// A cable from a host to the switch.
    #[track_caller]
    pub fn plug(&self, host: &Host, end: &str) {
        let (port, mac) = self.next_port();
        let id = host.holder.id().to_string();
        #[rustfmt::skip]
        run("ip", &[
            "link", "add", &port, "type", "veth", "peer", "name", end, "address", &mac, "netns", &id,
        ]);
        host.within(|| set_up(end));
        self.take(&port);
    }

    /// A cable from here to the switch, for stations that have no kernel; `end` is our end's name.
    #[track_caller]
    pub fn plug_here(&self, end: &str) {
        let (port, mac) = self.next_port();
        #[rustfmt::skip]
        run("ip", &[
            "link", "add", &port, "type", "veth", "peer", "name", end, "address", &mac,
        ]);
        set_up(end);
        self.take(&port);
        wait_until(end, |interface| interface.running);
    }

    /// A TAP for an emulator, which gets its end by this name.
    ///
    /// # Errors
    ///
    /// What `ip` says, if this user may not have one.
    pub fn plug_tap(&self, end: &str) -> Result<(), String> {
        let (success, _, error) = crate::attempt("ip", &["tuntap", "add", end, "mode", "tap"]);
        if !success {
            return Err(error);
        }
        set_up(end);
        run("ip", &["link", "set", end, "master", &self.name]);
        Ok(())
    }

    fn next_port(&self) -> (String, String) {
        let n = self.ports.get() + 1;
        self.ports.set(n);
        let letter = self.name.bytes().next().unwrap_or_default();
        (
            format!("{}{n}", self.name),
            format!("02:00:00:00:{letter:02x}:{n:02x}"),
        )
    }

    #[track_caller]
    fn take(&self, port: &str) {
        run("ip", &["link", "set", port, "master", &self.name]);
        set_up(port);
        wait_until(port, |interface| interface.running);
    }
}

impl Host {
    #[track_caller]
    fn alone() -> Self {
        let mut command = Command::new("setpriv");
        // What a program such as a DHCP client writes about the network it has found is not about this
        // machine's.
        const HOLD: &str = "mount --bind /etc /etc && mount -o remount,ro,bind /etc \
             && ip link set lo up && echo here && exec sleep infinity";
        command
            .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount"])
            .args(["sh", "-c", HOLD])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut holder = command.spawn().expect("setpriv is a part of util-linux");
        let mut line = String::new();
        let mut said = BufReader::new(holder.stdout.take().expect("piped"));
        said.read_line(&mut line).expect("text");
        assert_eq!(line.trim_end(), "here", "there are no namespaces");
        Self { holder }
    }

    /// Gives its end of a cable an address.
    #[track_caller]
    pub fn add_address(&self, end: &str, ip: Ipv4Addr, prefix_len: u8) {
        let address = format!("{ip}/{prefix_len}");
        self.within(|| run("ip", &["addr", "replace", &address, "dev", end]));
    }

    /// Gives it an empty folder where this machine has one with something in it.
    #[track_caller]
    pub fn hide(&self, folder: &str) {
        let (success, said) = self.attempt("mount", &["-t", "tmpfs", "none", folder]);
        assert!(success, "{said}");
    }

    /// Runs a program in it to its end; whether it succeeded, and what it printed.
    #[track_caller]
    pub fn attempt(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let mut words = self.entrance();
        words.push(program.into());
        words.extend(arguments.iter().map(|&argument| argument.into()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (success, stdout, stderr) = crate::attempt(words[0], &words[1..]);
        (success, stdout + &stderr)
    }

    /// Runs a program in it to its end, which has to be a success; what it printed.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> String {
        let (success, said) = self.attempt(program, arguments);
        assert!(success, "{program} {arguments:?}: {said}");
        said
    }

    /// Starts a program in it.
    pub fn start(&self, program: &str, arguments: &[&str]) -> Program {
        Program::start_behind(&self.entrance(), program, arguments)
    }

    /// Works in its network: sockets that are opened there stay there.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.holder.id()));
        let network = network.expect("it runs");
        let moved = || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).expect("it is one of ours");
            work()
        };
        let ended = thread::scope(|scope| scope.spawn(moved).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The words before a program that is to run in it.
    fn entrance(&self) -> Vec<String> {
        let namespace = |kind| format!("/proc/{}/ns/{kind}", self.holder.id());
        vec![
            "nsenter".into(),
            format!("--net={}", namespace("net")),
            format!("--mount={}", namespace("mnt")),
            "--".into(),
        ]
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // An error is that it has ended already.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
