//! A cable with a port of ours at one end and the kernel at the other.

use std::error::Error;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use whohas::UnicastMac;
use whohas_dpdk::{Eal, EalOptions, Port, PortOptions, Queue};
use whohas_linux::Interface;

use crate::support::run;

/// Our end, which has no address of the kernel's.
pub const US: &str = "us";
/// The kernel's end.
pub const THEM: &str = "them";
/// Our address, which the kernel does not know of.
pub const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The kernel's address.
pub const THEIR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// Both are in a prefix of this length.
pub const PREFIX_LEN: u8 = 16;

/// The port at our end.
const PORT: &str = "net_af_packet0";
/// A port that makes the kernel's end itself.
const TAP: &str = "net_tap0";

/// Lays the cable, with this many queues at each end.
pub fn lay(queues: u16) {
    let queues = queues.to_string();
    #[rustfmt::skip]
    run("ip", &[
        "link", "add", US, "numtxqueues", &queues, "numrxqueues", &queues, "type", "veth",
        "peer", "name", THEM, "numtxqueues", &queues, "numrxqueues", &queues,
    ]);
    // Or the kernel leaves checksums to a card that there is not.
    run("ethtool", &["-K", THEM, "tx", "off"]);
    for end in [US, THEM] {
        // No IPv6 of the kernel's between the frames of a test.
        run("ip", &["link", "set", end, "addrgenmode", "none"]);
        run("ip", &["link", "set", end, "up"]);
    }
    for end in [US, THEM] {
        wait_until(end, |interface| interface.running);
    }
    give_them_an_address();
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

/// Lays the cable and opens our end.
#[track_caller]
pub fn open(queues: u16) -> (Eal, Port, Vec<Queue>) {
    lay(queues);
    let device = format!("{PORT},iface={US},qpairs={queues}");
    let options = PortOptions::new().queues(queues);
    start(&device, PORT, &options)
}

/// The other way to the kernel: a port whose other end is an interface of the kernel's.
#[track_caller]
pub fn open_tap(options: PortOptions) -> (Eal, Port, Vec<Queue>) {
    let ours = UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a unicast address");
    let options = options.mac(ours);
    let opened = start(&format!("{TAP},iface={THEM}"), TAP, &options);
    // Both ends have ours at first.
    run("ip", &["link", "set", THEM, "addrgenmode", "none"]);
    run("ip", &["link", "set", THEM, "address", "02:00:00:00:00:02"]);
    run("ip", &["link", "set", THEM, "up"]);
    give_them_an_address();
    opened
}

/// As [`open`], by another driver, which has one queue; or why it cannot be had.
pub fn open_by(driver: &str) -> Result<(Eal, Port, Vec<Queue>), Box<dyn Error>> {
    lay(1);
    let name = format!("{driver}0");
    let device = format!("{name},iface={US}");
    let ours = Interface::find(US)?.mac.expect("an address of Ethernet");
    let ours = UnicastMac::try_from(ours)?;
    let eal = EalOptions::without_hardware(128).device(&device).start()?;
    // XDP takes 2,048 of them for itself.
    let options = PortOptions::new().frames(4_095).mac(ours);
    let (port, queues) = options.open(&eal, &name)?;
    Ok((eal, port, queues))
}

#[track_caller]
fn start(device: &str, name: &str, options: &PortOptions) -> (Eal, Port, Vec<Queue>) {
    let eal = EalOptions::without_hardware(256).device(device).start();
    let eal = eal.unwrap_or_else(|error| panic!("{error}"));
    let opened = options.open(&eal, name);
    let (port, queues) = opened.unwrap_or_else(|error| panic!("{error}"));
    (eal, port, queues)
}

fn give_them_an_address() {
    let prefix = format!("{THEIR_IP}/{PREFIX_LEN}");
    run("ip", &["addr", "add", &prefix, "dev", THEM]);
}
