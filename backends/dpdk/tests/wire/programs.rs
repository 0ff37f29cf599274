//! Programs of the kernel's side: `ping`, `arping`, datagrams, and a cable that is pulled out.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use embassy_futures::join::join;
use embedded_nal_async::{UdpStack, UnconnectedUdp};
use whohas::link::LinkCounters;
use whohas::time::{Clock, Timer};

use crate::host::{Account, Host, Station};
use crate::support::cable::wait_until;
use crate::support::{attempt, run, wire_scenario};
use crate::veth::{OUR_IP, THEIR_IP, THEM, US};
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
                run("ping", &["-c", "1", "-W", "10", "-I", address, &OUR_IP.to_string()]);
            }
        });
        let pings = counted(&accounts, |link| link.handed_up);
        println!("note: {QUEUES} queues: pings arrived on each {pings:?}");
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
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("an option");
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
            assert!(!is_free(OUR_IP));
            assert!(is_free(Ipv4Addr::new(10, 0, 0, 99)));
        });
        let arp = counted(&accounts, |link| link.arp);
        println!("note: {QUEUES} queues: ARP frames that landed on each {arp:?}");
    }
}

/// Whether nobody answers for this address (RFC 5227).
#[track_caller]
fn is_free(ip: Ipv4Addr) -> bool {
    let ip = ip.to_string();
    let (free, said, _) = attempt("arping", &["-D", "-c", "2", "-w", "3", "-I", THEM, &ip]);
    assert!(said.contains("Sent"), "{said}");
    free
}

wire_scenario! {
    fn a_cable_that_is_pulled_out_and_put_in_again_does_no_harm() {
        let (host, ours) = Host::on_veth(QUEUES);
        host.work(ours, servers::echo, || {
            let service = (OUR_IP, servers::ECHO).into();
            assert_eq!(peer::connect(service, 16, PATIENCE).failures, [""; 0]);
            let mut open = TcpStream::connect(service).expect("a connection");
            assert_heard(&mut open, b"before");
            run("ip", &["link", "set", THEM, "down"]);
            wait_until(US, |interface| !interface.running);
            // Longer than the queues take to ask for it.
            thread::sleep(Duration::from_millis(300));
            let told = host.port.link().expect("a driver that tells");
            println!("note: net_af_packet: without a carrier {told:?}");
            run("ip", &["link", "set", THEM, "up"]);
            wait_until(US, |interface| interface.running);
            assert_heard(&mut open, b"after");
            assert_eq!(peer::connect(service, 16, PATIENCE).failures, [""; 0]);
        });
    }
}

/// Goes on sending, whatever becomes of it.
async fn chatter(station: &Station<'_, '_>) {
    let clock = station.net.with_link(|link| link.clock().clone());
    let any = (Ipv4Addr::UNSPECIFIED, 0).into();
    let socket = station.net.udp().bind_single(any).await;
    let (local, mut socket) = socket.expect("a stack of its own");
    loop {
        // Without a way there is none to send by.
        let _ = socket.send(local, (THEIR_IP, 9).into(), &[0; 200]).await;
        clock
            .wait_until(clock.now() + Duration::from_millis(1))
            .await;
    }
}

wire_scenario! {
    fn an_interface_that_was_down_while_its_port_sent_is_used_again() {
        let (host, ours) = Host::on_veth(QUEUES);
        let program = async |station: Station<'_, '_>| {
            let beside = station.clone();
            join(servers::echo(station), chatter(&beside)).await;
        };
        host.work(ours, program, || {
            let service = (OUR_IP, servers::ECHO).into();
            let mut open = TcpStream::connect(service).expect("a connection");
            assert_heard(&mut open, b"before");
            run("ip", &["link", "set", US, "down"]);
            thread::sleep(Duration::from_millis(300));
            run("ip", &["link", "set", US, "up"]);
            wait_until(THEM, |interface| interface.running);
            assert_heard(&mut open, b"after");
            assert_eq!(peer::connect(service, 16, PATIENCE).failures, [""; 0]);
        });
        for (queue, counters) in host.port.queue_counters().iter().enumerate() {
            let (sent, postponed) = (counters.sent, counters.postponed);
            println!("note: {QUEUES} queues, queue {queue}: {sent} sent, {postponed} times no room");
        }
        println!("note: net_af_packet: {:?}", host.port.stats());
    }
}

#[track_caller]
fn assert_heard(stream: &mut TcpStream, said: &[u8]) {
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    stream.write_all(said).expect("a connection");
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).expect("an echo");
    assert_eq!(heard, said);
}

wire_scenario! {
    fn megabytes_come_back_as_they_were() {
        const LEN: usize = 1 << 20;
        let (host, ours) = Host::on_veth(QUEUES);
        let (accounts, ()) = host.work(ours, servers::echo, || {
            thread::scope(|scope| {
                for number in 0..8 {
                    scope.spawn(move || assert_comes_back(number, LEN));
                }
            });
        });
        let accepted = accounts.iter().map(|account| account.stats.tcp.accepted);
        let accepted = accepted.collect::<Vec<_>>();
        println!("note: {QUEUES} queues: connections with a megabyte each way {accepted:?}");
        for (queue, counters) in host.port.queue_counters().iter().enumerate() {
            println!(
                "note: {QUEUES} queues, queue {queue}: {} received, {} sent, {} times no room",
                counters.received, counters.sent, counters.postponed
            );
            assert_eq!((counters.refused, counters.too_long, counters.no_frame), (0, 0, 0));
        }
    }
}

/// Says `len` bytes that only this number says, and hears them.
#[track_caller]
fn assert_comes_back(number: usize, len: usize) {
    let said = (0..len).map(|at| (at / 251 + at + number) as u8);
    let said = said.collect::<Vec<_>>();
    let mut stream = TcpStream::connect((OUR_IP, servers::ECHO)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("an option");
    let mut saying = stream.try_clone().expect("a descriptor");
    let heard = thread::scope(|scope| {
        scope.spawn(|| {
            saying.write_all(&said).expect("a connection");
            saying.shutdown(Shutdown::Write).expect("a connection");
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).expect("an echo");
        heard
    });
    assert!(heard == said, "{} bytes came back", heard.len());
}
