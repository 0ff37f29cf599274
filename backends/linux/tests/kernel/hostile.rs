//! Hostile frames on the wire: what broke others must change nothing here, and be counted.

use embassy_net_driver::LinkState;
use whohas::cache::DropReason;
use whohas::wire::{ArpPacket, MacAddr};
use whohas::{Hold, UnicastMac};
use whohas_linux::{PacketRing, Protocols, RawSocket, RingOptions};

use crate::support::cable::{OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, US, lay, listen, mac};
use crate::support::run;
use crate::support::station::Station;
use crate::wire_test;

/// A cable, us at one end with the kernel resolved, and a socket to send anything from the other.
fn resolved() -> (Station<PacketRing>, RawSocket, impl Hold) {
    lay();
    let ring = RingOptions::new()
        .open(US)
        .unwrap_or_else(|error| panic!("{error}"));
    let waiter = ring.waiter();
    let mut station = Station::new(ring, waiter);
    let hold = station.neighbours.hold(THEIR_IP).expect("room");
    station
        .run("an answer", hold.resolved())
        .expect("it is there");
    (station, listen(THEM, Protocols::Arp), hold)
}

fn frame(packet: ArpPacket, destination: MacAddr) -> [u8; 60] {
    let mut frame = [0; 60];
    let written = packet.emit_frame(destination, None, &mut frame);
    assert!(written.is_ok());
    frame
}

/// What an attacker's frames are made of.
fn attacker(number: u32) -> UnicastMac {
    let [a, b, c, d] = number.to_be_bytes();
    UnicastMac::new([0x06, 0, a, b, c, d]).expect("unicast")
}

wire_test! {
    /// V3: what was not asked for configures nothing and teaches nothing, whatever it calls itself.
    fn operations_that_nobody_asked_for_change_nothing() {
        let (mut station, them, hold) = resolved();
        let before = station.neighbours.counters();
        let mut sent = 0;
        // All but a request, 1.
        for operation in [0].into_iter().chain(2..=25_u16).chain([0xffff]) {
            let claim = ArpPacket::request(attacker(1), THEIR_IP, OUR_IP);
            let mut frame = frame(claim, mac(OUR_MAC).into());
            frame[20..22].copy_from_slice(&operation.to_be_bytes());
            them.send(&frame).expect("sent");
            sent += 1;
        }
        station.run_until("all of them", |station| {
            station.neighbours.counters().received >= before.received + sent
        });
        let dropped = station.neighbours.counters().dropped;
        let odd = dropped.get(DropReason::Operation) - before.dropped.get(DropReason::Operation);
        assert_eq!(odd, sent - 1, "all but the reply have no meaning here: {dropped:?}");
        // The reply may be a reason to ask the kernel again, at the address we know it by.
        station.run_until("the kernel is still itself", |_| hold.mac() == Some(mac(THEIR_MAC)));
        assert_eq!(station.neighbours.lookup(THEIR_IP), Some(mac(THEIR_MAC)));
    }
}

wire_test! {
    /// V4: a flood of requests from stations that do not exist, far more than there is room for.
    fn a_flood_of_invented_stations_evicts_no_neighbour_in_use() {
        const FLOOD: u32 = 100_000;
        let (mut station, them, hold) = resolved();
        let before = station.neighbours.counters().received;
        let mut came = 0;
        for number in 0..FLOOD {
            let [_, _, c, d] = (number * 7 + 3).to_be_bytes();
            let sender = [10, 0, 0, d.max(3)].into();
            let target = if c % 2 == 0 { OUR_IP } else { [10, 0, 0, c.max(3)].into() };
            let request = ArpPacket::request(attacker(number), sender, target);
            them.send(&frame(request, MacAddr::BROADCAST)).expect("sent");
            if number % 64 == 63 {
                station.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                came = station.neighbours.counters().received - before;
            }
        }
        // How many of them the kernel had no time for is the machine's affair.
        assert_ne!(came, 0);
        let counters = station.neighbours.counters();
        assert_eq!(counters.received, counters.accepted + counters.dropped.total());
        assert_eq!(hold.mac(), Some(mac(THEIR_MAC)));
        assert!(station.up == Some(LinkState::Up));
        // And whoever is really there is heard, when the answers to the others are out.
        let arguments = ["-f", "-w", "10", "-I", THEM, "10.0.0.1"];
        let (found, said) = station.run_beside("arping", &arguments);
        assert!(found, "{said}");
    }
}

wire_test! {
    /// V6: the Ethernet sender is not the ARP sender.
    fn a_frame_whose_two_senders_differ_is_counted_and_not_answered() {
        let (mut station, them, _hold) = resolved();
        let mut lie = frame(ArpPacket::request(mac(THEIR_MAC), THEIR_IP, OUR_IP), MacAddr::BROADCAST);
        lie[6..12].copy_from_slice(&attacker(1).octets());
        them.send(&lie).expect("sent");
        station.run_until("it is counted", |station| {
            station.neighbours.counters().dropped.get(DropReason::EthernetMismatch) == 1
        });
    }
}

wire_test! {
    /// V1, V5, V11, V30 and all that nobody thought of: valid packets with bytes changed at random, in
    /// frames of any length, tagged or not, in between all of the kernel's own offloads.
    fn frames_with_random_changes_harm_nothing() {
        let (mut station, them, hold) = resolved();
        run("ethtool", &["-K", THEM, "tx", "on"]);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize
        };
        let arp = frame(ArpPacket::request(attacker(2), [10, 0, 0, 9].into(), OUR_IP), MacAddr::BROADCAST);
        let mut ip = [0x5a_u8; 1514];
        ip[..6].copy_from_slice(&mac(OUR_MAC).octets());
        ip[6..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 0x08, 0x00]);
        ip[14..34].copy_from_slice(&[
            0x45, 0, 5, 220, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1,
        ]);
        for round in 0..50_000 {
            let mut frame = if next() % 2 == 0 { arp.to_vec() } else { ip.to_vec() };
            for _ in 0..next() % 4 {
                let place = 12 + next() % 42;
                frame[place] = next() as u8;
            }
            if next() % 8 == 0 {
                frame.splice(12..12, [0x81, 0, 0, next() as u8]);
            }
            if next() % 2 == 0 {
                frame.truncate(14 + next() % 60);
            }
            // The kernel itself refuses some of them.
            let _ = them.send(&frame);
            if round % 50 == 0 {
                station.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                station.others.clear();
            }
        }
        let counters = station.neighbours.counters();
        assert_eq!(counters.received, counters.accepted + counters.dropped.total());
        station.run_until("the kernel is still itself", |_| hold.mac() == Some(mac(THEIR_MAC)));
    }
}
