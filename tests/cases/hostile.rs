//! Hostile input: what broke others (V1 to V6, V24), and that it does not break us.
//!
//! V13, the count of holds that must not wrap, is tested where the count is: `src/cache/hold.rs`.
//! Of V4 the time per frame is for the benchmarks, of V5 the buffers of real drivers for the
//! backends, of V6 the defence of an address for `conflict`.

use std::time::Duration;

use whohas::cache::{
    Cache, DropReason, Event, Fixed, Growable, HoldKey, Rate, Received, Status, Storage,
};
use whohas::wire::{ARP_FRAME_LEN, BufferTooSmall, Operation};
use whohas::{Instant, Policy, Prefix, UnicastMac};

use crate::corpus::{self, Exhibit};
use crate::support::{DUT, Frame, Rig, SLOTS, TICK, ip, mac, rigs};
use crate::table::assert_answers;

const SECOND: Duration = Duration::from_secs(1);
const PROFILES: [Policy; 3] = [Policy::STRICT, Policy::LINUX, Policy::RFC826];
/// What is found in buffers by those who look where they should not.
const CANARY: u8 = 0xca;

/// The receiver that the corpus is written for, and its hold on its neighbour.
fn receivers(policy: Policy) -> impl Iterator<Item = (Rig, HoldKey)> {
    rigs(policy).into_iter().map(|mut rig| {
        let hold = rig.resolve(2);
        rig.run_for(2 * SECOND);
        (rig, hold)
    })
}

/// The frame in a buffer that goes on behind it.
fn receive_in_place(rig: &mut Rig, frame: &[u8]) -> Received {
    let mut buffer = [CANARY; 2_048];
    buffer[..frame.len()].copy_from_slice(frame);
    rig.receive_bytes(&buffer[..frame.len()])
}

/// V1 to V6.
#[test]
fn every_frame_of_the_corpus_has_the_effect_written_beside_it_and_no_other() {
    let exhibits = corpus::read();
    for class in 1..=6 {
        let file = format!("v{class}-");
        let found = exhibits.iter().any(|e| e.place.starts_with(&file));
        assert!(found, "the corpus lacks V{class}");
    }
    for exhibit in exhibits {
        for (mut rig, hold) in receivers(Policy::STRICT) {
            let before = rig.counters();
            let received = receive_in_place(&mut rig, &exhibit.frame);
            let after = rig.counters();
            let place = &exhibit.place;
            let replies = after.replies - before.replies;
            let outcome = match received {
                Received::Dropped(reason) => reason.name(),
                Received::Accepted if replies > 0 => "answered",
                Received::Accepted => "accepted",
            };
            assert_eq!(outcome, exhibit.outcome, "{place}");
            assert_eq!(replies, u64::from(outcome == "answered"), "{place}");
            let drops = after.dropped.total() - before.dropped.total();
            let dropped = matches!(received, Received::Dropped(_));
            assert_eq!(drops, u64::from(dropped), "{place}");
            assert_unshaken(&mut rig, &hold, place);
        }
    }
}

/// Still the same address, still the same neighbour and no other.
#[track_caller]
fn assert_unshaken(rig: &mut Rig, hold: &HoldKey, place: &str) {
    assert_eq!(rig.status(hold), Status::Resolved(mac(2)), "{place}");
    assert_eq!(rig.len(), 1, "{place}");
    assert_eq!(rig.addresses(), [Prefix::new(ip(DUT), 24).unwrap()]);
    rig.sent.clear();
    let probe = Frame::probe(mac(3), ip(DUT));
    rig.accept(probe);
    assert_answers(probe, &rig.take_sent()[0]);
}

/// V1 to V6 under the trusting profiles too, one after the other on one cache: some frames are
/// believed there, but none does harm.
#[test]
fn the_corpus_in_a_row_leaves_every_profile_alive() {
    for policy in PROFILES {
        for (mut rig, hold) in receivers(policy) {
            for Exhibit { place, frame, .. } in corpus::read() {
                receive_in_place(&mut rig, &frame);
                rig.run_for(Duration::from_millis(100));
                assert!(rig.len() <= SLOTS, "{place}");
                assert_eq!(rig.addresses(), [Prefix::new(ip(DUT), 24).unwrap()]);
            }
            assert_ne!(rig.status(&hold), Status::Gone);
            rig.run_for(1_000 * SECOND);
            rig.accept(Frame::probe(mac(3), ip(DUT)));
        }
    }
}

