//! A table full of neighbours that are held.

use std::time::Duration;

use whohas::HoldError;
use whohas::link::{IpLink, NoWay, TxDrop};
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::sim::Host;

use crate::support::scenario;
use crate::world::*;

scenario! {
    fn a_newcomer_to_a_full_table_is_refused_and_nobody_else_is() {
        on_rings(options(2), |_port, queues, cable| {
            let shape = Shape { neighbours: 8, ..Shape::default() };
            let resolver = SharedResolver::new(QUIET, shape);
            let readers = readers(&resolver, &queues);
            let mut world = World::new(cable, queues, &readers);
            for n in 10..20 {
                world.add_host(Host::new(ip(n), mac(n)));
            }
            let mut holds = Vec::new();
            for n in 10..18 {
                let hold = world.on(u16::from(n % 2)).hold(ip(n));
                holds.push(hold.expect("there is room").expect("one to ask"));
                world.settle();
            }
            for queue in 0..2 {
                let refused = world.on(queue).hold(ip(18)).map(drop).unwrap_err();
                assert_eq!(refused, NoWay::Hold(HoldError::TableFull));
                println!("{refused}");
                world.send(queue, 18, 1);
                assert_eq!(world.on(queue).counters().tx(TxDrop::HoldRefused), 1);
            }
            assert_eq!(resolver.counters().cache.table_full, 4);
            // The others are as well off as before, on either queue.
            for n in 10..18 {
                world.send(0, n, n);
                world.send(1, n, n);
            }
            world.settle();
            for queue in 0..2 {
                let all = (10..18).map(|n| (mac(n).get(), n));
                assert!(world.packets_from(queue).into_iter().eq(all));
            }
            assert_eq!(world.requests_for(ip(18)), []);
            // One gives up, and there is room.
            holds.pop();
            let hold = world.on(1).hold(ip(18)).expect("room for one");
            world.run_for(Duration::from_millis(1));
            assert!((0..2).all(|queue| readers[queue].lookup(ip(18)) == Some(mac(18))));
            drop((hold, holds));
            world.check_counts(&resolver);
        });
    }
}
