//! What happens exactly at each bound that a small device has chosen.

use whohas::cache::{
    AddressError, Bounds, Cache, DropReason, Event, Fixed, HoldError, HoldKey, Received, Removal,
    Small, Status, Storage, UpTo,
};
use whohas::wire::ARP_FRAME_LEN;
use whohas::{Instant, Policy, Prefix};

use crate::support::{DUT, Frame, ip, mac, unlike};

const POLICY: Policy = Policy {
    announcements: 0,
    unresolved_eighths: 8,
    ..unlike(Policy::STRICT)
};
const START: Instant = Instant::from_secs(100);

/// Small, but for what is one more.
#[derive(Debug)]
struct Wider;

impl Bounds for Wider {
    type SlotNumber = u8;
    type Addresses = UpTo<2>;
    type Proxied = UpTo<1>;
    type Events = UpTo<3>;
    type Replies = UpTo<2>;
}

fn own(n: u8) -> Prefix {
    Prefix::new(ip(n), 24).expect("24 bits")
}

fn cache<S: Storage>(policy: Policy, storage: S) -> Cache<S> {
    let mut cache = Cache::new(policy, storage);
    cache.set_mac(START, mac(DUT));
    cache
        .set_addresses(START, &[own(DUT)])
        .expect("there is room for one");
    cache
}

fn events<S: Storage>(cache: &mut Cache<S>) -> Vec<Event> {
    std::iter::from_fn(|| cache.poll_event()).collect()
}

/// How many frames leave.
fn transmit<S: Storage>(cache: &mut Cache<S>, now: Instant) -> usize {
    let mut sent = 0;
    while let Some(transmit) = cache.poll_transmit(now) {
        transmit.emit(&mut [0; ARP_FRAME_LEN]).expect("60 bytes");
        sent += 1;
    }
    sent
}

#[test]
fn one_own_address_more_than_there_is_room_for_is_refused_and_changes_nothing() {
    addresses(cache(POLICY, Fixed::<4, Small>::new()), &[own(2)]);
    addresses(cache(POLICY, Fixed::<4, Wider>::new()), &[own(2), own(3)]);
}

fn addresses<S: Storage>(mut cache: Cache<S>, most: &[Prefix]) {
    let more: Vec<_> = most.iter().copied().chain([own(9)]).collect();
    let refused = cache.set_addresses(START, &more);
    assert_eq!(refused, Err(AddressError::TooMany));
    assert!(cache.addresses().eq([own(DUT)]));
    assert_eq!(cache.set_addresses(START, most), Ok(()));
    assert!(cache.addresses().eq(most.iter().copied()));
}

#[test]
fn one_proxied_prefix_more_than_there_is_room_for_is_refused_and_changes_nothing() {
    let mut small = cache(POLICY, Fixed::<4, Small>::new());
    assert_eq!(small.set_proxied(&[own(9)]), Err(AddressError::TooMany));
    assert_eq!(small.set_proxied(&[]), Ok(()));

    let mut wider = cache(POLICY, Fixed::<4, Wider>::new());
    let one = Prefix::new(ip(9), 32).expect("32 bits");
    let refused = wider.set_proxied(&[one, own(8)]);
    assert_eq!(refused, Err(AddressError::TooMany));
    let question = Frame::request(mac(2), ip(2), ip(9)).bytes();
    let elsewhere = Received::Dropped(DropReason::TargetElsewhere);
    assert_eq!(wider.receive(START, &question), elsewhere);
    assert_eq!(wider.set_proxied(&[one]), Ok(()));
    assert_eq!(wider.receive(START, &question), Received::Accepted);
}

#[test]
fn one_question_more_than_there_is_room_for_answers_is_counted_and_the_next_is_answered() {
    replies(cache(POLICY, Fixed::<4, Small>::new()), 1);
    replies(cache(POLICY, Fixed::<4, Wider>::new()), 2);
}

fn replies<S: Storage>(mut cache: Cache<S>, most: u8) {
    let question = |n| Frame::request(mac(n), ip(n), ip(DUT)).bytes();
    for round in 1..=3 {
        for n in 0..most {
            let received = cache.receive(START, &question(10 + n));
            assert_eq!(received, Received::Accepted);
        }
        let full = Received::Dropped(DropReason::ReplyQueueFull);
        assert_eq!(cache.receive(START, &question(10 + most)), full);
        assert_eq!(cache.counters().replies_withheld, round);
        assert_eq!(transmit(&mut cache, START), usize::from(most));
    }
    assert_eq!(cache.counters().replies, 3 * u64::from(most));
}

#[test]
fn one_event_more_than_there_is_room_for_is_counted_and_told() {
    lost(cache(POLICY, Fixed::<4, Small>::new()), 2);
    lost(cache(POLICY, Fixed::<4, Wider>::new()), 3);
}