/// The lengths at which headers begin and end, for all types; and all lengths, for the types that
/// mean something to somebody.
#[test]
fn v1_no_runt_of_any_type_and_length_is_believed() {
    let runt = |ethertype, len| {
        let frame = Frame {
            ethertype,
            ..Frame::request(mac(9), ip(9), ip(DUT))
        };
        let mut bytes = frame.bytes();
        bytes.truncate(len);
        bytes
    };
    let telling = [
        0, 0x05ff, 0x0600, 0x0800, 0x0806, 0x8035, 0x8100, 0x86dd, 0x88a8, 0xffff,
    ];
    let all_types = (0..=u16::MAX).flat_map(|ty| [13, 14, 18, 41].map(|len| (ty, len)));
    let all_lengths = telling.iter().flat_map(|&ty| (0..60).map(move |l| (ty, l)));
    for (mut rig, hold) in receivers(Policy::STRICT) {
        for (ethertype, len) in all_types.clone().chain(all_lengths.clone()) {
            // A whole packet without its padding is no runt: many drivers strip it.
            if ethertype == 0x0806 && len >= 42 {
                continue;
            }
            let before = rig.counters();
            let received = receive_in_place(&mut rig, &runt(ethertype, len));
            let Received::Dropped(reason) = received else {
                panic!("type {ethertype:#06x}, {len} bytes: believed");
            };
            if len < 14 || ethertype == 0x0806 {
                assert_eq!(reason, DropReason::Truncated, "{ethertype:#06x}, {len}");
            }
            let dropped = rig.counters().dropped.get(reason);
            assert_eq!(dropped, before.dropped.get(reason) + 1);
        }
        assert_eq!(rig.take_sent(), []);
        assert_unshaken(&mut rig, &hold, "after all runts");
    }
}

#[test]
fn v2_nothing_of_what_was_received_or_lay_in_the_buffer_leaks_into_what_is_sent() {
    for exhibit in corpus::read() {
        for policy in PROFILES {
            leaks_nothing(Cache::new(policy, Fixed::<SLOTS>::new()), &exhibit);
            leaks_nothing(Cache::new(policy, Growable::new(SLOTS)), &exhibit);
        }
    }
}

/// Requests, announcements and answers, all into buffers full of canaries.
fn leaks_nothing(mut cache: Cache<impl Storage>, exhibit: &Exhibit) {
    let _hold = configure(&mut cache);
    let mut buffer = [CANARY; 2_048];
    buffer[..exhibit.frame.len()].copy_from_slice(&exhibit.frame);
    cache.receive(Instant::ZERO, &buffer[..exhibit.frame.len()]);
    while cache.poll_event().is_some() {}
    let mut frames = 0;
    loop {
        let mut buffer = [CANARY; 128];
        let Some(transmit) = cache.poll_transmit(Instant::ZERO) else {
            break;
        };
        let len = transmit.emit(&mut buffer).expect("room for a frame");
        assert!(!buffer[..len].contains(&CANARY), "{}", exhibit.place);
        assert!(buffer[len..].iter().all(|&byte| byte == CANARY));
        frames += 1;
    }
    assert!(frames >= 1, "at least the announcement");
}

/// Our addresses, an announcement to make, and a request to send.
fn configure(cache: &mut Cache<impl Storage>) -> HoldKey {
    let now = Instant::ZERO;
    cache.set_mac(now, mac(DUT));
    let ours = Prefix::new(ip(DUT), 24).unwrap();
    cache.set_addresses(now, &[ours]).unwrap();
    assert!(cache.announce(ip(DUT)));
    cache.hold(ip(2)).unwrap()
}

