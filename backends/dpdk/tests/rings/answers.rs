//! Whoever asks and wherever the answer arrives: every queue knows.

use std::time::Duration;

use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::sim::Host;

use crate::support::scenario;
use crate::world::*;

scenario! {
    fn an_answer_on_any_queue_to_a_question_of_any_queue_serves_them_all() {
        on_each(&[1, 2, 3, 4].map(options), |_port, queues, cable| {
            let count = queues.len() as u16;
            let resolver = SharedResolver::new(QUIET, Shape::default());
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            let pairs = || (0..count).flat_map(|asks| (0..count).map(move |hears| (asks, hears)));
            // A host for each pair.
            let host = |(asks, hears)| 10 + (asks * 4 + hears) as u8;
            world.spread = Box::new(|frame| {
                let hears = arp(frame).map(|arp| (arp.sender_ip.octets()[3] - 10) % 4);
                u16::from(hears.expect("only ARP comes here"))
            });
            for pair in pairs() {
                let slow = Host::new(ip(host(pair)), mac(host(pair)));
                world.add_host(slow.answers_after(Duration::from_millis(2_500)));
            }
            for (asks, hears) in pairs() {
                let n = host((asks, hears));
                let start = world.now();
                // The one that asks is first; what the others have to say waits as well.
                let sent = world.on(asks).counters().arp_sent;
                let mut order: Vec<_> = (0..count).collect();
                order.rotate_left(asks.into());
                for &queue in &order {
                    world.send(queue, n, 1);
                    if queue == asks {
                        world.poll(queue);
                        assert_eq!(world.on(queue).counters().arp_sent, sent + 1);
                    }
                    world.settle();
                    world.send(queue, n, 2);
                }
                assert_eq!(resolver.holds(ip(n)), 2 * u32::from(count));
                world.run_for(Duration::from_millis(2_499));
                assert!(order.iter().all(|&queue| world.on(queue).parked() == 2));
                world.run_for(Duration::from_millis(1));
                for &queue in &order {
                    let sent: Vec<_> = world.packets_from(queue).into_iter().collect();
                    let sent: Vec<_> =
                        sent.into_iter().filter(|(to, _)| *to == mac(n).get()).collect();
                    let both = [1, 2].map(|number| (mac(n).get(), number));
                    assert_eq!(sent, both, "of queue {queue}, {asks} asks, {hears} hears");
                    assert_eq!(world.on(queue).parked(), 0);
                    assert_eq!(readers[usize::from(queue)].lookup(ip(n)), Some(mac(n)));
                }
                let asked: Vec<_> = world.requests_for(ip(n)).iter().map(|&at| at - start).collect();
                assert_eq!(asked, [0, 1, 2].map(Duration::from_secs), "once in an interval");
                assert_eq!(resolver.holds(ip(n)), 0);
                // The answers to the other questions.
                world.run_for(Duration::from_secs(3));
            }
            assert_eq!(resolver.counters().cache.resolved, u64::from(count).pow(2));
            assert_eq!(resolver.counters().cache.broadcast_requests, 3 * u64::from(count).pow(2));
            world.check_counts(&resolver);
        });
    }
}
