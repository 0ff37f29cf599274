//! The kernel dials us, and its connections spread over our queues.

use std::thread;
use std::time::{Duration, Instant};

use whohas::UnicastMac;
use whohas::link::TxDrop;
use whohas::wire::{InternetSum, Transport};
use whohas_dpdk::Queue;
use whohas_linux::{Protocols, RawSocket};

use crate::host::{Account, Host};
use crate::sniffer::count_requests;
use crate::support::wire_scenario;
use crate::veth::{OUR_IP, THEIR_IP, THEM};
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
    fn a_tap_to_which_checksums_are_left_fills_them_in() {
        all_complete(Host::on_tap_that_sums(2), 64);
    }
}

wire_scenario! {
    fn a_frame_whose_checksum_is_wrong_goes_no_further_where_checksums_are_left_to_the_port() {
        let (host, ours) = Host::on_tap_that_sums(1);
        let (_, ()) = host.work(ours, servers::echo, || {
            // A SYN to the echo server, right but for its last bit.
            let mac = |last| UnicastMac::new([2, 0, 0, 0, 0, last]).expect("a unicast address");
            let mut frame = [0; 54];
            frame[..6].copy_from_slice(&mac(1).octets());
            frame[6..12].copy_from_slice(&mac(2).octets());
            frame[12..34].copy_from_slice(&[8, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1]);
            let header = InternetSum::default().with(&frame[14..34]).checksum();
            frame[24..26].copy_from_slice(&header.to_be_bytes());
            frame[34..38].copy_from_slice(&[0xc0, 0, 0, servers::ECHO as u8]);
            frame[46..50].copy_from_slice(&[0x50, 0x02, 0x10, 0]);
            let segment = Transport::find(&frame).expect("TCP");
            segment.complete_checksum(&mut frame);
            let right = frame;
            frame[51] ^= 1;
            let kernel = RawSocket::open(THEM, Protocols::Arp).unwrap_or_else(|error| panic!("{error}"));
            for frame in [frame, right] {
                kernel.send(&frame).expect("the tap is up");
            }
            let received = || host.port.queue_counters()[0].received;
            let patience = Instant::now() + PATIENCE;
            while received() < 2 && Instant::now() < patience {
                thread::sleep(Duration::from_millis(1));
            }
        });
        let counters = host.port.queue_counters()[0];
        assert_eq!(counters.bad_sum, 1, "{counters:?}");
        assert!(counters.kept >= 1, "{counters:?}");
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
