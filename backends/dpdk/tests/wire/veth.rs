//! A cable with a port of ours at one end and the kernel at the other.

use std::error::Error;

use whohas_dpdk::{Eal, EalOptions, Port, PortOptions, Queue};
use whohas_lab::cable::{self, Cable, OUR_MAC, THEIR_MAC};
use whohas_lab::run;

pub use whohas_lab::cable::{OUR_IP, THEIR_IP, THEM, US};

/// Both are in a prefix of this length.
pub const PREFIX_LEN: u8 = 16;

/// The port at our end.
const PORT: &str = "net_af_packet0";
/// A port that makes the kernel's end itself.
const TAP: &str = "net_tap0";

/// Lays the cable, with this many queues at each end.
#[track_caller]
pub fn lay(queues: u16) {
    let cable = Cable {
        queues,
        prefix_len: PREFIX_LEN,
        offload: false,
    };
    cable.lay();
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
    let options = options.mac(cable::mac(OUR_MAC));
    let opened = start(&format!("{TAP},iface={THEM}"), TAP, &options);
    // Both ends have ours at first.
    run("ip", &["link", "set", THEM, "address", THEIR_MAC]);
    cable::set_up(THEM);
    cable::give_them_an_address(PREFIX_LEN);
    opened
}

/// As [`open`], by another driver, which has one queue; or why it cannot be had.
pub fn open_by(driver: &str) -> Result<(Eal, Port, Vec<Queue>), Box<dyn Error>> {
    lay(1);
    let name = format!("{driver}0");
    let device = format!("{name},iface={US}");
    let eal = EalOptions::without_hardware(128).device(&device).start()?;
    // XDP takes 2,048 of them for itself.
    let options = PortOptions::new().frames(4_095).mac(cable::mac(OUR_MAC));
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
