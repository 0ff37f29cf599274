//! Two queues of one card, each with a link of its own over a shared resolver: ARP lands on one of
//! them, and both send.

use super::support::*;
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Waker};
use whohas::MacAddr;
use whohas::link::{IpLink, Link, RxDrop};
use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::sim::{Host, Lan, LanClock, LanDriver, SharedLan};
use whohas::wire::ArpPacket;

/// A card: what arrives is spread over the queues, and all ARP goes to the first.
struct Card {
    port: LanDriver,
    queues: [VecDeque<Vec<u8>>; 2],
}

impl Card {
    fn sort(&mut self, context: &mut Context<'_>) {
        while let Some((frame, _room)) = self.port.receive(context) {
            let bytes = frame.consume(|bytes| bytes.to_vec());
            let is_arp = bytes[12..14] == [8, 6];
            self.queues[usize::from(!is_arp)].push_back(bytes);
        }
    }
}

struct Queue {
    card: Rc<RefCell<Card>>,
    number: usize,
}

struct Out(LanDriver);

impl TxToken for Out {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, len: usize, f: F) -> R {
        let mut context = Context::from_waker(Waker::noop());
        let room = self.0.transmit(&mut context).expect("the LAN has room");
        room.consume(len, f)
    }
}

struct In(Vec<u8>);

impl RxToken for In {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

impl Driver for Queue {
    type RxToken<'a> = In;
    type TxToken<'a> = Out;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(In, Out)> {
        let mut card = self.card.borrow_mut();
        card.sort(context);
        let frame = card.queues[self.number].pop_front()?;
        Some((In(frame), Out(card.port.clone())))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Out> {
        Some(Out(self.card.borrow().port.clone()))
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.card.borrow_mut().port.link_state(context)
    }

    fn capabilities(&self) -> Capabilities {
        self.card.borrow().port.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.card.borrow().port.hardware_address()
    }
}

type QueueLink<'r> = Link<Queue, &'r Reader, LanClock>;

fn settle(lan: &SharedLan, links: &mut [QueueLink<'_>]) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..20 {
        lan.advance_to(lan.now());
        for link in &mut *links {
            link.poll(lan.now(), &mut context);
            while let Some((packet, _room)) = link.receive(&mut context) {
                packet.consume(|_| ());
            }
        }
    }
}

fn run_until(lan: &SharedLan, links: &mut [QueueLink<'_>], deadline: whohas::Instant) {
    while lan.now() < deadline {
        settle(lan, links);
        let timeouts = links.iter().filter_map(IpLink::poll_timeout);
        let next = timeouts.chain(lan.next_event()).min().unwrap_or(deadline);
        lan.advance_to(next.max(lan.now() + TICK).min(deadline));
    }
    settle(lan, links);
}

fn send(link: &mut QueueLink<'_>, packet: &[u8]) {
    let mut context = Context::from_waker(Waker::noop());
    let room = link.transmit(&mut context).expect("the LAN has room");
    room.consume(packet.len(), |buffer| buffer.copy_from_slice(packet));
}

#[test]
fn a_packet_of_the_queue_that_hears_no_arp_leaves_with_the_answer_on_the_other() {
    let lan = SharedLan::new(Lan::new(42));
    let port = lan.add_driver(mac(US));
    lan.lan()
        .add_host(Host::new(ip(2), mac(2)).answers_after(TICK * 100));
    let sniffer = lan.lan().add_tap();
    let shape = Shape::default();
    let resolver = SharedResolver::new(QUIET, shape);
    let readers = [(); 2].map(|()| resolver.reader().expect("room for two"));
    let card = Rc::new(RefCell::new(Card {
        port,
        queues: Default::default(),
    }));
    let mut links: Vec<QueueLink<'_>> = readers
        .iter()
        .enumerate()
        .map(|(number, reader)| {
            let card = card.clone();
            Link::new(Queue { card, number }, reader, lan.clock())
        })
        .collect();
    for link in &mut links {
        link.set_addresses(&[own()]).expect("a host's address");
    }
    settle(&lan, &mut links);
    for n in [1, 2] {
        send(&mut links[1], &packet(ip(US), ip(2), &[n; 30]));
        send(&mut links[0], &packet(ip(US), ip(2), &[n + 10; 30]));
    }
    run_until(&lan, &mut links, millis(10));
    let mut requests = 0;
    let mut numbers = [vec![], vec![]];
    while let Some(bytes) = { lan.lan().receive(sniffer) } {
        if bytes[6..12] != mac(US).octets() {
            continue;
        }
        if bytes[12..14] == [8, 6] {
            requests += 1;
        } else {
            assert_eq!(bytes[..6], mac(2).octets());
            let n = bytes[14 + 20];
            numbers[usize::from(n > 10)].push(n);
        }
    }
    assert_eq!(requests, 1, "one question, however many queues want it");
    assert_eq!(
        numbers,
        [vec![1, 2], vec![11, 12]],
        "each queue's in their order"
    );
    assert!(links.iter().all(|link| link.parked() == 0));
    assert_eq!(resolver.holds(ip(2)), 0);
}

#[test]
fn arp_for_which_the_resolver_has_no_room_is_given_again_or_counted() {
    let lan = SharedLan::new(Lan::new(42));
    let port = lan.add_driver(mac(US));
    let sniffer = lan.lan().add_tap();
    let resolver = SharedResolver::new(QUIET, Shape::default());
    let reader = resolver.reader().expect("room for one");
    let queues = Default::default();
    let card = Rc::new(RefCell::new(Card { port, queues }));
    let queue = Queue { card, number: 0 };
    let mut links: Vec<QueueLink<'_>> = vec![Link::new(queue, &reader, lan.clock())];
    links[0].set_addresses(&[own()]).expect("a host's address");
    settle(&lan, &mut links);
    let questions = 1_000;
    for n in 0..questions {
        let n = (n % 200 + 10) as u8;
        let request = ArpPacket::request(mac(n), ip(n), ip(US));
        let mut frame = [0; 60];
        request
            .emit_frame(MacAddr::BROADCAST, None, &mut frame)
            .expect("there is room");
        lan.lan().send(sniffer, &frame);
    }
    // As long as somebody looks into the cache, nobody else can work on it.
    resolver.inspect(|_| settle(&lan, &mut links));
    let counters = *links[0].counters();
    assert_eq!(counters.received, questions);
    assert_eq!(counters.arp + counters.rx(RxDrop::ArpBusy), questions);
    assert!(counters.rx(RxDrop::ArpBusy) > 0, "{counters:?}");
    let before = resolver.counters();
    settle(&lan, &mut links);
    let after = resolver.counters();
    assert_eq!(
        before.cache.received,
        counters.arp - 1,
        "what it had room for"
    );
    assert_eq!(
        after.cache.received, counters.arp,
        "and the one that the link kept"
    );
}
