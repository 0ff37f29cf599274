//! Programs of the kernel's side: `ping`, `arping`, datagrams, and a cable that is pulled out.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use whohas::link::LinkCounters;

use crate::host::{Account, Host};
use crate::support::{attempt, run, wire_scenario};
use crate::veth::{self, OUR_IP, THEM, US};
use crate::{peer, servers};

const QUEUES: u16 = 4;
/// Addresses of the kernel's, for queues that are chosen by addresses only.
const ADDRESSES: u8 = 16;
const PATIENCE: Duration = Duration::from_secs(20);

fn counted<T>(accounts: &[Account<T>], what: impl Fn(&LinkCounters) -> u64) -> Vec<u64> {
    accounts.iter().map(|account| what(&account.link)).collect()
}

wire_scenario! {
    fn a_ping_from_any_address_is_answered_on_whichever_queue() {
        let (host, ours) = Host::on_veth(QUEUES);
        let addresses = (1..=ADDRESSES).map(|number| format!("10.0.1.{number}"));
        let addresses = addresses.collect::<Vec<_>>();
        for address in &addresses {
            run("ip", &["addr", "add", &format!("{address}/32"), "dev", THEM]);
        }
        let (accounts, ()) = host.work(ours, servers::echo, || {
            for address in &addresses {
                // Two, as one may be lost.
                run("ping", &["-c", "2", "-i", "0.2", "-W", "5", "-I", address, &OUR_IP.to_string()]);
            }
        });
        println!("note: {QUEUES} queues: pings arrived on each {:?}", counted(&accounts, |link| link.handed_up));
    }
}

wire_scenario! {
    fn datagrams_come_back_from_whichever_queue() {
        let (host, ours) = Host::on_veth(QUEUES);
        let (accounts, ()) = host.work(ours, servers::echo, || {
            for number in 0..32 {
                assert_echoed(format!("datagram {number}").as_bytes());
            }
        });
        let received = accounts.iter().map(|account| account.stats.udp.received);
        let received = received.collect::<Vec<_>>();
        println!("note: {QUEUES} queues: datagrams arrived on each {received:?}");
        assert!(received.iter().sum::<u32>() >= 32);
    }
}

/// A socket of its own says it until it hears it.
#[track_caller]
fn assert_echoed(said: &[u8]) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect((OUR_IP, servers::ECHO)).expect("a way");
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("an option");
    let mut heard = [0; 64];
    for _ in 0..10 {
        socket.send(said).expect("room");
        match socket.recv(&mut heard) {
            Ok(len) => return assert_eq!(&heard[..len], said),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("ten were lost");
}

wire_scenario! {
    fn whoever_looks_for_a_free_address_learns_that_ours_is_in_use() {
        let (host, ours) = Host::on_veth(QUEUES);
        let (accounts, ()) = host.work(ours, servers::echo, || {
            let (free, said) = attempt("arping", &["-D", "-c", "2", "-w", "3", "-I", THEM, &OUR_IP.to_string()]);
            assert!(!free, "{said}");
            let (free, said) = attempt("arping", &["-D", "-c", "2", "-w", "3", "-I", THEM, "10.0.0.99"]);
            assert!(free, "{said}");
        });
        println!("note: {QUEUES} queues: ARP frames that landed on each {:?}", counted(&accounts, |link| link.arp));
    }
}

wire_scenario! {
    fn a_cable_that_is_pulled_out_and_put_in_again_does_no_harm() {
        let (host, ours) = Host::on_veth(QUEUES);
        let (_, ()) = host.work(ours, servers::echo, || {
            let service = (OUR_IP, servers::ECHO).into();
            assert_eq!(peer::connect(service, 16, PATIENCE).failures, [""; 0]);
            let up = |expected| format!("{:?}", host.port.link().map(|link| link.up == expected));
            println!("note: net_af_packet: the link is told as up: {}", up(true));
            run("ip", &["link", "set", THEM, "down"]);
            veth::wait_until(US, |interface| !interface.running);
            // Longer than the queues take to ask for it.
            thread::sleep(Duration::from_millis(300));
            println!("note: net_af_packet: a link that lost its carrier is told as down: {}", up(false));
            run("ip", &["link", "set", THEM, "up"]);
            veth::wait_until(US, |interface| interface.running);
            // With the link the kernel has forgotten its routes, not its addresses.
            let patience = Instant::now() + PATIENCE;
            loop {
                let outcome = peer::connect(service, 16, PATIENCE);
                if outcome.failures.is_empty() {
                    break;
                }
                assert!(Instant::now() < patience, "{outcome:?}");
            }
        });
    }
}
