//! One seed, one history.

use super::*;

/// Half a minute on a LAN on which everything goes wrong.
fn chaos(seed: u64) -> Lan {
    let mut lan = Lan::new(seed);
    let us = lan.add_port(mac(US));
    lan.set_link(
        us,
        Link {
            jitter: millis(2),
            loss: 0.1,
            duplication: 0.1,
            reordering: 0.1,
            holdback: millis(5),
            corruption: 0.05,
            truncation: 0.05,
            ..Link::delayed(millis(1))
        },
    );
    lan.add_host(host(PEER).probes_before_use().defends());
    lan.add_host(host(OTHER).answers_after(millis(3)));
    let flood = Flood {
        network: ip(0),
        prefix: 24,
        target: None,
        every: millis(10),
    };
    let end = Instant::from_secs(35);
    lan.add_host(host(4).floods(flood).silent_from(end));
    for n in 0..300 {
        lan.send(us, &broadcast(who_has(ip(n as u8))));
        lan.advance_to(Instant::from_millis(n * 100));
    }
    lan.advance_to(Instant::from_secs(40));
    lan
}

#[test]
fn one_seed_replays_everything_and_another_does_not() {
    assert_eq!(chaos(1).log(), chaos(1).log());
    assert_ne!(chaos(1).log(), chaos(2).log());
}

#[test]
fn every_frame_is_accounted_for_whatever_happens_to_it() {
    for seed in 0..20 {
        let lan = chaos(seed);
        let us = lan.log().frames().next().unwrap().from;
        for stats in [lan.uplink_stats(us), lan.downlink_stats(us)] {
            let LinkStats {
                sent,
                delivered,
                lost,
                unplugged,
                overrun,
                duplicated,
                reordered,
                corrupted,
                truncated,
            } = stats;
            assert_eq!(stats.in_flight(), 0);
            assert_eq!(sent + duplicated, delivered + lost + unplugged + overrun);
            assert_eq!(unplugged, 0);
            for fault in [lost, duplicated, reordered, corrupted, truncated] {
                assert!((1..sent / 2).contains(&fault), "seed {seed}: {stats:?}");
            }
        }
    }
}
