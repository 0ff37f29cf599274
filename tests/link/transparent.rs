//! The transparent adapter, frame by frame: what passes, what is swallowed, what the stack is told.

use super::support::*;
use embassy_net_driver::{Driver, RxToken, TxToken};
use std::task::{Context, Waker};
use whohas::cache::Fixed;
use whohas::link::{Transparent, TxDrop};
use whohas::sim::{Lan, LanClock, LanDriver, PortId, SharedLan};
use whohas::wire::{ArpPacket, EtherType, EthernetFrame, HardwareTypes, Operation};
use whohas::{Instant, LocalResolver, MacAddr, UnicastMac};

type Adapter = Transparent<LanDriver, &'static Resolver, LanClock>;

struct Stack {
    lan: SharedLan,
    sniffer: PortId,
    driver: LanDriver,
    resolver: &'static Resolver,
    adapter: Adapter,
}

impl Stack {
    fn new() -> Self {
        let lan = SharedLan::new(Lan::new(42));
        let driver = lan.add_driver(mac(US));
        let sniffer = lan.lan().add_tap();
        let resolver: &'static Resolver =
            Box::leak(Box::new(LocalResolver::new(QUIET, Fixed::new())));
        let adapter = Transparent::new(driver.clone(), resolver, lan.clock());
        Self {
            lan,
            sniffer,
            driver,
            resolver,
            adapter,
        }
    }

    fn send(&mut self, frame: &[u8]) {
        let mut context = Context::from_waker(Waker::noop());
        let room = self
            .adapter
            .transmit(&mut context)
            .expect("the LAN has room");
        room.consume(frame.len(), |buffer| buffer.copy_from_slice(frame));
    }

    fn send_arp(&mut self, packet: ArpPacket, to: MacAddr) {
        let mut frame = [0; 60];
        packet
            .emit_frame(to, None, &mut frame)
            .expect("there is room");
        self.send(&frame);
    }

    /// All that the stack gets until this time, and when.
    fn gets_until(&mut self, deadline: Instant) -> Vec<(Instant, Vec<u8>)> {
        let mut context = Context::from_waker(Waker::noop());
        let mut got = Vec::new();
        loop {
            for _ in 0..4 {
                self.lan.advance_to(self.lan.now());
                self.adapter.poll(self.lan.now(), &mut context);
                while let Some((frame, _room)) = self.adapter.receive(&mut context) {
                    got.push((self.lan.now(), frame.consume(|bytes| bytes.to_vec())));
                }
            }
            let next = self
                .adapter
                .poll_timeout()
                .into_iter()
                .chain(self.lan.next_event());
            match next.min() {
                Some(next) if next <= deadline => self.lan.advance_to(next),
                _ => break,
            }
        }
        self.lan.advance_to(deadline);
        got
    }

    fn gets(&mut self) -> Vec<Vec<u8>> {
        let got = self.gets_until(self.lan.now());
        got.into_iter().map(|(_, frame)| frame).collect()
    }

    /// The station that the stack is told to send to, for this neighbour of this address.
    fn ask(&mut self, own: u8, neighbour: u8) -> UnicastMac {
        let request = ArpPacket::request(mac(US), ip(own), ip(neighbour));
        self.send_arp(request, MacAddr::BROADCAST);
        let got = self.gets();
        let [answer] = &got[..] else {
            panic!("one answer: {got:?}");
        };
        let answer = arp(answer).expect("an ARP packet");
        assert_eq!(answer, request.answered_by(answer.sender_mac));
        answer.sender_mac
    }

    fn seen(&self) -> Vec<Vec<u8>> {
        self.lan.advance_to(self.lan.now());
        let mut lan = self.lan.lan();
        std::iter::from_fn(|| lan.receive(self.sniffer)).collect()
    }

    fn inject(&self, frame: &[u8]) {
        self.lan.lan().send(self.sniffer, frame);
    }
}

fn arp(frame: &[u8]) -> Option<ArpPacket> {
    let frame = EthernetFrame::parse(frame).ok()?;
    ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()
}

