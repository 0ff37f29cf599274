//! The other end of the cable: perfdhcp, in a namespace that lives as long as a process of ours.

use std::net::Ipv4Addr;

use whohas_lab::beside::{self, Beside};
use whohas_lab::tool;

use crate::load::{Load, Outcome};

/// The server's end of the cable.
pub(crate) const NEAR: &str = "near";
/// The clients' end.
pub(crate) const FAR: &str = "far";
/// The server's address, in a /8.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

/// It lives until this is dropped.
pub(crate) struct Far {
    process: Beside,
}

impl Far {
    /// Starts it, and lays the cable.
    pub(crate) fn start() -> Self {
        let mut process = Beside::start("clients");
        let pid = process.id();
        tool("ip link set lo up");
        tool(&format!(
            "ip link add {NEAR} type veth peer name {FAR} netns {pid}"
        ));
        tool(&format!("ip link set {NEAR} addrgenmode none up"));
        tool(&format!("ip addr add {SERVER}/8 dev {NEAR}"));
        process.say("live");
        process.answer();
        Self { process }
    }

    /// Puts this load on the server.
    pub(crate) fn load(&mut self, load: Load) -> Outcome {
        self.process.say(&load.to_string());
        self.process.answer().parse().expect("a result")
    }
}

/// Whether this process is the other end; if so, it has been that until nobody wanted it any more.
pub(crate) fn was_it() -> bool {
    if beside::role().is_none() {
        return false;
    }
    while let Some(line) = beside::hear() {
        match line.parse::<Load>() {
            Ok(load) => println!("{}", load.run()),
            Err(()) => {
                tool("ip link set lo up");
                tool(&format!("ip link set {FAR} addrgenmode none up"));
                tool(&format!("ip addr add {RELAY}/8 dev {FAR}"));
                println!("alive");
            }
        }
    }
    true
}
