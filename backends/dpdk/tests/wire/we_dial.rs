//! We dial the kernel's addresses, from all queues at once.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use embassy_futures::join::join_array;
use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use embedded_nal_async::{ConnectedUdp, UdpStack};
use whohas::time::{Clock, Timer};

use whohas_dpdk::Queue;

use crate::host::{Account, Host, Station};
use crate::peer::EchoService;
use crate::sniffer::count_requests;
use crate::support::{run, wire_scenario};
use crate::veth::{THEIR_IP, THEM};

/// How many addresses the kernel has.
const ADDRESSES: u8 = 100;
/// How many dials each queue has under way.
const AT_ONCE: usize = 10;
/// From how many sockets each queue asks by datagrams.
const SOCKETS: usize = 25;
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

/// Asks by datagrams from as many sockets; what went wrong.
async fn ask_often(station: &Station<'_, '_>) -> Vec<String> {
    let mut failures = Vec::new();
    for number in 0..SOCKETS {
        if let Err(failure) = ask(station, number).await {
            failures.push(format!("{number} from queue {}: {failure}", station.queue));
        }
    }
    failures
}

async fn ask(station: &Station<'_, '_>, number: usize) -> Result<(), String> {
    let clock = station.net.with_link(|link| link.clock().clone());
    let remote = (THEIR_IP, SERVICE).into();
    let (_, mut socket) = station.net.udp().connect(remote).await.map_err(text)?;
    let said = format!("queue {} asks {number}", station.queue);
    // Datagrams may be lost.
    for _ in 0..5 {
        socket.send(said.as_bytes()).await.map_err(text)?;
        let mut heard = [0; 64];
        let late = clock.wait_until(clock.now() + Duration::from_secs(1));
        match select(socket.receive_into(&mut heard), late).await {
            Either::First(Ok(len)) if &heard[..len] == said.as_bytes() => return Ok(()),
            Either::First(Ok(_)) => return Err("something else came back".to_owned()),
            Either::First(Err(error)) => return Err(text(error)),
            Either::Second(()) => {}
        }
    }
    Err("nothing came back".to_owned())
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Runs `program` on all queues until it has ended everywhere without a failure.
#[track_caller]
fn all_succeed(
    host: &Host,
    ours: Vec<Queue>,
    program: impl AsyncFn(&Station<'_, '_>) -> Vec<String> + Sync,
) -> Vec<Account<Vec<String>>> {
    let _service = EchoService::start(SERVICE);
    let left = AtomicUsize::new(ours.len());
    let program = async |station: Station<'_, '_>| {
        let failures = program(&station).await;
        left.fetch_sub(1, Ordering::Release);
        failures
    };
    let (accounts, ()) = host.work(ours, program, || {
        let patience = Instant::now() + PATIENCE;
        while left.load(Ordering::Acquire) > 0 {
            let counters = host.port.queue_counters();
            assert!(Instant::now() < patience, "in vain: {counters:?}");
            thread::sleep(Duration::from_millis(1));
        }
    });
    for account in &accounts {
        assert_eq!(account.result, Some(Vec::new()));
    }
    accounts
}

fn tell(queues: usize, host: &Host) {
    for (queue, counters) in host.port.queue_counters().iter().enumerate() {
        println!(
            "note: {queues} queues, queue {queue}: {} frames arrived, {} stayed and {} were another queue's; \
             {} came from others; {} were lost on the way",
            counters.received,
            counters.kept,
            counters.handed_over,
            counters.taken_over,
            counters.lost_over
        );
    }
}

#[track_caller]
fn all_connect((host, ours): (Host, Vec<Queue>)) {
    let queues = ours.len();
    for number in 1..=ADDRESSES {
        let address = format!("10.0.1.{number}/32");
        run("ip", &["addr", "add", &address, "dev", THEM]);
    }
    let (requests, accounts) = count_requests(|| all_succeed(&host, ours, dial_all));
    let connected = accounts.iter().map(|account| account.stats.tcp.connected);
    let connected = connected.collect::<Vec<_>>();
    let arp = accounts.iter().map(|account| account.link.arp);
    println!(
        "note: {queues} queues: {connected:?} of {ADDRESSES} dials each connect; ARP frames that landed on \
         each {:?}, requests {} for {} neighbours in {:?}",
        arp.collect::<Vec<_>>(),
        requests.total(),
        requests.by_target.len(),
        requests.listened
    );
    tell(queues, &host);
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

wire_scenario! {
    fn from_4_queues_what_is_asked_by_datagrams_is_answered() {
        let (host, ours) = Host::on_veth(4);
        all_succeed(&host, ours, ask_often);
        tell(4, &host);
    }
}
