//! The whole resolver, with its cache: two queues, few neighbours, few switches of threads.

use core::net::Ipv4Addr;
use core::task::{Context, Poll};

use loom::thread::spawn;

use super::{Alarm, large_model, mac, model};
use crate::cache::{HoldError, Key, Policy, Prefix, Status};
use crate::resolver::shared::block::Standing;
use crate::resolver::shared::reader::{Change, Reader};
use crate::resolver::shared::{Shape, SharedHold, SharedResolver};
use crate::resolver::{Hold, ResolveError};
use crate::time::Instant;
use crate::wire::{ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes, UnicastMac};

const NOW: Instant = Instant::ZERO;
const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// In another block.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 4);

fn resolver(neighbours: usize) -> SharedResolver {
    let shape = Shape {
        queues: 2,
        neighbours,
        leases: 0,
        blocks: 4,
        outbox: 1,
        changes: 4,
        seed: 0,
    };
    let resolver = SharedResolver::new(Policy::STRICT, shape);
    resolver.set_mac(NOW, mac(1));
    let own = Prefix::new(US, 29).expect("an address that a host can have");
    resolver
        .set_addresses(NOW, &[own])
        .expect("there is room for one");
    resolver
}

/// Sends what wants to leave; how many requests for `peer` there were.
fn requests(reader: &Reader, peer: Ipv4Addr) -> u32 {
    let mut frame = [0; ARP_FRAME_LEN];
    let mut count = 0;
    while reader.poll_transmit(NOW, &mut frame) {
        let parsed = EthernetFrame::parse(&frame).expect("our own frame");
        let packet = ArpPacket::parse(parsed.payload, HardwareTypes::Ethernet);
        count += u32::from(packet.expect("our own frame").target_ip == peer);
    }
    count
}

/// The answer of `peer`.
fn answer(peer: Ipv4Addr) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    let request = ArpPacket::request(mac(1), US, peer);
    let answer = request.answered_by(mac_of(peer));
    let emitted = answer.emit_frame(mac(1).get(), None, &mut frame);
    emitted.expect("there is room for a frame");
    frame
}

fn mac_of(peer: Ipv4Addr) -> UnicastMac {
    mac(peer.octets()[3])
}

/// Makes `peer` known.
fn learn(reader: &Reader, peer: Ipv4Addr) -> SharedHold {
    let hold = reader.hold(peer).expect("there is room");
    assert_eq!(requests(reader, peer), 1);
    reader
        .receive(NOW, &answer(peer))
        .expect("nobody else has the token");
    assert_eq!(hold.mac(), Some(mac_of(peer)));
    hold
}

/// All calls have ended. Without anybody calling anything more, the cache holds whom somebody claims;
/// and what is published is what it knows.
fn check(resolver: &SharedResolver, peers: &[Ipv4Addr]) {
    let shared = &resolver.shared;
    let owner = shared.token.take().expect("nobody has it");
    for &peer in peers {
        let glance = owner.cache.glance(Key::from(peer));
        if resolver.holds(peer) > 0 {
            assert!(glance.held, "the claim on {peer} is lost");
        }
        assert_eq!(resolver.lookup(peer), glance.mac);
    }
    assert!(shared.seats.iter().all(|seat| seat.outbox.len() == 0));
    assert!(owner.release().is_ok(), "no note was left");
    // Somebody comes by: now the cache holds nobody else either.
    resolver.inspect(|cache| {
        for &peer in peers {
            let held = cache.glance(Key::from(peer)).held;
            assert_eq!(held, resolver.holds(peer) > 0);
        }
    });
}

/// 1. A queue drops the last hold while another brings the answer.
///
/// Fails, with an entry that the cache holds for nobody, if the last release does not list the
/// address.
#[test]
fn last_drop_and_reply() {
    model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        let hold = a.hold(PEER).unwrap();
        assert_eq!(requests(&b, PEER), 1);
        let dropping = spawn(move || drop(hold));
        b.receive(NOW, &answer(PEER)).unwrap();
        dropping.join().unwrap();
        check(&resolver, &[PEER]);
        assert_eq!(resolver.holds(PEER), 0);
        // It is known, or it is asked for again; and whoever holds it now is served.
        let hold = b.hold(PEER).unwrap();
        check(&resolver, &[PEER]);
        assert!([Status::Pending, Status::Resolved(mac_of(PEER))].contains(&hold.status()));
    });
}

