//! What DPDK's virtual ports say of themselves, and what becomes of it.

use whohas::UnicastMac;
use whohas_dpdk::steering::SYMMETRIC_KEY;
use whohas_dpdk::{Cable, Eal, EalOptions, OpenError, Port, PortOptions};

use crate::support::wire_scenario;
use crate::veth::{self, THEM, US};

/// With frames enough for all of them.
fn options(queues: u16) -> PortOptions {
    PortOptions::new().queues(queues).frames(4_095)
}

fn open(eal: &Eal, name: &str, queues: u16) -> Result<Port, OpenError> {
    let opened = options(queues).open(eal, name);
    opened.map(|(port, _queues)| port)
}

fn tell(port: &Port) {
    let info = port.info().unwrap_or_else(|failure| panic!("{failure}"));
    let yes = |is| if is { "yes" } else { "no" };
    println!(
        "note: {}: queues at most {:?}, spreads TCP {}, by addresses {}, key {} bytes, table {} entries, \
         checks sums {}, fills in sums {}, MAC {:02x?}, MTU {} {:?}, link {:?}",
        info.driver,
        info.max_queues,
        yes(info.spreads_tcp),
        yes(info.spreads_ip),
        info.key_len,
        info.table_len,
        yes(info.checks_sums),
        yes(info.fills_in_sums),
        info.mac,
        info.mtu,
        info.mtu_bounds,
        port.link().map(|link| (link.up, link.mbit_per_s)),
    );
    println!(
        "note: {}: TCP arrives where it belongs: {}",
        info.driver,
        yes(port.steering().is_predicted())
    );
    match port.steer_arp(0) {
        Ok(rule) => println!("note: {}: all ARP to one queue: yes {rule:?}", info.driver),
        Err(failure) => println!("note: {}: all ARP to one queue: {failure}", info.driver),
    }
}

/// Opens a virtual device with as many queues as it has, four at most, and tells of it.
fn tell_of(device: &str) {
    let name = device
        .split(',')
        .next()
        .expect("something is in front of a comma");
    let eal = match EalOptions::without_hardware(128).device(device).start() {
        Ok(eal) => eal,
        Err(error) => return println!("note: {device}: not here: {error}"),
    };
    let opened = match open(&eal, name, 4) {
        Err(OpenError::Queues { most, .. }) => {
            println!("note: {device}: {most} queues at most");
            open(&eal, name, most)
        }
        opened => opened,
    };
    match opened {
        Ok(port) => tell(&port),
        Err(error) => println!("note: {device}: not here: {error}"),
    }
}

wire_scenario! {
    fn what_net_af_packet_is() {
        let (_eal, port, _queues) = veth::open(4);
        tell(&port);
    }
}

wire_scenario! {
    fn what_net_tap_is() {
        tell_of("net_tap0,iface=tap0");
    }
}

wire_scenario! {
    fn what_net_null_is() {
        tell_of("net_null0");
    }
}

wire_scenario! {
    // The one virtual port that tells a key and a table, though it spreads nothing.
    fn what_a_port_tells_of_how_it_spreads_is_what_its_queues_go_by() {
        let eal = EalOptions::without_hardware(128).device("net_null0").start();
        let eal = eal.unwrap_or_else(|error| panic!("{error}"));
        let opened = options(4).spread_key(SYMMETRIC_KEY[..40].to_vec()).open(&eal, "net_null0");
        let (port, queues) = opened.unwrap_or_else(|error| panic!("{error}"));
        println!("note: net_null with a key of ours: {}", port.steering());
        assert!(port.steering().is_predicted());
        assert_eq!(queues.len(), usize::from(port.steering().queues()));
        let short = PortOptions::new().spread_key([1; 39]).open(&eal, "net_null0");
        assert!(short.is_err());
    }
}

wire_scenario! {
    fn what_net_memif_is() {
        tell_of("net_memif0,role=server,socket-abstract=yes");
    }
}

wire_scenario! {
    fn what_net_pcap_is() {
        veth::lay(1);
        tell_of(&format!("net_pcap0,iface={THEM}"));
    }
}

wire_scenario! {
    fn what_net_af_xdp_is() {
        veth::lay(4);
        tell_of(&format!("net_af_xdp0,iface={US}"));
    }
}

wire_scenario! {
    fn what_net_ring_is() {
        let eal = EalOptions::without_hardware(128).start().expect("no device, no failure");
        let ours = UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a unicast address");
        let (port, _queues, _cable) = Cable::open(&eal, &options(4).mac(ours)).expect("rings");
        tell(&port);
    }
}