fn ipv4(to: MacAddr, packet: &[u8]) -> Vec<u8> {
    frame(to, mac(US).get(), None, EtherType::IPV4, packet)
}

#[test]
fn a_question_is_answered_before_anybody_on_the_wire_has_heard_it() {
    let mut stack = Stack::new();
    let surrogate = stack.ask(US, 2);
    assert_ne!(surrogate, mac(2));
    assert_ne!(stack.ask(US, 3), surrogate);
    assert!(stack.seen().is_empty());
    assert_eq!(stack.adapter.counters().swallowed, 2);
    assert_eq!(stack.adapter.counters().answered, 2);
}

#[test]
fn what_is_sent_to_a_surrogate_arrives_at_the_neighbour_and_follows_it() {
    let mut stack = Stack::new();
    let host = whohas::sim::Host::new(ip(2), mac(2));
    let moves = host.moves_silently(secs(10), mac(77));
    stack.lan.lan().add_host(moves);
    let surrogate = stack.ask(US, 2);
    let hello = packet(ip(US), ip(2), &[1; 40]);
    stack.send(&ipv4(surrogate.get(), &hello));
    stack.gets_until(secs(1));
    let seen = stack.seen();
    let to_host = |mac| frame(mac, self::mac(US).get(), None, EtherType::IPV4, &hello);
    assert_eq!(seen.last(), Some(&to_host(mac(2).get())));
    stack.gets_until(secs(9));
    // The held entry is verified by unicast when it has aged, and asked for anew: no frame of the
    // stack's is needed to notice the move, but it goes to the new station.
    for at in [40, 80, 120] {
        stack.send(&ipv4(surrogate.get(), &hello));
        stack.gets_until(secs(at));
    }
    stack.seen();
    stack.send(&ipv4(surrogate.get(), &hello));
    assert_eq!(stack.seen().first(), Some(&to_host(mac(77).get())));
}

#[test]
fn the_stack_is_told_again_every_thirty_seconds_and_never_again_after_an_hour_of_silence() {
    let mut stack = Stack::new();
    let surrogate = stack.ask(US, 2);
    let told = stack.gets_until(secs(2 * 3_600));
    let times: Vec<_> = told.iter().map(|(at, _)| *at).collect();
    let expected: Vec<_> = (1..120).map(|n| secs(30 * n)).collect();
    assert_eq!(times, expected);
    assert!(
        told.iter()
            .all(|(_, frame)| { arp(frame).is_some_and(|packet| packet.sender_mac == surrogate) })
    );
}

#[test]
fn all_that_is_no_business_of_ours_passes_both_ways_as_it_is() {
    let mut stack = Stack::new();
    let group = MacAddr::new([0x33, 0x33, 0, 0, 0, 1]);
    let six = EtherType(0x86dd);
    let out = [
        frame(group, mac(US).get(), None, six, &[1; 50]),
        ipv4(
            MacAddr::BROADCAST,
            &packet([0, 0, 0, 0].into(), [255; 4].into(), &[2; 60]),
        ),
        ipv4(mac(2).get(), &packet(ip(US), ip(2), &[3; 60])),
        vec![4; 13],
    ];
    for frame in &out {
        stack.send(frame);
    }
    assert_eq!(stack.seen(), out);
    let back = [
        frame(group, mac(2).get(), None, six, &[5; 50]),
        frame(
            mac(US).get(),
            mac(2).get(),
            None,
            EtherType::IPV4,
            &packet(ip(2), ip(US), &[6; 9]),
        ),
    ];
    for frame in &back {
        stack.inject(frame);
    }
    assert_eq!(stack.gets(), back);
    let probe = ArpPacket::probe(mac(US), ip(US));
    stack.send_arp(probe, MacAddr::BROADCAST);
    assert_eq!(
        stack
            .seen()
            .iter()
            .filter_map(|frame| arp(frame))
            .collect::<Vec<_>>(),
        [probe]
    );
}

