//! Neighbours with another MAC address than before.

use std::time::Duration;

use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::sim::Host;
use whohas::wire::ArpPacket;
use whohas::{Instant, MacAddr, Policy};

use crate::support::scenario;
use crate::world::*;

const QUEUES: u16 = 4;

/// Sends from every queue ten times in a second, and returns when the first went to the new address;
/// from then on all do.
#[track_caller]
fn sends_until(world: &mut World<'_>, n: u8, new: MacAddr, deadline: Instant) -> Instant {
    let mut moved = None;
    while world.now() < deadline {
        world.seen.clear();
        for queue in 0..QUEUES {
            world.send(queue, n, 1);
        }
        world.settle();
        let to: Vec<_> = (0..QUEUES)
            .flat_map(|queue| world.packets_from(queue))
            .map(|(to, _)| to)
            .collect();
        assert_eq!(to.len(), usize::from(QUEUES), "none waits");
        assert!(to.iter().all(|other| *other == to[0]), "all agree: {to:?}");
        if to[0] == new {
            moved.get_or_insert(world.now());
        } else {
            assert_eq!(moved, None, "and back at {}", world.now());
        }
        world.run_for(Duration::from_millis(100));
    }
    moved.expect("it is found in time")
}

scenario! {
    fn a_neighbour_that_moves_and_says_so_is_followed_by_every_queue() {
        on_rings(options(QUEUES), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            let mut next = 0;
            // Each frame on another queue.
            world.spread = Box::new(move |_| {
                next += 1;
                next % QUEUES
            });
            let moves = Instant::from_secs(5);
            world.add_host(Host::new(ip(2), mac(2)).moves_announcing(moves, mac(12)));
            world.send(0, 2, 0);
            world.run_for(Duration::from_secs(1));
            let hold = readers[1].hold(ip(2)).expect("a neighbour");
            let moved = sends_until(&mut world, 2, mac(12).get(), Instant::from_secs(20));
            // The old station is asked first, in vain.
            assert!((2..=4).contains(&(moved - moves).as_secs()), "moved at {moved}");
            assert!(readers.iter().all(|reader| reader.lookup(ip(2)) == Some(mac(12))));
            assert_eq!(resolver.counters().cache.moved, 1);
            drop(hold);
            world.check_counts(&resolver);
        });
    }
}

scenario! {
    fn a_neighbour_that_moves_in_silence_is_found_when_it_is_verified() {
        on_rings(options(QUEUES), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            world.spread = Box::new(|_| 3);
            let moves = Instant::from_secs(5);
            world.add_host(Host::new(ip(2), mac(2)).moves_silently(moves, mac(12)));
            world.send(0, 2, 0);
            world.run_for(Duration::from_secs(1));
            let hold = readers[1].hold(ip(2)).expect("a neighbour");
            let deadline = Instant::from_secs(80);
            let moved = sends_until(&mut world, 2, mac(12).get(), deadline);
            let good_for = Policy::STRICT.reachable_time.as_secs();
            assert!((good_for..good_for + 5).contains(&(moved - Instant::ZERO).as_secs()), "{moved}");
            drop(hold);
        });
    }
}

scenario! {
    fn a_liar_on_any_queue_moves_nobody_who_is_there() {
        on_rings(options(QUEUES), |_port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            world.add_host(Host::new(ip(2), mac(2)));
            world.send(0, 2, 0);
            world.settle();
            let us = ArpPacket::request(mac(US), ip(US), ip(2));
            let lies = [
                (us.answered_by(mac(66)), mac(US).get()),
                (ArpPacket::announcement(mac(66), ip(2)), MacAddr::BROADCAST),
                (ArpPacket::request(mac(66), ip(2), ip(US)), MacAddr::BROADCAST),
            ];
            for n in 0..200 {
                let (lie, to) = &lies[n % lies.len()];
                cable.deliver((n % 4) as u16, &arp_frame(lie, *to)).expect("room");
                world.send((n % 4) as u16, 2, 1);
                world.run_for(Duration::from_millis(50));
                assert!(readers.iter().all(|reader| reader.lookup(ip(2)) == Some(mac(2))));
            }
            let packets = (0..QUEUES).flat_map(|queue| world.packets_from(queue));
            assert!(packets.map(|(to, _)| to).all(|to| to == mac(2).get()));
            assert_eq!(resolver.counters().cache.moved, 0);
        });
    }
}

scenario! {
    fn where_the_policy_believes_announcements_every_queue_does_at_once() {
        on_rings(options(QUEUES), |_port, queues, cable| {
            let policy = Policy { announcements: 0, ..Policy::RFC826 };
            let resolver = SharedResolver::new(policy, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            world.add_host(Host::new(ip(2), mac(2)));
            world.send(0, 2, 0);
            world.settle();
            for queue in 0..QUEUES {
                let new = mac(20 + queue as u8);
                let news = arp_frame(&ArpPacket::announcement(new, ip(2)), MacAddr::BROADCAST);
                cable.deliver(queue, &news).expect("room");
                world.settle();
                world.seen.clear();
                for from in 0..QUEUES {
                    world.send(from, 2, 1);
                    world.settle();
                    assert_eq!(world.packets_from(from), [(new.get(), 1)]);
                }
                world.run_for(Duration::from_secs(2));
            }
        });
    }
}
