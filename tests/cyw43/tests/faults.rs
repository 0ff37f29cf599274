//! Each fault by its name, and what the stack makes of it.

use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

use cyw43::PowerManagementMode;
use embedded_io_async::{Read, Write};
use embedded_nal_async::{ConnectedUdp, UdpStack, UnconnectedUdp};
use whohas::link::{LinkEvent, TxDrop};
use whohas::sim::{self, LanDriver, Link, LoggedFrame};
use whohas::time::Timer;
use whohas::wire::{ArpPacket, EthernetFrame, MacAddr, Operation};
use whohas::{Hold, Instant};
use whohas_cyw43_tests::{AccessPoint, Faults, Host, Lab, chip, host, wifi};
use whohas_stacks::{PORT, US, ip, mac};

type Us = Host<wifi::Watched<cyw43::NetDriver<'static>>>;

const PEER: u8 = 2;

/// A chip that never sleeps.
fn awake() -> Lab {
    Lab::with(42, AccessPoint::default(), PowerManagementMode::None)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A conversation with the peer: what is said when, and how many answers have come.
#[derive(Clone, Default)]
struct Talk {
    answers: Rc<Cell<u32>>,
    last: Rc<Cell<Instant>>,
}

impl Talk {
    /// Dials at once, and then says something so often.
    fn start(lab: &mut Lab, us: &Us, every: Duration) -> Self {
        let talk = Self::default();
        let (told, us) = (talk.clone(), us.clone());
        lab.world.spawn(async move {
            let remote = SocketAddrV4::new(ip(PEER), PORT);
            let mut connection = us.net.dial(remote).await.expect("a connection");
            loop {
                connection.write_all(b"ping").await.expect("it lasts");
                connection.flush().await.expect("it lasts");
                let mut answer = [0; 4];
                connection.read_exact(&mut answer).await.expect("an answer");
                told.answers.set(told.answers.get() + 1);
                told.last.set(now(&us));
                us.clock.wait_until(now(&us) + every).await;
            }
        });
        talk
    }
}

fn now(us: &Us) -> Instant {
    us.clock.after(Duration::ZERO)
}

fn events(us: &Us) -> Vec<LinkEvent> {
    let event = || us.net.with_link(host::Wire::poll_event);
    std::iter::from_fn(event).collect()
}

fn tx_dropped(us: &Us, reason: TxDrop) -> u64 {
    us.net.with_link(|link| link.counters().tx(reason))
}

/// The station's ARP frames since the log was cleared, and to whom they went.
fn said(lab: &Lab) -> Vec<(MacAddr, ArpPacket)> {
    let lan = lab.world.lan.lan();
    let ours = |packet: &ArpPacket| packet.sender_mac == mac(US).get();
    lan.log()
        .arp()
        .filter(|(_, packet)| ours(packet))
        .map(|(logged, packet)| (destination(logged), packet))
        .collect()
}

fn destination(logged: &LoggedFrame) -> MacAddr {
    let frame = EthernetFrame::parse(&logged.bytes);
    frame.expect("a whole frame").header.destination
}

fn announcements(lab: &Lab) -> usize {
    let said = said(lab);
    let announces = |(_, packet): &&(MacAddr, ArpPacket)| packet.is_gratuitous();
    said.iter().filter(announces).count()
}

/// Somebody tells everybody who he is.
fn gossip(n: u8) -> [u8; 60] {
    let mut frame = [0; 60];
    ArpPacket::announcement(mac(n), ip(n))
        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .expect("a frame's length");
    frame
}

#[test]
fn neighbours_are_asked_for_through_the_driver_and_the_dead_are_found_out() {
    let mut lab = awake();
    let living = sim::Host::new(ip(PEER), mac(PEER)).answers_after(millis(1));
    lab.world.lan.lan().add_host(living);
    let us = lab.join();
    let neighbours = us.neighbours;
    let began = lab.world.now();
    let resolved = lab.world.run(async move {
        let [living, dead] = [PEER, 9].map(|n| neighbours.hold(ip(n)).expect("room"));
        (living.resolved().await, dead.resolved().await)
    });
    assert_eq!(resolved.0, Ok(mac(PEER)));
    assert!(resolved.1.is_err());
    assert_eq!((lab.requests_for(PEER), lab.requests_for(9)), (1, 3));
    // Three questions, one a second; what the bus takes comes on top.
    let took = lab.world.now() - began;
    assert!((secs(3)..secs(3) + millis(2)).contains(&took), "{took:?}");
}

const DATAGRAMS: u8 = 30;

fn udp() -> SocketAddr {
    SocketAddrV4::new(ip(PEER), 9_000).into()
}

/// Remembers the first byte of every datagram.
async fn listen(peer: Host<LanDriver>, heard: Rc<RefCell<Vec<u8>>>) {
    let bound = peer.net.udp().bind_single(udp()).await;
    let (_local, mut socket) = bound.expect("a socket");
    loop {
        let mut datagram = [0; 64];
        let received = socket.receive_into(&mut datagram).await;
        received.expect("a datagram");
        heard.borrow_mut().push(datagram[0]);
    }
}

/// Sends more datagrams than chip and driver have room for, numbered by their first byte.
async fn speak(us: Us) {
    let connected = us.net.udp().connect(udp()).await;
    let (_local, mut socket) = connected.expect("a socket");
    for number in 0..DATAGRAMS {
        let sent = socket.send(&[number; 40]).await;
        sent.expect("it waits for room");
    }
}

#[test]
fn credit_stall_delays_frames_and_loses_none() {
    let mut lab = awake();
    let peer = lab.echo_at(PEER);
    let heard = Rc::new(RefCell::new(Vec::new()));
    lab.world.spawn(listen(peer, heard.clone()));
    let us = lab.join();
    let talk = Talk::start(&mut lab, &us, millis(100));
    lab.world.run_for(secs(1));
    let (from, before) = (lab.world.now(), talk.answers.get());
    lab.air
        .set_faults(Faults::default().credit_stall(from, secs(10)));

    lab.world.spawn(speak(us.clone()));
    lab.world
        .run_until(from + secs(10) - Duration::from_micros(1));
    assert_eq!(talk.answers.get(), before, "nothing gets out");
    assert!(heard.borrow().is_empty());
    let waiting = lab.chip.counters().taken - lab.air.counters().from_station;
    let room = 1..=u64::from(chip::CREDITS);
    assert!(room.contains(&waiting), "{waiting} wait in the chip");
    lab.world.run_for(secs(1));
    assert!(talk.answers.get() > before, "as soon as it is over");
    assert!(talk.last.get() > from + secs(10));

    let (air, chip) = (lab.air.counters(), lab.chip.counters());
    assert_eq!((air.credit_stalls, chip.over_credit), (1, 0));
    assert_eq!(air.from_station, chip.taken, "none is left behind");
    assert_eq!(air.sent, air.from_station, "none is lost");
    assert_eq!(us.net.with_link(|link| link.counters().tx_dropped()), 0);
    assert!(chip.credit_updates > 0);
    let all: Vec<u8> = (0..DATAGRAMS).collect();
    assert_eq!(*heard.borrow(), all, "in their order");
}

#[test]
fn credit_stall_makes_the_driver_deaf_as_soon_as_it_is_full() {
    let mut lab = awake();
    lab.echo_at(PEER);
    let gossiper = lab.world.lan.lan().add_port(mac(77));
    let us = lab.join();
    // The neighbour is known: nothing but room is waited for.
    let neighbours = us.neighbours;
    let hold = neighbours.hold(ip(PEER)).expect("room");
    let resolved = lab.world.run(async move { hold.resolved().await });
    assert!(resolved.is_ok());
    lab.world.run_for(secs(5));
    let from = lab.world.now();
    lab.air
        .set_faults(Faults::default().credit_stall(from, secs(10)));
    lab.world.spawn(speak(us.clone()));
    lab.world.run_for(secs(2));
    let heard = || us.net.with_link(|link| link.counters().arp);
    let (before, delivered) = (heard(), lab.air.counters().delivered);
    for _ in 0..12 {
        lab.world.lan.lan().send(gossiper, &gossip(77));
        lab.world.run_for(millis(500));
    }
    let delivered = lab.air.counters().delivered - delivered;
    assert_eq!(delivered, 12, "the chip has given all of them away");
    // A driver without room to send hands nothing up, as an answer might be wanted.
    assert!(heard() - before <= 1, "{}", heard() - before);
    lab.world.run_until(from + secs(12));
    let kept = heard() - before;
    assert!((4..=6).contains(&kept), "{kept}: what its four buffers had");
}

#[test]
fn rx_overflow_loses_the_answer_and_the_neighbour_is_asked_again() {
    let mut lab = awake();
    lab.echo_at(PEER);
    let gossiper = lab.world.lan.lan().add_port(mac(77));
    let us = lab.join();
    lab.world.run_for(secs(5));
    let from = lab.world.now();
    let before = lab.air.counters();
    lab.air
        .set_faults(Faults::default().rx_overflow(from, millis(500)));
    for _ in 0..chip::FIFO_FRAMES {
        lab.world.lan.lan().send(gossiper, &gossip(77));
    }
    let talk = Talk::start(&mut lab, &us, secs(60));
    lab.world
        .run_until(from + secs(1) - Duration::from_micros(1));
    assert_eq!((lab.requests_for(PEER), talk.answers.get()), (1, 0));
    let lost = lab.air.counters().overflowed - before.overflowed;
    assert_eq!(lost, 1, "the answer, as the chip is full of gossip");
    lab.world.run_for(millis(10));
    assert_eq!((lab.requests_for(PEER), talk.answers.get()), (2, 1));
    assert_eq!(us.holds(ip(PEER)), 1);
}

#[test]
fn a_burst_overflows_the_four_buffers_of_the_driver_by_itself() {
    // The driver empties the chip before the stack gets to run.
    let mut lab = awake();
    let (power, bus) = lab.chip.wires();
    let bus = bus.without_delay();
    let (driver, mut control) = wifi::power_on_with(&mut lab.world, power, bus);
    let us = Host::start(&mut lab.world, driver, ip(US));
    lab.world.run(async move {
        wifi::set_up(&mut control).await;
        let options = cyw43::JoinOptions::new(b"correct horse");
        control.join("whohas", options).await.expect("a network");
    });
    lab.world.run_for(secs(5));
    let received = || us.net.with_link(|link| link.counters().received);
    let (before, delivered) = (received(), lab.air.counters().delivered);
    let gossiper = lab.world.lan.lan().add_port(mac(77));
    for _ in 0..10 {
        lab.world.lan.lan().send(gossiper, &gossip(77));
    }
    lab.world.run_for(secs(1));
    assert_eq!(lab.air.counters().delivered - delivered, 10);
    assert_eq!(received() - before, 4, "nobody counts the other six");
}

#[test]
fn lost_broadcasts_do_not_matter_to_what_is_asked_for_alone() {
    let mut lab = Lab::new(42);
    lab.echo_at(PEER);
    let gossiper = lab.world.lan.lan().add_port(mac(77));
    let us = lab.join();
    lab.air.set_faults(Faults::default().lose_broadcasts(1.0));
    // So rarely that TCP does not vouch for the neighbour.
    let talk = Talk::start(&mut lab, &us, secs(600));
    lab.world.run_for(secs(10));
    assert_eq!(lab.requests_for(PEER), 1);
    lab.world.lan.lan().clear_log();
    let before = lab.air.counters().groups_lost;
    for _ in 0..60 {
        lab.world.lan.lan().send(gossiper, &gossip(77));
        lab.world.run_for(secs(60));
    }
    let lost = lab.air.counters().groups_lost - before;
    assert_eq!(lost, 60, "it dozes whenever nothing is said");
    let questions = said(&lab);
    let questions: Vec<_> = questions
        .iter()
        .filter(|(_, packet)| packet.operation == Operation::Request)
        .collect();
    assert!(!questions.is_empty(), "the entry is looked after");
    assert!(questions.len() <= 60, "{}", questions.len());
    for (to, packet) in questions {
        assert_eq!((*to, packet.target_ip), (mac(PEER).get(), ip(PEER)));
    }
    assert_eq!(talk.answers.get(), 7);
    assert_eq!(us.holds(ip(PEER)), 1);
}

#[test]
fn link_loss_drops_what_is_parked_keeps_the_holds_and_is_announced_when_it_is_over() {
    let mut lab = awake();
    lab.echo_at(PEER);
    let us = lab.join();
    let talk = Talk::start(&mut lab, &us, secs(1));
    lab.world.run_for(secs(10));
    events(&us);
    let from = lab.world.now();
    lab.air
        .set_faults(Faults::default().link_loss(from, secs(60)));
    let patience = AccessPoint::default().patience;
    // Something for somebody else, for whom nobody answers in time.
    lab.world.run_until(from + patience - secs(2));
    let speaker = us.clone();
    lab.world.spawn(async move {
        let nobody = SocketAddrV4::new(ip(9), PORT).into();
        let (_local, mut socket) = speaker.net.udp().connect(nobody).await.expect("a socket");
        socket.send(b"anybody there?").await.expect("room");
    });
    lab.world
        .run_until(from + patience - Duration::from_micros(1));
    assert!(lab.air.is_associated(), "it still hopes");
    assert_eq!(us.net.with_link(|link| link.parked()), 1);
    lab.world.run_until(from + patience + millis(1));
    assert!(!lab.air.is_associated());
    assert_eq!(events(&us), [LinkEvent::Down]);
    assert_eq!(us.net.with_link(|link| link.parked()), 0);
    assert_eq!(tx_dropped(&us, TxDrop::LinkDown), 1);
    assert_eq!(us.holds(ip(PEER)), 1, "the connection is not given up");

    lab.world.lan.lan().clear_log();
    let before = talk.answers.get();
    lab.world.run_until(from + secs(60));
    assert_eq!(talk.answers.get(), before);
    assert!(lab.attempts.failed() > 1, "it has tried");
    lab.world.run_for(secs(40));
    assert_eq!(events(&us), [LinkEvent::Up]);
    assert_eq!(lab.attempts.joined(), 2);
    assert_eq!(announcements(&lab), 2, "as the policy has it");
    assert!(talk.answers.get() > before, "and it goes on");
    assert_eq!(us.holds(ip(PEER)), 1);
}

#[test]
fn link_loss_that_is_short_is_no_loss_of_the_link() {
    let mut lab = awake();
    lab.echo_at(PEER);
    let us = lab.join();
    let talk = Talk::start(&mut lab, &us, millis(100));
    lab.world.run_for(secs(10));
    events(&us);
    let (from, before) = (lab.world.now(), talk.answers.get());
    let patience = AccessPoint::default().patience;
    let short = patience - Duration::from_micros(1);
    lab.air.set_faults(Faults::default().link_loss(from, short));
    lab.world.run_for(secs(20));
    assert_eq!(events(&us), []);
    assert_eq!(lab.attempts.joined(), 1);
    assert!(lab.air.counters().lost_up > 0);
    assert!(talk.answers.get() > before);
    let refused = lab.air.counters().not_associated_up;
    assert_eq!(refused, 0);
}

#[test]
fn ap_reboot_is_noticed_at_the_first_frame_and_joined_again() {
    let mut lab = awake();
    lab.echo_at(PEER);
    let us = lab.join();
    let talk = Talk::start(&mut lab, &us, secs(10));
    lab.world.run_for(secs(5));
    events(&us);
    let (from, before) = (lab.world.now(), talk.answers.get());
    lab.air
        .set_faults(Faults::default().ap_reboot(from, secs(2)));
    lab.world.run_until(from + secs(3));
    assert!(lab.air.is_associated(), "nobody has told it");
    lab.world.run_for(secs(20));
    let air = lab.air.counters();
    assert_eq!((air.deauthentications, air.beacon_losses), (1, 0));
    assert_eq!(events(&us), [LinkEvent::Down, LinkEvent::Up]);
    assert_eq!(lab.attempts.joined(), 2);
    assert!(talk.answers.get() > before);
}

#[test]
fn late_events_have_the_stack_talk_to_nobody_for_as_long() {
    let mut lab = awake();
    lab.echo_at(PEER);
    let us = lab.join();
    let talk = Talk::start(&mut lab, &us, millis(100));
    lab.world.run_for(secs(10));
    events(&us);
    let (from, before) = (lab.world.now(), talk.answers.get());
    let patience = AccessPoint::default().patience;
    let faults = Faults::default()
        .link_loss(from, patience + millis(1))
        .late_events(secs(5));
    lab.air.set_faults(faults);
    // It is over when the station has given up, and the driver hears of that much later.
    lab.world
        .run_until(from + patience + secs(5) - Duration::from_micros(1));
    assert!(!lab.air.is_associated());
    assert_eq!(events(&us), []);
    assert!(lab.air.counters().not_associated_up > 0);
    lab.world.run_for(millis(1));
    assert_eq!(events(&us), [LinkEvent::Down]);
    lab.world.run_for(secs(30));
    assert_eq!(events(&us), [LinkEvent::Up]);
    assert!(lab.air.counters().late_events > 0);
    assert!(talk.answers.get() > before);
    assert_eq!(us.holds(ip(PEER)), 1);
}

#[test]
fn loss_in_the_air_is_the_business_of_the_port() {
    let mut lab = Lab::new(42);
    lab.echo_at(PEER);
    let us = lab.join();
    let talk = Talk::start(&mut lab, &us, secs(1));
    let port = lab.air.port();
    lab.world.lan.lan().set_link(port, Link::lossy(0.2));
    lab.world.run_for(secs(600));
    let lost = lab.world.lan.lan().uplink_stats(port).lost;
    assert!(lost > 50, "{lost}");
    assert!(talk.answers.get() > 100, "{}", talk.answers.get());
    assert_eq!(us.holds(ip(PEER)), 1);
}
