//! A cable with us at one end and the kernel at the other.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use whohas::UnicastMac;
use whohas_linux::{Interface, Protocols, RawSocket};

use crate::run;

/// Our end, which has no address of the kernel's.
pub const US: &str = "us";
/// The kernel's end.
pub const THEM: &str = "them";
/// Our address, which the kernel does not know of.
pub const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The kernel's address.
pub const THEIR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The hardware address of our end.
pub const OUR_MAC: &str = "02:00:00:00:00:01";
/// The hardware address of the kernel's end.
pub const THEIR_MAC: &str = "02:00:00:00:00:02";

/// A cable, before it is laid.
#[derive(Clone, Copy, Debug)]
pub struct Cable {
    /// So many at each end.
    pub queues: u16,
    /// Of the network that the kernel's address is in.
    pub prefix_len: u8,
    /// Whether the kernel leaves checksums to a card, which there is not.
    pub offload: bool,
}

impl Default for Cable {
    fn default() -> Self {
        Self {
            queues: 1,
            prefix_len: 24,
            offload: true,
        }
    }
}

impl Cable {
    /// Lays it, and waits until both ends forward frames.
    #[track_caller]
    pub fn lay(self) {
        let queues = self.queues.to_string();
        #[rustfmt::skip]
        run("ip", &[
            "link", "add", US, "address", OUR_MAC, "numtxqueues", &queues, "numrxqueues", &queues, "type", "veth",
            "peer", "name", THEM, "address", THEIR_MAC, "numtxqueues", &queues, "numrxqueues", &queues,
        ]);
        if !self.offload {
            run("ethtool", &["-K", THEM, "tx", "off"]);
        }
        for end in [US, THEM] {
            set_up(end);
        }
        wait_until_forwarding();
        give_them_an_address(self.prefix_len);
    }
}

/// Lays a cable.
#[track_caller]
pub fn lay() {
    Cable::default().lay();
}

/// Sets up an interface, without IPv6 of the kernel's between the frames of a test.
#[track_caller]
pub fn set_up(end: &str) {
    run("ip", &["link", "set", end, "addrgenmode", "none"]);
    run("ip", &["link", "set", end, "up"]);
}

/// Gives the kernel's end its address in a network of this prefix.
#[track_caller]
pub fn give_them_an_address(prefix_len: u8) {
    let address = format!("{THEIR_IP}/{prefix_len}");
    run("ip", &["addr", "replace", &address, "dev", THEM]);
}

/// Until both ends forward frames, which they do not at once when they are set up.
#[track_caller]
pub fn wait_until_running() {
    wait_until_forwarding();
    // What the kernel has still to do for an end that runs is done before it does this.
    give_them_an_address(Cable::default().prefix_len);
}

#[track_caller]
fn wait_until_forwarding() {
    for end in [US, THEM] {
        wait_until(end, |interface| interface.running);
    }
}

/// Until the kernel says this of an interface: carriers come and go a little later than commands.
#[track_caller]
pub fn wait_until(name: &str, holds: impl Fn(&Interface) -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let interface = Interface::find(name).unwrap_or_else(|error| panic!("{error}"));
        if holds(&interface) {
            return;
        }
        assert!(Instant::now() < patience, "in vain: {interface:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A hardware address as its six bytes.
pub fn mac(text: &str) -> UnicastMac {
    let bytes = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).expect("a byte of a hardware address"));
    let bytes = bytes.collect::<Vec<_>>();
    UnicastMac::new(bytes.try_into().expect("six bytes")).expect("a unicast address")
}

/// The next frame that arrives at `socket`, within a time in which a kernel delivers everything.
#[track_caller]
pub fn next_frame(socket: &RawSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_600];
    let patience = Instant::now() + Duration::from_secs(10);
    while Instant::now() < patience {
        if let Some(len) = socket.recv(&mut buffer).expect("the link stays up") {
            buffer.truncate(len);
            return buffer;
        }
        whohas_linux::wait_readable(socket, Some(Duration::from_millis(100))).expect("poll works");
    }
    panic!("no frame came");
}

/// What was received and not fetched yet.
pub fn drain(socket: &RawSocket) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; 65_600];
    let mut frames = Vec::new();
    while let Some(len) = socket.recv(&mut buffer).expect("the link stays up") {
        frames.push(buffer[..len].to_vec());
    }
    frames
}

/// A socket that hears what arrives at this end.
#[track_caller]
pub fn listen(end: &str, protocols: Protocols) -> RawSocket {
    RawSocket::open(end, protocols).unwrap_or_else(|error| panic!("{error}"))
}