#[test]
fn v3_no_operation_but_request_and_reply_does_anything() {
    // The profile that believes most.
    for (mut rig, hold) in receivers(Policy::RFC826) {
        for operation in (0..=u16::MAX).filter(|operation| ![1, 2].contains(operation)) {
            for claimed in [ip(DUT), ip(2), ip(9)] {
                let reply = Frame {
                    operation,
                    ..Frame::reply(mac(9), claimed)
                };
                rig.refuse(reply, DropReason::Operation);
            }
        }
        assert_eq!((rig.take_sent(), rig.take_events()), (vec![], vec![]));
        assert_unshaken(&mut rig, &hold, "after all operations");
    }
}

/// The liar answers whatever it hears; the true neighbour answers too, but always later.
#[test]
fn v3_replies_that_nobody_asked_for_change_nothing_under_strict() {
    for (mut rig, hold) in receivers(Policy::STRICT) {
        for n in 0..=u8::MAX {
            rig.receive(Frame::reply(mac(99), ip(n)));
            for request in rig.take_sent() {
                assert_eq!(request.header.destination, mac(2).get());
                rig.receive(Frame::reply(mac(99), ip(2)));
                rig.accept(Frame::reply(mac(2), ip(2)));
            }
            rig.run_for(SECOND);
        }
        assert_unshaken(&mut rig, &hold, "after all replies");
    }
}

/// Not quite a million where the compiler does not optimise.
const FLOOD: u32 = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};

#[test]
fn v4_a_flood_of_random_senders_takes_no_slot_from_whom_we_know_and_few_answers() {
    for policy in PROFILES {
        for mut rig in rigs(policy) {
            rig.set_addresses(&[Prefix::new(ip(DUT), 8).unwrap()]);
            let held = [2, 3, 4].map(|n| rig.resolve(n));
            let unheld = rig.resolve(5);
            rig.release(unheld);
            let before = rig.counters();
            let mut random = 0x2545_f491_4f6c_dd1d;
            for _ in 0..FLOOD {
                rig.now += TICK;
                rig.receive(stranger(&mut random));
                assert!(rig.len() <= SLOTS);
                rig.sent.clear();
                rig.events.clear();
            }
            for (n, hold) in (2..).zip(&held) {
                assert_eq!(rig.status(hold), Status::Resolved(mac(n)));
            }
            assert_eq!(rig.lookup(ip(5)), Some(mac(5)), "live, so not pushed out");
            let after = rig.counters();
            let replies = after.replies - before.replies;
            let burst = u64::from(policy.reply_rate.burst);
            let refills = u64::from(FLOOD / 1_000);
            assert!(replies <= burst + refills, "{replies} replies");
            assert!(after.replies_withheld > replies, "most got none");
            // Nobody of them was asked for anything.
            assert_eq!(after.broadcast_requests, before.broadcast_requests);
        }
    }
}

/// A request for us, an announcement or a reply from a station and an address of no meaning, none
/// of them those of hosts that we know.
fn stranger(random: &mut u64) -> Frame {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    let [a, b, c, d, e, f, g, choice] = random.to_le_bytes();
    let sha = UnicastMac::new([2, 128 | a, b, c, d, e]).expect("the group bit is clear");
    let spa = [10, 128 | e, f, g].into();
    match choice % 4 {
        0 => Frame::announcement(sha, spa),
        1 => Frame::reply(sha, spa),
        _ => Frame::request(sha, spa, ip(DUT)),
    }
}

/// A bound that nobody could see: what taught us something counted as accepted, and that it was not
/// answered as nothing.
#[test]
fn v4_a_withheld_answer_is_counted_even_if_the_request_taught_us_something() {
    let policy = Policy {
        reply_rate: Rate {
            interval: SECOND,
            burst: 1,
        },
        ..Policy::LINUX
    };
    for mut rig in rigs(policy) {
        for n in [2, 3] {
            rig.accept(Frame::request(mac(n), ip(n), ip(DUT)));
        }
        assert_eq!(rig.counters().replies, 1);
        assert_eq!(rig.counters().replies_withheld, 1);
        // What teaches nothing is dropped, and counted there too.
        rig.refuse(
            Frame::request(mac(3), ip(3), ip(DUT)),
            DropReason::ReplyLimit,
        );
        assert_eq!(rig.counters().replies_withheld, 2);
    }
}