/// Its sister: the last hold is dropped while somebody removes the entry. Whoever holds the neighbour
/// next is served, without anybody else coming by.
///
/// Fails, with a claim that nobody looks at, if a release is a load and a store. It found that a
/// claim could rely on the mark of a release whose entry was just removed.
#[test]
fn last_drop_and_removal() {
    model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        let hold = learn(&a, PEER);
        let dropping = spawn(move || drop(hold));
        assert!(resolver.remove(PEER));
        dropping.join().unwrap();
        let hold = b.hold(PEER).unwrap();
        check(&resolver, &[PEER]);
        assert_eq!(hold.status(), Status::Pending);
    });
}

/// 2. The cache wants the slot of a neighbour for another, while a queue claims it.
///
/// Fails, with the neighbour gone under the hold that won, if the count is looked at outside of the
/// exchange that ends the generation.
#[test]
fn eviction_and_hold() {
    large_model(|| {
        let resolver = resolver(1);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        drop(learn(&a, PEER));
        resolver.inspect(|_| ());
        let claiming = spawn(move || {
            let hold = a.hold(PEER);
            let seen = hold.as_ref().map(|hold| hold.status());
            assert_ne!(seen.ok(), Some(Status::Unreachable));
            (hold, a)
        });
        let other = b.hold(OTHER);
        let (peer, _a) = claiming.join().unwrap();
        check(&resolver, &[PEER, OTHER]);
        if let Some(error) = refusal(&other) {
            assert_eq!(error, HoldError::TableFull);
            assert_eq!(peer.unwrap().mac(), Some(mac_of(PEER)));
        } else {
            assert_eq!(other.unwrap().status(), Status::Pending);
            assert_eq!(refusal(&peer), Some(HoldError::TooManyUnresolved));
        }
    });
}

/// Why a hold was refused, at once or later.
fn refusal(hold: &Result<SharedHold, HoldError>) -> Option<HoldError> {
    match hold.as_ref().map(SharedHold::standing) {
        Ok(Standing::Refused(error)) | Err(&error) => Some(error),
        Ok(Standing::Status(_)) => None,
    }
}

/// 3. Two queues want the same neighbour: one request, two holds.
///
/// Fails, with one hold counted of two, if a claim is a load and a store; and with a claim that
/// nobody looks at, if a note is not `Release`.
#[test]
fn two_queues_want_the_same() {
    large_model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        let asking = spawn(move || {
            let hold = a.hold(PEER).unwrap();
            let asked = requests(&a, PEER);
            (hold, asked, a)
        });
        let hold = b.hold(PEER).unwrap();
        let asked = requests(&b, PEER);
        let (other, asked_by_other, a) = asking.join().unwrap();
        check(&resolver, &[PEER]);
        assert_eq!(
            [&hold, &other].map(|hold| hold.status()),
            [Status::Pending; 2]
        );
        assert_eq!(resolver.holds(PEER), 2);
        // Whoever did not get the token comes again.
        assert_eq!(asked + asked_by_other + requests(&a, PEER), 1);
    });
}

/// 4. A queue looks a neighbour up while another learns it: its MAC or none, and the change is told
/// once.
///
/// Fails, with a neighbour that was told and is not found, if the counter of the feed is stored or
/// loaded with `Relaxed`. (That a word is whole needs no model: it is one atomic.)
#[test]
fn publishing_and_look_up() {
    model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        let _holds = [PEER, OTHER].map(|peer| {
            let hold = b.hold(peer).unwrap();
            assert_eq!(requests(&b, peer), 1);
            hold
        });
        let reading = spawn(move || {
            let told = a.poll_change();
            let found = [PEER, OTHER].map(|peer| a.lookup(peer));
            (told, found, a)
        });
        b.receive(NOW, &answer(OTHER)).unwrap();
        let (told, found, a) = reading.join().unwrap();
        check(&resolver, &[PEER, OTHER]);
        let change = Change::Neighbour {
            key: Key::from(OTHER),
            mac: Some(mac_of(OTHER)),
        };
        assert_eq!(found[0], None);
        if told.is_some() {
            assert_eq!(found[1], Some(mac_of(OTHER)), "it was told before");
        }
        assert!([None, Some(mac_of(OTHER))].contains(&found[1]));
        assert_eq!(told.or_else(|| a.poll_change()), Some(change));
        assert_eq!(a.poll_change(), None);
    });
}

