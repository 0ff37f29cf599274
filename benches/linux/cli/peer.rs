//! The other end of the cable: a kernel with many addresses, in a namespace that lives as long as a
//! process of ours.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use whohas_lab::beside::{self, Beside};
use whohas_lab::tool;

/// Our end of the cable, with an address of our kernel's.
pub(crate) const NEAR: &str = "near";
const FAR: &str = "far";
/// A /16.
pub(crate) const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 0);
const NEAR_IP: Ipv4Addr = Ipv4Addr::new(10, 1, 255, 254);

/// The addresses of the other end that are in the first prefix of this length.
pub(crate) fn live_in(len: u8) -> impl Iterator<Item = Ipv4Addr> {
    // Evenly spread in what each prefix has beside the next longer one.
    let in_24 = (0..100).map(|n| 1 + 2 * n);
    let in_20 = (0..100).map(|n| 256 + 37 * n);
    let in_16 = (0..200).map(|n| 4_096 + 301 * n);
    let hosts: u32 = 1 << (32 - len);
    let all = in_24.chain(in_20).chain(in_16);
    all.filter(move |&host| host < hosts)
        .map(|host| Ipv4Addr::from_bits(NETWORK.to_bits() + host))
}

/// It lives until this is dropped.
pub(crate) struct Peer {
    _process: Beside,
}

impl Peer {
    /// Starts it, and lays the cable.
    pub(crate) fn start() -> Self {
        let mut process = Beside::start("peer");
        let pid = process.id();
        tool(&format!(
            "ip link add {NEAR} type veth peer name {FAR} netns {pid}"
        ));
        tool(&format!("ip link set {NEAR} addrgenmode none up"));
        tool(&format!("ip addr add {NEAR_IP}/16 dev {NEAR}"));
        process.say("live");
        process.answer();
        Self { _process: process }
    }
}

/// Whether this process is the other end; if so, it has been that until nobody wanted it any more.
pub(crate) fn was_it() -> bool {
    if beside::role().is_none() {
        return false;
    }
    while beside::hear().is_some() {
        tool(&format!("ip link set {FAR} addrgenmode none up"));
        add_addresses();
        println!("alive");
    }
    true
}

/// All at once: a process for each would take longer than what is measured.
fn add_addresses() {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("the tool has run before");
    let mut batch = ip.stdin.take().expect("piped");
    for live in live_in(16) {
        writeln!(batch, "addr add {live}/16 dev {FAR}").expect("it reads to the end");
    }
    drop(batch);
    assert!(ip.wait().expect("it ends").success(), "addresses");
}