fn lost<S: Storage>(mut cache: Cache<S>, most: u8) {
    for n in 0..most {
        cache.insert_static(ip(2), mac(10 + n)).expect("a slot");
    }
    assert_eq!(events(&mut cache).len(), usize::from(most));
    assert_eq!(cache.counters().events_lost, 0);

    for n in 0..=most {
        cache.insert_static(ip(2), mac(20 + n)).expect("a slot");
    }
    let told = events(&mut cache);
    assert_eq!(told.len(), usize::from(most) + 1);
    assert_eq!(told.last(), Some(&Event::Lost));
    assert_eq!(cache.counters().events_lost, 1);
    assert_eq!(cache.lookup(ip(2)), Some(mac(20 + most)));
}

/// The most that a frame can cause: somebody goes, and somebody comes.
#[test]
fn the_two_events_of_one_frame_are_told_where_there_is_room_for_two() {
    let policy = Policy {
        gratuitous: whohas::cache::Trust::Create,
        ..POLICY
    };
    let mut cache = cache(policy, Fixed::<1, Small>::new());
    let announce = |n| Frame::announcement(mac(n), ip(n)).bytes();
    cache.receive(START, &announce(2));
    assert_eq!(events(&mut cache).len(), 1);
    cache.receive(START, &announce(3));
    let (gone, come) = (ip(2).into(), ip(3).into());
    let expected = [
        Event::Removed {
            key: gone,
            cause: Removal::Evicted,
        },
        Event::Resolved {
            key: come,
            mac: mac(3),
        },
    ];
    assert_eq!(events(&mut cache), expected);
}

#[test]
fn time_stops_after_two_events_where_there_is_room_for_two_and_none_is_lost() {
    let mut cache = cache(POLICY, Fixed::<5, Small>::new());
    let holds: Vec<HoldKey> = (2..7).map(|n| cache.hold(ip(n)).expect("a slot")).collect();
    let mut now = START;
    for _request in 0..POLICY.requests.get() {
        assert_eq!(transmit(&mut cache, now), 5);
        now += POLICY.retransmit;
        cache.handle_timeout(now);
    }
    let mut portions = vec![];
    while cache.poll_timeout() <= Some(now) {
        portions.push(events(&mut cache).len());
        cache.handle_timeout(now);
    }
    portions.push(events(&mut cache).len());
    assert_eq!(portions, [2, 2, 1]);
    assert_eq!(cache.counters().events_lost, 0);
    for hold in &holds {
        assert_eq!(cache.status(hold), Status::Unreachable);
    }
}

/// 255 slots do not compile; neither does a cache without room for an event or a reply.
#[test]
fn as_many_slots_as_a_byte_can_number_are_all_used() {
    let mut cache = cache(POLICY, Fixed::<254, Small>::new());
    let neighbour = |n: u32| std::net::Ipv4Addr::from_bits(0x0a00_0100 + n);
    cache
        .set_addresses(START, &[Prefix::new(ip(DUT), 16).expect("16 bits")])
        .expect("there is room for one");
    let holds: Vec<HoldKey> = (0..254)
        .map(|n| cache.hold(neighbour(n)).expect("a slot"))
        .collect();
    let full = Err(HoldError::TooManyUnresolved);
    assert_eq!(cache.hold(neighbour(254)), full);
    assert_eq!(cache.len(), 254);
    for (n, hold) in holds.into_iter().enumerate() {
        let entry = cache.entry(neighbour(n as u32)).expect("it is held");
        assert_eq!(entry.holds, 1);
        cache.release(hold);
    }
    assert!(cache.is_empty(), "nobody wants them, nothing was sent");
    assert!(cache.hold(neighbour(254)).is_ok());
}

#[test]
fn one_hold_more_than_a_small_slot_can_count_is_refused_until_one_is_released() {
    let mut cache = cache(POLICY, Fixed::<4, Small>::new());
    let mut holds: Vec<HoldKey> = (0..u16::MAX)
        .map(|_| cache.hold(ip(2)).expect("it can be counted"))
        .collect();
    assert_eq!(cache.hold(ip(2)), Err(HoldError::TooManyHolds));
    assert_eq!(cache.hold_again(&holds[0]), None);
    let holds_of = |cache: &Cache<_>| cache.entry(ip(2)).map(|entry| entry.holds);
    assert_eq!(holds_of(&cache), Some(65_535));
    cache.release(holds.pop().expect("one of them"));
    holds.push(cache.hold(ip(2)).expect("one was released"));
    assert_eq!(cache.hold(ip(2)), Err(HoldError::TooManyHolds));
    for hold in holds {
        cache.release(hold);
    }
    assert!(cache.is_empty(), "nobody wants it, nothing was sent");
}
