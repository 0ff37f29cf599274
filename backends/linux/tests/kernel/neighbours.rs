//! The kernel as a neighbour: it is resolved, it resolves us, it moves, it goes away and comes back.

use embassy_net_driver::{Driver, LinkState};
use whohas::cache::DropReason;
use whohas::wire::{ArpPacket, EtherType, EthernetFrame, HardwareTypes, MacAddr};
use whohas::{Hold, UnicastMac};
use whohas_linux::{PacketRing, Protocols, RawSocket, Reception, RingOptions};

use crate::support::cable::{
    OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, US, drain, lay, listen, mac,
};
use crate::support::run;
use crate::support::station::Station;
use crate::wire_test;

fn open(reception: Reception) -> Station<PacketRing> {
    let ring = RingOptions::new()
        .reception(reception)
        .addresses(&[OUR_IP])
        .open(US)
        .unwrap_or_else(|error| panic!("{error}"));
    let waiter = ring.waiter();
    Station::new(ring, waiter)
}

/// A cable, and us at the end of it.
fn connected() -> Station<PacketRing> {
    lay();
    open(Reception::Prompt)
}

wire_test! {
    fn the_kernel_is_resolved() {
        let mut station = connected();
        let hold = station.neighbours.hold(THEIR_IP).expect("room");
        let resolved = station.run("an answer", hold.resolved());
        assert_eq!(resolved, Ok(mac(THEIR_MAC)));
    }
}

wire_test! {
    fn the_kernel_is_resolved_through_blocks_of_frames() {
        lay();
        let mut station = open(Reception::Batched);
        let hold = station.neighbours.hold(THEIR_IP).expect("room");
        let resolved = station.run("an answer", hold.resolved());
        assert_eq!(resolved, Ok(mac(THEIR_MAC)));
    }
}

wire_test! {
    fn the_kernel_finds_us_and_keeps_us_reachable() {
        let mut station = connected();
        // Nobody answers the ping; to send it the kernel has to find us.
        station.run_beside("ping", &["-c", "1", "-W", "1", "10.0.0.1"]);
        let entry = run("ip", &["neigh", "show", "dev", THEM]);
        assert!(entry.contains(&format!("10.0.0.1 lladdr {OUR_MAC} REACHABLE")), "{entry}");

        // Told to verify us now, it sends unicast requests, and we answer these too.
        run("ip", &["neigh", "change", "10.0.0.1", "lladdr", OUR_MAC, "nud", "probe", "dev", THEM]);
        station.run_until("the kernel verifies us", |_| {
            run("ip", &["neigh", "show", "dev", THEM]).contains("REACHABLE")
        });
    }
}

wire_test! {
    fn arping_hears_us() {
        let mut station = connected();
        let (success, said) =
            station.run_beside("arping", &["-c", "2", "-w", "3", "-I", THEM, "10.0.0.1"]);
        assert!(success, "{said}");
        assert!(said.to_lowercase().contains(&format!("from 10.0.0.1 [{OUR_MAC}]")), "{said}");
        assert!(said.contains("Received 2 response(s)"), "{said}");
    }
}

wire_test! {
    fn arping_sees_that_our_address_is_taken() {
        let mut station = connected();
        let arguments = ["-D", "-c", "2", "-w", "3", "-I", THEM, "10.0.0.1"];
        let (free, said) = station.run_beside("arping", &arguments);
        assert!(!free, "{said}");
        assert!(said.contains("Received 1 response(s)"), "{said}");
        let arguments = ["-D", "-c", "1", "-w", "1", "-I", THEM, "10.0.0.77"];
        let (free, said) = station.run_beside("arping", &arguments);
        assert!(free, "nobody has this one: {said}");
    }
}

wire_test! {
    fn a_hold_follows_the_kernel_to_its_new_hardware_address() {
        let mut station = connected();
        let hold = station.neighbours.hold(THEIR_IP).expect("room");
        station.run("an answer", hold.resolved()).expect("it is there");

        const MOVED: &str = "02:00:00:00:00:99";
        run("sysctl", &["-qw", &format!("net.ipv4.conf.{THEM}.arp_notify=1")]);
        run("ip", &["link", "set", THEM, "address", MOVED]);
        // The kernel announces it, we ask at the old address, and nobody is there any more.
        station.run_until("the new address", |_| hold.mac() == Some(mac(MOVED)));
    }
}

