//! The kernel dials us, and its connections spread over our queues.

use std::time::Duration;

use whohas::link::TxDrop;
use whohas_dpdk::Queue;

use crate::host::{Account, Host};
use crate::sniffer::count_requests;
use crate::support::wire_scenario;
use crate::veth::{OUR_IP, THEIR_IP};
use crate::{peer, servers};

const PATIENCE: Duration = Duration::from_secs(20);

/// So many of so many complete, whichever queue they come to.
#[track_caller]
fn all_complete((host, ours): (Host, Vec<Queue>), connections: usize) {
    let queues = ours.len();
    let (requests, (accounts, outcome)) = count_requests(|| {
        host.work(ours, servers::echo, || {
            peer::connect((OUR_IP, servers::ECHO).into(), connections, PATIENCE)
        })
    });
    report(queues, &accounts);
    println!(
        "note: {queues} queues: {} of {connections} connections of the kernel's, {} ARP requests of ours \
         in {:?}",
        outcome.echoed,
        requests.total(),
        requests.listened
    );
    assert_eq!(
        outcome.failures,
        [""; 0],
        "{:?}",
        host.port.queue_counters()
    );
    assert_eq!(outcome.echoed, connections);
    let accepted: u32 = accounts
        .iter()
        .map(|account| account.stats.tcp.accepted)
        .sum();
    assert_eq!(accepted as usize, connections);
    assert!(requests.by_target.contains_key(&THEIR_IP));
    requests.assert_few();
}

/// Where things arrived, and what had to wait.
fn report<T>(queues: usize, accounts: &[Account<T>]) {
    let arp = accounts.iter().map(|account| account.link.arp);
    let accepted = accounts.iter().map(|account| account.stats.tcp.accepted);
    let waited = accounts.iter().map(|account| account.link.waited);
    let replaced = accounts
        .iter()
        .map(|account| account.link.tx(TxDrop::Replaced));
    println!(
        "note: {queues} queues: ARP frames that landed on each {:?}, connections {:?}; packets that waited \
         for the neighbour {:?}, {} of them were replaced",
        arp.collect::<Vec<_>>(),
        accepted.collect::<Vec<_>>(),
        waited.collect::<Vec<_>>(),
        replaced.sum::<u64>()
    );
}

wire_scenario! {
    fn on_1_queue_64_of_64_complete() {
        all_complete(Host::on_veth(1), 64);
    }
}

wire_scenario! {
    fn on_2_queues_64_of_64_complete() {
        all_complete(Host::on_veth(2), 64);
    }
}

wire_scenario! {
    fn on_4_queues_64_of_64_complete() {
        all_complete(Host::on_veth(4), 64);
    }
}

wire_scenario! {
    fn on_1_queue_1000_of_1000_complete() {
        all_complete(Host::on_veth(1), 1_000);
    }
}

wire_scenario! {
    fn on_2_queues_1000_of_1000_complete() {
        all_complete(Host::on_veth(2), 1_000);
    }
}

wire_scenario! {
    fn on_4_queues_1000_of_1000_complete() {
        all_complete(Host::on_veth(4), 1_000);
    }
}

wire_scenario! {
    fn on_4_queues_of_a_tap_64_of_64_complete() {
        all_complete(Host::on_tap(4), 64);
    }
}

wire_scenario! {
    fn on_the_queue_of_af_xdp_64_of_64_complete() {
        if let Some((host, ours)) = Host::by("net_af_xdp") {
            // DPDK 22.11's leaves in its rings what is there.
            all_complete((host.without_counting_frames(), ours), 64);
        }
    }
}

wire_scenario! {
    fn on_the_queue_of_pcap_64_of_64_complete() {
        if let Some(ours) = Host::by("net_pcap") {
            all_complete(ours, 64);
        }
    }
}