/// 5. Two queues bring an answer each: whoever does not get the token leaves it to the other, who
/// takes it before it lets go.
///
/// Fails, with a frame left in an outbox, if leaving a note is not `Release` or taking it away not
/// `Acquire`, and if the note is a step of its own.
#[test]
fn two_queues_bring_frames() {
    model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        let holds = [PEER, OTHER].map(|peer| {
            let hold = b.hold(peer).unwrap();
            assert_eq!(requests(&b, peer), 1);
            hold
        });
        let bringing = spawn(move || {
            a.receive(NOW, &answer(PEER)).unwrap();
            a
        });
        b.receive(NOW, &answer(OTHER)).unwrap();
        let _a = bringing.join().unwrap();
        check(&resolver, &[PEER, OTHER]);
        assert_eq!(
            holds.map(|hold| hold.mac()),
            [PEER, OTHER].map(|ip| Some(mac_of(ip)))
        );
    });
}

/// 6. A reader goes away while its holds are on another thread, where one is dropped and somebody
/// waits for the other: each is given back once, and who waits learns that it is in vain.
///
/// Fails, with two holds counted where one is left, if a release is a load and a store; and with none,
/// if who gives the claim back is decided by a load and a store.
#[test]
fn reader_goes_while_its_holds_are_elsewhere() {
    model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        let kept = b.hold(PEER).unwrap();
        let [dropped, waited_for] = [(), ()].map(|()| a.hold(PEER).unwrap());
        assert_eq!(resolver.holds(PEER), 3);
        let (alarm, task) = Alarm::new();
        let user = spawn(move || {
            drop(dropped);
            let outcome = waited_for.poll_resolved(&mut Context::from_waker(&task));
            (waited_for, outcome)
        });
        drop(a);
        let (waited_for, outcome) = user.join().unwrap();
        let aborted = Poll::Ready(Err(ResolveError::Aborted));
        assert!(outcome == aborted || alarm.rang(), "{outcome:?}");
        assert_eq!(waited_for.status(), Status::Gone);
        check(&resolver, &[PEER]);
        assert_eq!(resolver.holds(PEER), 1);
        drop((waited_for, kept));
        assert_eq!(resolver.holds(PEER), 0);
    });
}

/// 7. The prefixes change while a queue looks up one neighbour and claims another: a MAC is only ever
/// that of the address, and the claim is served, refused or gone.
///
/// Fails, with more blocks counted out than there were, if closing one is a load and a store; and
/// with a hold that waits for ever, if a claim is counted in its block after it was made.
#[test]
fn prefix_change_look_up_and_hold() {
    large_model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        drop(learn(&b, PEER));
        let queue = spawn(move || {
            let hold = a.hold(OTHER);
            let found = a.lookup(PEER);
            (hold, found, a)
        });
        let elsewhere = Prefix::new(Ipv4Addr::new(10, 0, 1, 1), 29).unwrap();
        resolver.set_addresses(NOW, &[elsewhere]).unwrap();
        let (hold, found, a) = queue.join().unwrap();
        assert!([None, Some(mac_of(PEER))].contains(&found));
        assert_eq!(a.lookup(PEER), None);
        check(&resolver, &[PEER, OTHER]);
        match hold {
            Ok(hold) => assert_eq!(hold.status(), Status::Gone),
            Err(error) => assert_eq!(error, HoldError::OffLink),
        }
    });
}

/// A task begins to wait for a neighbour while another queue brings the answer.
///
/// Fails, with a task that sleeps on, if the owner looks at who is asleep by a load.
#[test]
fn waiting_and_reply() {
    model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        let hold = a.hold(PEER).unwrap();
        assert_eq!(requests(&b, PEER), 1);
        let (alarm, task) = Alarm::new();
        let waiting = spawn(move || {
            let outcome = hold.poll_resolved(&mut Context::from_waker(&task));
            (hold, outcome)
        });
        b.receive(NOW, &answer(PEER)).unwrap();
        let (_hold, outcome) = waiting.join().unwrap();
        assert!(outcome == Poll::Ready(Ok(mac_of(PEER))) || alarm.rang());
        check(&resolver, &[PEER]);
    });
}

/// A loop goes to sleep while a user of another queue, who sends nothing, wants a neighbour.
///
/// Fails, with a loop that sleeps for ever, if those who sleep are looked for by a load.
#[test]
fn sleeping_loop_and_hold() {
    model(|| {
        let resolver = resolver(8);
        let [a, b] = [(), ()].map(|()| resolver.reader().unwrap());
        assert_eq!(requests(&a, PEER), 0);
        a.poll_timeout();
        let (alarm, task) = Alarm::new();
        let sleeping = spawn(move || {
            let woken = a.poll_work(&mut Context::from_waker(&task));
            (a, woken)
        });
        let _hold = b.hold(PEER).unwrap();
        let (a, woken) = sleeping.join().unwrap();
        assert!(woken.is_ready() || alarm.rang());
        assert_eq!(requests(&a, PEER), 1);
    });
}