wire_test! {
    fn a_kernel_that_goes_away_and_comes_back_is_resolved_again_for_the_same_hold() {
        let mut station = connected();
        let hold = station.neighbours.hold(THEIR_IP).expect("room");
        station.run("an answer", hold.resolved()).expect("it is there");
        let is = |state| move |station: &mut Station<PacketRing>| station.up == Some(state);

        run("ip", &["link", "set", THEM, "down"]);
        station.run_until("the link is down", is(LinkState::Down));
        station.run_until("the hold knows nothing", |_| hold.mac().is_none());
        run("ip", &["link", "set", THEM, "up"]);
        station.run_until("the link is up", is(LinkState::Up));
        let again = station.neighbours.hold(THEIR_IP).expect("room");
        assert_eq!(station.run("an answer", again.resolved()), Ok(mac(THEIR_MAC)));
    }
}

wire_test! {
    fn our_own_interface_goes_down_and_up_and_changes_its_address() {
        let mut station = connected();
        run("ip", &["link", "set", US, "down"]);
        station.run_until("the link is down", |station| station.up == Some(LinkState::Down));
        const MOVED: &str = "02:00:00:00:00:42";
        run("ip", &["link", "set", US, "address", MOVED]);
        run("ip", &["link", "set", US, "up"]);
        station.run_until("the link is up", |station| station.up == Some(LinkState::Up));
        station.run_until("the new address", |station| {
            let address = embassy_net_driver::HardwareAddress::Ethernet(mac(MOVED).octets());
            station.driver.hardware_address() == address
        });
        let ours = UnicastMac::new(mac(MOVED).octets()).expect("unicast");
        station.neighbours.set_mac(station.now(), ours);
        let hold = station.neighbours.hold(THEIR_IP).expect("room");
        assert_eq!(station.run("an answer", hold.resolved()), Ok(mac(THEIR_MAC)));
    }
}

/// A request for us, in a frame of the shortest length there is; behind the packet stands what must
/// never come back.
fn request_for_us(canary: u8) -> Vec<u8> {
    let mut frame = [canary; 60];
    let request = ArpPacket::request(mac(THEIR_MAC), THEIR_IP, OUR_IP);
    let mut packet = [0; 60];
    let written = request.emit_frame(MacAddr::BROADCAST, None, &mut packet);
    assert!(written.is_ok());
    frame[..42].copy_from_slice(&packet[..42]);
    frame.to_vec()
}

/// The replies of ours that arrived at the other end.
fn replies_to(socket: &RawSocket) -> Vec<Vec<u8>> {
    let mut frames = drain(socket);
    frames.retain(|frame| {
        let parsed = EthernetFrame::parse(frame).expect("we send whole frames");
        let packet = ArpPacket::parse(parsed.payload, HardwareTypes::Ethernet);
        packet.is_ok_and(|packet| packet.operation == whohas::wire::Operation::Reply)
    });
    frames
}

wire_test! {
    /// V1 and V2 of the list of hostile input, on the wire.
    fn truncated_requests_are_counted_and_never_answered_and_whole_ones_give_nothing_away() {
        let mut station = connected();
        let them = listen(THEM, Protocols::Arp);
        let whole = request_for_us(0xa5);
        // With a whole request last, all before it were seen when it is answered.
        for len in 14..42 {
            them.send(&whole[..len]).expect("sent");
        }
        them.send(&whole).expect("sent");
        let mut replies = Vec::new();
        station.run_until("the answer to the whole request", |_| {
            replies.extend(replies_to(&them));
            !replies.is_empty()
        });
        let counters = station.neighbours.counters();
        assert_eq!(counters.dropped.get(DropReason::Truncated), 28, "{counters:?}");
        assert_eq!(replies.len(), 1);
        assert_eq!(replies[0].len(), 60);
        assert!(!replies[0].contains(&0xa5), "nothing received comes back: {:02x?}", replies[0]);
        assert!(replies[0][42..].iter().all(|&byte| byte == 0), "padding is zero");
    }
}

wire_test! {
    /// V1 for everything that is not ARP: short frames come up whole, as short as they are.
    fn short_frames_of_every_type_come_up_as_they_are() {
        let mut station = connected();
        let them = listen(THEM, Protocols::Arp);
        for ethertype in [EtherType::IPV4.0, 0x86dd, 0x0000] {
            for len in 14..60 {
                let mut frame = request_for_us(0);
                frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
                them.send(&frame[..len]).expect("sent");
            }
        }
        them.send(&request_for_us(0)).expect("sent");
        station.run_until("an answer after all of them", |_| !replies_to(&them).is_empty());
        for frame in &station.others {
            assert_eq!(frame[12..14], EtherType::IPV4.0.to_be_bytes(), "the rest stays in the kernel");
            assert!((14..60).contains(&frame.len()));
        }
        assert_eq!(station.others.len(), 46);
    }
}
