//! Real peers: the chip on a TAP device, and the kernel behind it.
#![cfg(target_os = "linux")]

use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use cyw43::PowerManagementMode;
use embedded_io_async::{Read, Write};
use whohas_cyw43_tests::bridge::Bridge;
use whohas_cyw43_tests::{AccessPoint, Lab};
use whohas_lab::{run, wire_test};
use whohas_linux::Tap;
use whohas_stacks::{PORT, ip, mac};

/// Whatever is waited for happens long before.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where the kernel is.
const KERNEL: u8 = 2;

/// A LAN that the kernel is on, unless this machine lets only root make such devices.
fn lab() -> Option<(Lab, Bridge)> {
    let node = File::options().read(true).write(true).open("/dev/net/tun");
    if node.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied) {
        eprintln!("skipped: only root may open /dev/net/tun here");
        return None;
    }
    let tap = Tap::open("tap%d", mac(99)).unwrap_or_else(|error| panic!("{error}"));
    run("ip", &["link", "set", "tap0", "addrgenmode", "none"]);
    run("ip", &["link", "set", "tap0", "up"]);
    run("ip", &["addr", "add", "10.0.0.2/24", "dev", "tap0"]);
    let lab = Lab::with(42, AccessPoint::default(), PowerManagementMode::None);
    let bridge = Bridge::new(&lab.world, tap);
    Some((lab, bridge))
}

wire_test! {
    fn the_kernel_pings_the_chip() {
        let Some((mut lab, mut bridge)) = lab() else { return };
        let us = lab.join();
        let mut ping = Command::new("ping")
            .args(["-c", "3", "-i", "0.2", "-W", "5", "10.0.0.1"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("ping runs");
        let ended = bridge.run(&mut lab.world, PATIENCE, || {
            ping.try_wait().expect("it can be asked").is_some()
        });
        assert!(ended.expect("the device works"));
        let output = ping.wait_with_output().expect("it has ended");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(said.contains("3 received"), "{said}");
        assert!(us.neighbours.entry(ip(KERNEL)).is_some(), "it had to be asked for");
    }
}

wire_test! {
    fn a_connection_of_the_chips_reaches_a_server_of_the_kernels() {
        let Some((mut lab, mut bridge)) = lab() else { return };
        let us = lab.join();
        let listener = TcpListener::bind((ip(KERNEL), PORT)).expect("the kernel has this address");
        let server = thread::spawn(move || {
            let (mut connection, _from) = listener.accept().expect("a caller");
            let mut heard = vec![0; LEN];
            connection.read_exact(&mut heard).expect("all of it");
            connection.write_all(&heard).expect("it listens");
            heard
        });
        let net = us.net;
        let said = std::rc::Rc::new(core::cell::RefCell::new(Vec::new()));
        let told = said.clone();
        lab.world.spawn(async move {
            let remote = core::net::SocketAddrV4::new(ip(KERNEL), PORT);
            let mut connection = net.dial(remote).await.expect("a connection");
            connection.write_all(&content()).await.expect("it listens");
            let mut answer = vec![0; LEN];
            connection.read_exact(&mut answer).await.expect("all of it");
            *told.borrow_mut() = answer;
        });
        let done = bridge.run(&mut lab.world, PATIENCE, || !said.borrow().is_empty());
        assert!(done.expect("the device works"), "{:?}", net.stats());
        assert_eq!(*said.borrow(), content());
        assert_eq!(server.join().expect("it has ended"), content());
    }
}

/// More than any buffer on the way.
const LEN: usize = 100_000;

fn content() -> Vec<u8> {
    (0..LEN).map(|n| (n * 7 % 251) as u8).collect()
}
