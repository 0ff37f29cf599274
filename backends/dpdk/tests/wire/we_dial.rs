//! We dial the kernel's addresses, from all queues at once.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use embassy_futures::join::join_array;
use embedded_io_async::{Read, Write};

use whohas_dpdk::Queue;

use crate::host::{Host, Station};
use crate::peer::EchoService;
use crate::sniffer::count_requests;
use crate::support::{run, wire_scenario};
use crate::veth::THEM;

/// How many addresses the kernel has.
const ADDRESSES: u8 = 100;
/// How many dials each queue has under way.
const AT_ONCE: usize = 10;
const SERVICE: u16 = 7;
const PATIENCE: Duration = Duration::from_secs(60);

/// Dials all addresses, and says something to each; what went wrong.
async fn dial_all(station: &Station<'_, '_>) -> Vec<String> {
    let lines = std::array::from_fn::<_, AT_ONCE, _>(|line| async move {
        let mut failures = Vec::new();
        for number in (1..=ADDRESSES).skip(line).step_by(AT_ONCE) {
            let remote = SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, number), SERVICE);
            if let Err(failure) = talk(station, remote).await {
                failures.push(format!("{remote} from queue {}: {failure}", station.queue));
            }
        }
        failures
    });
    join_array(lines).await.concat()
}

async fn talk(station: &Station<'_, '_>, remote: SocketAddrV4) -> Result<(), String> {
    let text = |error| format!("{error}");
    let mut connection = station.net.dial(remote).await.map_err(text)?;
    let said = format!("queue {} to {remote}", station.queue).repeat(20);
    connection.write_all(said.as_bytes()).await.map_err(text)?;
    let mut heard = vec![0; said.len()];
    let read = connection.read_exact(&mut heard).await;
    read.map_err(|error| format!("{error:?}"))?;
    if heard != said.as_bytes() {
        return Err("something else came back".to_owned());
    }
    connection.close().await.map_err(text)
}

#[track_caller]
fn all_connect((host, ours): (Host, Vec<Queue>)) {
    let queues = ours.len();
    for number in 1..=ADDRESSES {
        let address = format!("10.0.1.{number}/32");
        run("ip", &["addr", "add", &address, "dev", THEM]);
    }
    let _service = EchoService::start(SERVICE);
    let done = AtomicUsize::new(0);
    let program = async |station: Station<'_, '_>| {
        let failures = dial_all(&station).await;
        done.fetch_add(1, Ordering::Release);
        failures
    };
    let (requests, (accounts, ())) = count_requests(|| {
        host.work(ours, program, || {
            let patience = Instant::now() + PATIENCE;
            while done.load(Ordering::Acquire) < queues {
                assert!(
                    Instant::now() < patience,
                    "in vain: {:?}",
                    host.port.queue_counters()
                );
                thread::sleep(Duration::from_millis(1));
            }
        })
    });
    let connected = accounts.iter().map(|account| account.stats.tcp.connected);
    let connected = connected.collect::<Vec<_>>();
    let arp = accounts.iter().map(|account| account.link.arp);
    println!(
        "note: {queues} queues: {connected:?} of {ADDRESSES} dials each connect; ARP frames that landed on each {:?}, \
         requests {} for {} neighbours in {:?}",
        arp.collect::<Vec<_>>(),
        requests.total(),
        requests.by_target.len(),
        requests.listened
    );
    for (queue, counters) in host.port.queue_counters().iter().enumerate() {
        println!(
            "note: {queues} queues, queue {queue}: {} arrived, of which it kept {} and handed {} to others; \
             {} came from others; {} were lost on the way",
            counters.received,
            counters.kept,
            counters.handed_over,
            counters.taken_over,
            counters.lost_over
        );
    }
    for account in accounts {
        assert_eq!(account.result.expect("it has ended"), [""; 0]);
    }
    assert_eq!(connected, vec![u32::from(ADDRESSES); queues]);
    // One for all queues together.
    assert_eq!(requests.by_target.len(), usize::from(ADDRESSES));
    requests.assert_few();
}

wire_scenario! {
    fn from_1_queue_all_of_100_addresses_answer() {
        all_connect(Host::on_veth(1));
    }
}

wire_scenario! {
    fn from_2_queues_all_of_100_addresses_answer() {
        all_connect(Host::on_veth(2));
    }
}

wire_scenario! {
    fn from_4_queues_all_of_100_addresses_answer() {
        all_connect(Host::on_veth(4));
    }
}

wire_scenario! {
    fn from_4_queues_of_a_tap_all_of_100_addresses_answer() {
        all_connect(Host::on_tap(4));
    }
}
