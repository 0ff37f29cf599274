//! The TAP device: the kernel behind an interface that is ours to make.

use std::env;
use std::net::UdpSocket;

use embassy_net_driver::{Driver, LinkState};
use whohas::Hold;
use whohas::wire::{EthernetFrame, Ipv4Packet, UdpChecksum, UdpDatagram};
use whohas_linux::{OpenError, Tap};

use crate::support::cable::{OUR_IP, OUR_MAC, mac};
use crate::support::run;
use crate::support::station::Station;
use crate::wire_test;

/// A test where TAP devices can be made. On some machines only root may open the device that makes
/// them, which no namespace changes.
macro_rules! tap_test {
    ($(#[$attribute:meta])* fn $name:ident() $body:block) => {
        wire_test! {
            $(#[$attribute])*
            fn $name() {
                let node = std::fs::File::options().read(true).write(true).open("/dev/net/tun");
                if node.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
                    eprintln!("skipped {}: only root may open /dev/net/tun here", stringify!($name));
                    return;
                }
                $body
            }
        }
    };
}

/// A device whose other end has the kernel's address.
fn connected() -> Station<Tap> {
    let tap = Tap::open("tap%d", mac(OUR_MAC)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tap.interface().name, "tap0");
    run("ip", &["link", "set", "tap0", "addrgenmode", "none"]);
    run("ip", &["link", "set", "tap0", "up"]);
    run("ip", &["addr", "add", "10.0.0.2/24", "dev", "tap0"]);
    let waiter = tap.waiter();
    Station::new(tap, waiter)
}

tap_test! {
    fn the_kernel_behind_a_tap_device_is_resolved_and_resolves_us() {
        let mut station = connected();
        station.run_until("the link is up", |station| station.up == Some(LinkState::Up));
        let hold = station.neighbours.hold(crate::support::cable::THEIR_IP).expect("room");
        let resolved = station.run("an answer", hold.resolved()).expect("it is there");
        let kernels = station.driver.interface().mac.expect("Ethernet");
        assert_eq!(whohas::MacAddr::from(resolved), kernels);

        let (success, said) = station.run_beside("arping", &["-c", "1", "-I", "tap0", "10.0.0.1"]);
        assert!(success, "{said}");
    }
}

tap_test! {
    fn a_tap_device_goes_down_with_its_interface_and_comes_back() {
        let mut station = connected();
        station.run_until("the link is up", |station| station.up == Some(LinkState::Up));
        run("ip", &["link", "set", "tap0", "down"]);
        station.run_until("the link is down", |station| station.up == Some(LinkState::Down));
        run("ip", &["link", "set", "tap0", "up"]);
        station.run_until("the link is up", |station| station.up == Some(LinkState::Up));
        let hold = station.neighbours.hold(crate::support::cable::THEIR_IP).expect("room");
        station.run("an answer", hold.resolved()).expect("it is there");
    }
}

tap_test! {
    fn checksums_that_the_kernel_leaves_to_a_tap_device_are_right_when_they_come_up() {
        let mut station = connected();
        run("ip", &["neigh", "add", "10.0.0.1", "lladdr", OUR_MAC, "dev", "tap0"]);
        let socket = UdpSocket::bind("10.0.0.2:0").expect("the kernel has this address");
        socket.send_to(b"left to the device", (OUR_IP, 9)).expect("sent");
        station.run_until("a datagram", |station| !station.others.is_empty());
        let frame = EthernetFrame::parse(&station.others[0]).expect("an Ethernet frame");
        let packet = Ipv4Packet::parse(frame.payload).expect("an IPv4 packet");
        let (source, destination) = (packet.header.source, packet.header.destination);
        let datagram =
            UdpDatagram::parse(packet.payload, source, destination, UdpChecksum::Verify);
        assert_eq!(datagram.expect("a right checksum").payload, b"left to the device");
    }
}

tap_test! {
    fn a_tap_device_sends_frames_up_to_its_mtu() {
        let mut tap = connected().driver;
        let mtu = tap.capabilities().max_transmission_unit;
        assert_eq!(mtu, 1514);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for len in [mtu, 60, 8000] {
            let token = tap.transmit(&mut context).expect("room");
            embassy_net_driver::TxToken::consume(token, len, |frame| frame.fill(0xff));
        }
        tap.flush();
        let counters = tap.counters();
        assert_eq!((counters.sent, counters.too_long, counters.refused), (2, 1, 0));
        let statistics = run("ip", &["-s", "link", "show", "tap0"]);
        assert!(statistics.contains("1574"), "{statistics}");
    }
}

/// Set in a process that has lost the right to make interfaces.
const POWERLESS: &str = "WHOHAS_TEST_POWERLESS_TAP";

tap_test! {
    fn without_permission_a_tap_device_says_which_capability_makes_interfaces() {
        if env::var_os(POWERLESS).is_some() {
            let error = Tap::open("tap%d", mac(OUR_MAC)).expect_err("no permission");
            assert!(matches!(error, OpenError::NoPermission { .. }), "{error}");
            println!("{error}");
            return;
        }
        let exe = env::current_exe().expect("a test knows its own binary");
        let exe = exe.to_str().expect("a path in UTF-8");
        #[rustfmt::skip]
        let said = run("setpriv", &[
            "--bounding-set=-net_admin", "env", &format!("{POWERLESS}=1"), exe, "--exact",
            "tap::without_permission_a_tap_device_says_which_capability_makes_interfaces", "--nocapture",
        ]);
        assert!(said.contains("setcap cap_net_admin+ep"), "{said}");
    }
}
