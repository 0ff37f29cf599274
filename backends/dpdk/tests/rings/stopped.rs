//! Queues that nobody polls any more, and queues that are gone.

use std::task::{Context, Waker};
use std::time::Duration;

use whohas::link::IpLink;
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::sim::Host;

use crate::support::scenario;
use crate::world::*;

scenario! {
    fn a_queue_that_stops_for_ever_keeps_nothing_from_the_others() {
        on_rings(options(3), |port, queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            world.add_host(Host::new(ip(2), mac(2)).answers_after(Duration::from_millis(10)));
            world.add_host(Host::new(ip(3), mac(3)));
            // The queue asks, and before the answer is there it stops.
            world.send(1, 2, 1);
            world.poll(1);
            world.stopped.insert(1);
            // What arrives in its ring stays there, as much as the ring holds.
            for n in 0..2_000_u32 {
                let there = cable.deliver(1, &data_from(2, &n.to_be_bytes())).is_ok();
                assert_eq!(there, n < 1_023, "frame {n}");
            }
            for n in 0..10 {
                for queue in [0, 2] {
                    world.send(queue, 2, n);
                    world.send(queue, 3, n);
                    world.run_for(Duration::from_millis(5));
                }
            }
            for queue in [0, 2] {
                for to in [2, 3] {
                    let sent = world.packets_from(queue).into_iter();
                    let sent = sent.filter_map(|(mac_of, n)| (mac_of == mac(to).get()).then_some(n));
                    assert!(sent.eq(0..10), "from {queue} to {to}");
                }
            }
            assert_eq!(world.packets_from(1), [], "nobody sends for it");
            // What it holds is kept fresh by the others, for as long as it may be.
            assert_eq!(resolver.holds(ip(2)), 1);
            world.run_for(Duration::from_secs(600));
            assert_eq!(readers[0].lookup(ip(2)), Some(mac(2)));
            assert_eq!((world.on(1).parked(), world.on(1).counters().received), (1, 0));
            assert_eq!(port.queue_counters()[1].received, 0);
            world.links.remove(&1);
            assert_eq!(resolver.holds(ip(2)), 0, "it is gone, and with it what it held");
        });
    }
}

scenario! {
    fn a_queue_that_is_dropped_leaves_nothing_behind() {
        on_rings(options(3), |port, mut queues, cable| {
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let doomed = (queues.pop().expect("three"), resolver.reader().expect("room"));
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            world.add_host(Host::new(ip(2), mac(2)).answers_after(Duration::from_millis(10)));
            let (queue, reader) = doomed;
            let mut context = Context::from_waker(Waker::noop());
            let mut gone = link(queue, &reader, &world.lan);
            gone.poll(world.now(), &mut context);
            let hold = gone.hold(ip(2)).expect("a neighbour");
            assert!(send(&mut gone, &packet(ip(US), ip(2), b"waits")));
            // Frames that it has fetched and not looked at, and some that it has not.
            for _ in 0..100 {
                cable.deliver(2, &data_from(2, b"data")).expect("room");
            }
            gone.driver_mut().receive_frames(&mut whohas_dpdk::Burst::new());
            assert_eq!(resolver.holds(ip(2)), 2);
            world.send(0, 2, 1);
            drop((gone, hold));
            drop(reader);
            assert_eq!(resolver.holds(ip(2)), 1, "that of the queue that is there");
            world.run_for(Duration::from_secs(1));
            assert_eq!(world.packets_from(0), [(mac(2).get(), 1)]);
            assert_eq!(port.queue_counters()[2].received, 32);
            assert_eq!(cable.frames_in_use(), 68, "what it has not fetched");
            assert_eq!(resolver.counters().queues.len(), 2);
            let place = resolver.reader().expect("its place is free");
            assert_eq!(place.lookup(ip(2)), Some(mac(2)));
        });
    }
}
