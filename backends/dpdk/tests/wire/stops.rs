//! Queues that end while others go on.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use embassy_futures::select::{Either, select};
use whohas_dpdk::run::Ended;

use crate::host::{Host, Station};
use crate::support::wire_scenario;
use crate::veth::OUR_IP;
use crate::{peer, servers};

const QUEUES: u16 = 4;
const CONNECTIONS: usize = 64;
/// The kernel says a SYN twice to a queue that does not hear it.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// What becomes of the connections when this queue does not go on.
#[track_caller]
fn the_others_go_on(panics: bool) {
    let (host, ours) = Host::on_veth(QUEUES);
    let over = AtomicBool::new(false);
    let program = async |station: Station<'_, '_>| -> Option<Infallible> {
        let is_last = station.queue == QUEUES - 1;
        let never_or_over = std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            match is_last && over.load(Ordering::Relaxed) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        });
        if !is_last {
            return Some(servers::echo(station).await);
        }
        match select(servers::echo(station), never_or_over).await {
            Either::First(never) => Some(never),
            Either::Second(()) if panics => panic!("on purpose"),
            Either::Second(()) => None,
        }
    };
    let (ended, (before, after)) = host.work_to_any_end(ours, program, || {
        let service = (OUR_IP, servers::ECHO).into();
        let before = peer::connect(service, CONNECTIONS, PATIENCE * 4);
        over.store(true, Ordering::Relaxed);
        (before, peer::connect(service, CONNECTIONS, PATIENCE))
    });
    assert_eq!(before.failures, [""; 0]);
    let panicked = |ended: &&Ended<_>| matches!(ended, Ended::Panicked(_));
    let count = ended.iter().filter(panicked).count();
    assert_eq!(count, usize::from(panics));
    println!(
        "note: {QUEUES} queues, one of them {}: {} of {CONNECTIONS} connections complete",
        if panics { "ended in a panic" } else { "without a listener" },
        after.echoed
    );
    let others = ended.into_iter().filter_map(Ended::done).take(usize::from(QUEUES) - 1);
    let accepted = others.map(|account| account.stats.tcp.accepted as usize);
    let accepted = accepted.collect::<Vec<_>>();
    assert!(accepted.iter().sum::<usize>() >= after.echoed, "{accepted:?}");
    // Where flows are spread over four queues, not all of 64 are on one.
    assert!(after.echoed > 0 && after.echoed <= CONNECTIONS);
}

wire_scenario! {
    fn a_panic_on_one_queue_is_not_the_end_of_the_others() {
        the_others_go_on(true);
    }
}

wire_scenario! {
    fn a_queue_whose_program_has_ended_is_not_the_end_of_the_others() {
        the_others_go_on(false);
    }
}