#[test]
fn nothing_is_ever_sent_to_a_surrogate() {
    let mut stack = Stack::new();
    let surrogate = stack.ask(US, 2).get();
    stack.send(&frame(
        surrogate,
        mac(US).get(),
        None,
        EtherType(0x86dd),
        &[1; 50],
    ));
    stack.send_arp(
        ArpPacket::request(mac(2), ip(2), ip(US)).answered_by(mac(US)),
        surrogate,
    );
    stack.send(&ipv4(surrogate, &[0x45; 10]));
    stack.send(&frame(
        surrogate,
        mac(US).get(),
        None,
        EtherType(0x0026),
        &[1; 50],
    ));
    stack.send(&frame(
        surrogate,
        mac(US).get(),
        None,
        EtherType::ARP,
        &[1; 50],
    ));
    let vlan = whohas::VlanId::new(10).ok();
    let tagged = packet(ip(US), ip(2), &[1; 50]);
    stack.send(&frame(
        surrogate,
        mac(US).get(),
        vlan,
        EtherType::IPV4,
        &tagged,
    ));
    stack.send(&ipv4(surrogate, &packet(ip(US), ip(2), &[1; 50])));
    stack.gets_until(secs(20));
    assert!(
        stack
            .seen()
            .iter()
            .all(|frame| frame[..6] != surrogate.octets())
    );
    let counters = stack.adapter.link_counters();
    assert_eq!(counters.tx(TxDrop::NotIpv4), 6);
    assert_eq!(counters.tx(TxDrop::Unreachable), 1);
    assert_eq!(counters.accepted, counters.sent + counters.tx_dropped());
}

#[test]
fn a_stack_with_two_addresses_is_answered_for_at_both() {
    let mut stack = Stack::new();
    stack.ask(US, 2);
    stack.ask(200, 2);
    stack.ask(US, 3);
    assert_eq!(
        stack.resolver.with_cache(|cache| cache.addresses().count()),
        2
    );
    stack.seen();
    for own in [US, 200] {
        let request = ArpPacket::request(mac(2), ip(2), ip(own));
        let mut frame = [0; 60];
        request
            .emit_frame(MacAddr::BROADCAST, None, &mut frame)
            .expect("there is room");
        stack.inject(&frame);
        assert!(stack.gets().is_empty(), "the stack does not hear of it");
        let answers: Vec<_> = stack.seen().iter().filter_map(|frame| arp(frame)).collect();
        assert_eq!(answers, [request.answered_by(mac(US))]);
    }
}

#[test]
fn who_asks_from_outside_the_learnt_prefix_is_left_to_the_stack_until_it_has_answered() {
    let mut stack = Stack::new();
    stack.ask(US, 2);
    let request = ArpPacket::request(mac(99), ip(99), ip(US));
    let mut question = [0; 60];
    request
        .emit_frame(MacAddr::BROADCAST, None, &mut question)
        .expect("there is room");
    stack.inject(&question);
    assert_eq!(stack.gets(), [question]);
    stack.send_arp(request.answered_by(mac(US)), mac(99).get());
    assert_eq!(stack.seen().len(), 1, "its answer passes");
    stack.inject(&question);
    assert!(stack.gets().is_empty());
    let answers: Vec<_> = stack.seen().iter().filter_map(|frame| arp(frame)).collect();
    assert_eq!(answers, [request.answered_by(mac(US))], "ours now");
}

#[test]
fn a_driver_without_room_delays_answers_and_loses_none() {
    let mut stack = Stack::new();
    let request = ArpPacket::request(mac(US), ip(US), ip(2));
    stack.send_arp(request, MacAddr::BROADCAST);
    stack.driver.set_room(Some(0));
    assert!(stack.gets().is_empty());
    stack.driver.set_room(None);
    let got = stack.gets();
    assert_eq!(got.len(), 1);
    assert!(arp(&got[0]).is_some_and(|packet| packet.operation == Operation::Reply));
}
