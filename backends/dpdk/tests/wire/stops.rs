//! Queues that end while others go on.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
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

/// What becomes of the connections when the last queue does not go on.
#[track_caller]
fn the_others_go_on(panics: bool) {
    let (host, ours) = Host::on_veth(QUEUES);
    let (over, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let program = async |station: Station<'_, '_>| -> Option<Infallible> {
        if station.queue < QUEUES - 1 {
            return Some(servers::echo(station).await);
        }
        let _ended = SetAtEnd(&ended);
        match select(servers::echo(station), until(&over)).await {
            Either::First(never) => Some(never),
            Either::Second(()) if panics => panic!("on purpose"),
            Either::Second(()) => None,
        }
    };
    let (queues, (before, after)) = host.work_to_any_end(ours, program, || {
        let service = (OUR_IP, servers::ECHO).into();
        let before = peer::connect(service, CONNECTIONS, PATIENCE * 4);
        over.store(true, Ordering::Release);
        while !ended.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        (before, peer::connect(service, CONNECTIONS, PATIENCE))
    });
    assert_eq!(before.failures, [""; 0]);
    let panicked = queues
        .iter()
        .map(|queue| matches!(queue, Ended::Panicked(_)));
    let expected = [false, false, false, panics];
    assert_eq!(panicked.collect::<Vec<_>>(), expected);
    let what = match panics {
        true => "ended in a panic",
        false => "without a listener",
    };
    println!(
        "note: {QUEUES} queues, one of them {what}: {} of {CONNECTIONS} connections complete",
        after.echoed
    );
    // With a queue that does not listen any more there is no connection; with the others all are well.
    let is_dial = |failure: &String| failure.starts_with("dial: ");
    assert!(after.failures.iter().all(is_dial), "{:?}", after.failures);
    // Flows spread over four queues.
    assert!(after.echoed > 0);
}

/// Until it is so.
async fn until(condition: &AtomicBool) {
    poll_fn(|context| {
        context.waker().wake_by_ref();
        match condition.load(Ordering::Acquire) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// However it ends.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
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