/// V5, as far as the core has a part in it: whatever we send, into buffers of every length.
#[test]
fn v5_a_buffer_that_is_too_short_stays_untouched_and_the_frame_is_offered_again() {
    for exhibit in corpus::read() {
        if exhibit.place.starts_with("v5-") {
            offers_again(Cache::new(Policy::STRICT, Fixed::<SLOTS>::new()), &exhibit);
            offers_again(Cache::new(Policy::STRICT, Growable::new(SLOTS)), &exhibit);
        }
    }
}

fn offers_again(mut cache: Cache<impl Storage>, exhibit: &Exhibit) {
    let now = Instant::ZERO;
    let _hold = configure(&mut cache);
    let received = cache.receive(now, &exhibit.frame);
    assert_eq!(received, Received::Accepted, "{}", exhibit.place);
    let mut sent = Vec::new();
    while let Some(transmit) = cache.poll_transmit(now) {
        let packet = *transmit.packet();
        assert_eq!(transmit.len(), ARP_FRAME_LEN);
        drop(transmit);
        for available in 0..ARP_FRAME_LEN {
            let before = cache.counters();
            let mut buffer = vec![CANARY; available];
            let transmit = cache.poll_transmit(now).expect("offered again");
            assert_eq!(*transmit.packet(), packet);
            assert_eq!(
                transmit.emit(&mut buffer),
                Err(BufferTooSmall {
                    needed: ARP_FRAME_LEN,
                    available,
                })
            );
            assert!(buffer.iter().all(|&byte| byte == CANARY));
            assert_eq!(cache.counters(), before, "not counted as sent");
        }
        let room = ARP_FRAME_LEN + sent.len();
        let transmit = cache.poll_transmit(now).expect("offered again");
        assert_eq!(transmit.emit(&mut vec![CANARY; room]), Ok(ARP_FRAME_LEN));
        sent.push(packet);
    }
    // The answer, the announcement, the request.
    let operations: Vec<_> = sent.iter().map(|packet| packet.operation).collect();
    let [reply, request] = [Operation::Reply, Operation::Request];
    assert_eq!(operations, [reply, request, request], "{}", exhibit.place);
}

#[test]
fn v6_a_mismatching_sender_takes_no_address_from_us_and_raises_no_alarm() {
    let liar = |frame: Frame| Frame {
        source: mac(9).get(),
        ..frame
    };
    for (mut rig, hold) in receivers(Policy::STRICT) {
        for _ in 0..100 {
            for frame in [
                Frame::probe(mac(8), ip(DUT)),
                Frame::announcement(mac(8), ip(DUT)),
                Frame::reply(mac(8), ip(DUT)),
            ] {
                rig.refuse(liar(frame), DropReason::EthernetMismatch);
            }
            rig.run_for(Duration::from_millis(100));
        }
        assert_eq!(rig.dropped(DropReason::EthernetMismatch), 300);
        assert_eq!(rig.counters().conflicts, 0);
        assert_eq!((rig.take_sent(), rig.take_events()), (vec![], vec![]));
        assert_unshaken(&mut rig, &hold, "after all mismatches");
    }
    // Where policy does not compare them a probe is answered, to the station that it speaks of, and
    // a claim is told of; either way the address stays ours.
    for (mut rig, _hold) in receivers(Policy::LINUX) {
        let probe = liar(Frame::probe(mac(8), ip(DUT)));
        rig.accept(probe);
        assert_answers(probe, &rig.take_sent()[0]);
        let claim = liar(Frame::announcement(mac(8), ip(DUT)));
        rig.refuse(claim, DropReason::ClaimsOurAddress);
        assert_eq!(rig.take_events(), [claimed_by(8)]);
        assert_eq!(rig.addresses(), [Prefix::new(ip(DUT), 24).unwrap()]);
    }
}

fn claimed_by(n: u8) -> Event {
    Event::AddressClaimed {
        key: ip(DUT).into(),
        by: mac(n),
    }
}
