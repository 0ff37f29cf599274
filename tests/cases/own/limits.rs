//! How often anybody is asked, and who has to wait for it: WH-14 to WH-17.

use std::num::NonZeroU8;
use std::time::Duration;

use whohas::cache::{Rate, Status};
use whohas::{Instant, Policy};

use crate::support::{Frame, Rig, ip, mac, rigs, unlike};

#[test]
fn wh_14_within_the_hold_down_a_dead_neighbour_is_unreachable_at_once_and_costs_no_frame() {
    let policy = unlike(Policy::STRICT);
    for mut rig in rigs(policy) {
        let hold = rig.hold(ip(2)).unwrap();
        rig.run_for(policy.retransmit * 4);
        rig.release(hold);
        rig.sent.clear();
        let end = rig.now + policy.backoff_first;
        for at in [rig.now, end - Duration::from_millis(1)] {
            rig.advance_to(at);
            let hold = rig.hold(ip(2)).unwrap();
            assert_eq!(rig.status(&hold), Status::Unreachable);
            rig.release(hold);
        }
        rig.advance_to(end);
        assert!(rig.sent.is_empty());

        let hold = rig.hold(ip(2)).unwrap();
        assert_eq!(rig.status(&hold), Status::Pending);
        assert_eq!(rig.request_times(ip(2), end), [0.0]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
    }
}

/// RFC 7048: after the first requests one more after each silence, each silence three times as long
/// as the one before, up to the longest. The time for an answer comes on top of each.
#[test]
fn wh_15_a_held_dead_neighbour_is_asked_ever_less_often() {
    #[rustfmt::skip]
    let schedules = [
        (Policy::STRICT, &[0.0, 1.0, 2.0, 6.0, 16.0, 44.0, 105.0, 166.0, 227.0, 288.0][..]),
        (unlike(Policy::STRICT), &[0.0, 0.7, 1.4, 2.1, 4.8, 11.5, 30.2, 60.9, 91.6, 122.3]),
    ];
    for (policy, schedule) in schedules {
        for mut rig in rigs(policy) {
            let start = rig.now;
            let hold = rig.hold(ip(2)).unwrap();
            let last = schedule[schedule.len() - 1];
            rig.run_for(Duration::from_secs_f64(last));
            assert_eq!(rig.request_times(ip(2), start), schedule);
            assert_eq!(rig.status(&hold), Status::Unreachable);
            assert_eq!(rig.events.len(), 1, "told once, not after every silence");
            rig.accept(Frame::reply(mac(2), ip(2)));
            assert_eq!(rig.status(&hold), Status::Resolved(mac(2)));
        }
    }
}

/// A global limit of one request every 300 ms, and only one at once.
const SLOW: Policy = Policy {
    request_rate: Rate {
        interval: Duration::from_millis(300),
        burst: 1,
    },
    unresolved_eighths: 8,
    ..unlike(Policy::STRICT)
};

#[test]
fn wh_16_a_living_neighbour_is_not_starved_by_two_dead_ones() {
    for before in [
        Duration::ZERO,
        Duration::from_secs(2),
        Duration::from_secs(100),
    ] {
        for mut rig in rigs(SLOW) {
            let _dead = [2, 3].map(|n| rig.hold(ip(n)).unwrap());
            rig.run_for(before);
            let asked = rig.now;
            let hold = rig.hold(ip(4)).unwrap();
            while rig.request_times(ip(4), asked).is_empty() {
                let next = rig.poll_timeout().expect("three wait");
                rig.run_until(next);
            }
            rig.accept(Frame::reply(mac(4), ip(4)));
            assert_eq!(rig.status(&hold), Status::Resolved(mac(4)));
            assert!(rig.now - asked < Duration::from_secs(1), "{before:?}");
        }
    }
}

/// Eight want to ask every 0.7 s where one may every 0.3 s: they take turns, in the order in which
/// they came, and nobody waits longer than it takes to serve all.
#[test]
fn wh_17_when_the_global_limit_binds_everybody_has_its_turn() {
    let policy = Policy {
        requests: NonZeroU8::new(5).expect("five"),
        ..SLOW
    };
    for mut rig in rigs(policy) {
        let start = rig.now;
        let _holds: Vec<_> = NEIGHBOURS.map(|n| rig.hold(ip(n)).unwrap()).collect();
        rig.run_for(policy.request_rate.interval * 39);
        let expected: Vec<_> = (0..40)
            .map(|turn| {
                let neighbour = ip(2 + turn as u8 % 8);
                (start + policy.request_rate.interval * turn, neighbour)
            })
            .collect();
        assert_eq!(requests(&mut rig), expected);
    }
}

const NEIGHBOURS: std::ops::Range<u8> = 2..10;

/// When whom was asked for.
fn requests(rig: &mut Rig) -> Vec<(Instant, std::net::Ipv4Addr)> {
    let sent = rig.take_sent();
    sent.iter()
        .map(|sent| (sent.at, sent.packet.target_ip))
        .collect()
}

/// Found by property 6. Under a policy that believes a peer's own request and verifies at once, the
/// request that made us believe it came while one of ours was out: the verification went out in the
/// same instant, and a liar with two addresses could have had a frame for each of his.
#[test]
fn what_is_believed_while_a_request_is_out_is_verified_only_after_its_time() {
    let policy = Policy {
        delay_first_probe: Duration::ZERO,
        ..unlike(Policy::LINUX)
    };
    for mut rig in rigs(policy) {
        let start = rig.now;
        let hold = rig.hold(ip(2)).unwrap();
        for liar in [3, 4, 3, 4, 2] {
            rig.run_for(Duration::from_millis(100));
            rig.accept(Frame::request(mac(liar), ip(2), ip(1)));
            assert_eq!(rig.status(&hold), Status::Resolved(mac(liar)));
        }
        rig.run_until(start + policy.retransmit);
        assert_eq!(rig.request_times(ip(2), start), [0.0, 0.7]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        assert_eq!(rig.poll_timeout(), Some(rig.now + policy.reachable_time));
    }
}

#[test]
fn what_is_believed_while_it_waits_for_its_turn_to_be_asked_for_keeps_its_place() {
    let policy = Policy {
        delay_first_probe: Duration::ZERO,
        request_rate: SLOW.request_rate,
        ..unlike(Policy::LINUX)
    };
    for mut rig in rigs(policy) {
        let start = rig.now;
        let _holds = [2, 3, 4].map(|n| rig.hold(ip(n)).unwrap());
        rig.receive(Frame::request(mac(3), ip(3), ip(1)));
        rig.sent.retain(|sent| sent.packet.target_ip == ip(2));
        rig.run_for(Duration::from_millis(600));
        let turns = [(0, 2), (300, 3), (600, 4)];
        let expected = turns.map(|(at, n)| (start + Duration::from_millis(at), ip(n)));
        assert_eq!(requests(&mut rig), expected);
    }
}

/// The seed decides where in the index an entry is, and nothing else; and an index that grows with
/// the table loses nobody.
#[test]
fn a_thousand_neighbours_are_found_whatever_the_seed() {
    use whohas::cache::{Cache, Growable};

    for seed in [0, 1, 0xdead_beef, u32::MAX] {
        let mut cache = Cache::seeded(Policy::STRICT, Growable::new(1_000), seed);
        let stations: Vec<_> = (0..1_000_u16)
            .map(|n| {
                let [high, low] = n.to_be_bytes();
                let ip = std::net::Ipv4Addr::new(10, 9, high, low);
                let mac = whohas::UnicastMac::new([2, 0, 0, 9, high, low]).expect("unicast");
                cache.insert_static(ip, mac).expect("room");
                (ip, mac)
            })
            .collect();
        for (ip, mac) in stations {
            assert_eq!(cache.lookup(ip), Some(mac), "seed {seed}");
            assert!(cache.remove(ip));
            assert_eq!(cache.lookup(ip), None);
        }
        assert!(cache.is_empty());
    }
}
