use super::*;
use whohas::wire::ArpPacket;

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn mac(last: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, last]).unwrap()
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(1_000 + secs)
}

fn monitor(limit: usize) -> Monitor {
    let network = Prefix::new(OWN, 24).unwrap();
    Monitor::new(
        at(0),
        mac(1),
        vec![network],
        limit,
        Duration::from_secs(3_600),
    )
}

/// What happens when this station asks for somebody from this address.
fn speaks(monitor: &mut Monitor, now: Instant, ip: Ipv4Addr, from: u8) -> Vec<Happening> {
    let somebody = Ipv4Addr::new(10, 0, 0, 99);
    hears(monitor, now, ArpPacket::request(mac(from), ip, somebody))
}

fn hears(monitor: &mut Monitor, now: Instant, packet: ArpPacket) -> Vec<Happening> {
    let heard = Heard {
        packet,
        source: packet.sender_mac.get(),
        frame: &[],
    };
    let events = monitor.receive(now, &heard);
    events.iter().map(|event| event.what).collect()
}

#[test]
fn a_station_is_new_once_and_active_again_after_a_long_silence() {
    let mut monitor = monitor(8);
    assert_eq!(
        speaks(&mut monitor, at(0), PEER, 2),
        [Happening::NewStation]
    );
    assert_eq!(speaks(&mut monitor, at(3_599), PEER, 2), []);
    let silence = at(3_599 + 3_600);
    let just_before = silence - Duration::from_micros(1);
    let mut early = self::monitor(8);
    speaks(&mut early, at(3_599), PEER, 2);
    assert_eq!(speaks(&mut early, just_before, PEER, 2), []);
    assert_eq!(
        speaks(&mut monitor, silence, PEER, 2),
        [Happening::NewActivity]
    );
}

#[test]
fn a_move_is_called_what_arpwatch_calls_it() {
    let mut monitor = monitor(8);
    let day = 86_400;
    speaks(&mut monitor, at(0), PEER, 2);
    assert_eq!(speaks(&mut monitor, at(day), PEER, 3), [Happening::Changed]);
    assert_eq!(
        speaks(&mut monitor, at(2 * day), PEER, 2),
        [Happening::FlipFlop]
    );
    assert_eq!(
        speaks(&mut monitor, at(3 * day), PEER, 4),
        [Happening::Changed]
    );
    assert_eq!(
        speaks(&mut monitor, at(4 * day), PEER, 3),
        [Happening::ReusedOld]
    );
    assert_eq!(
        speaks(&mut monitor, at(5 * day), PEER, 4),
        [Happening::FlipFlop]
    );
    let station = monitor.station(PEER).unwrap();
    assert_eq!((station.flips, station.conflicts), (5, 0));
}

#[test]
fn who_is_back_within_the_defend_interval_has_never_been_away() {
    for (back, conflict) in [(9_999_999, true), (10_000_000, false)] {
        let mut monitor = monitor(8);
        speaks(&mut monitor, at(0), PEER, 2);
        // One change alone may be a failover.
        assert_eq!(speaks(&mut monitor, at(1), PEER, 3), [Happening::Changed]);
        let now = at(1) + Duration::from_micros(back);
        let told = speaks(&mut monitor, now, PEER, 2);
        assert_eq!(told[0], Happening::FlipFlop);
        assert_eq!(told.get(1), conflict.then_some(&Happening::Conflict));
        let station = monitor.station(PEER).unwrap();
        assert_eq!(station.conflicts, u32::from(conflict));
        let standing = station.standing(now);
        assert_eq!(standing == Standing::Conflict, conflict);
    }
}

#[test]
fn our_own_address_is_never_given_to_another() {
    let mut monitor = monitor(8);
    assert_eq!(speaks(&mut monitor, at(0), OWN, 9), [Happening::Conflict]);
    let station = monitor.station(OWN).unwrap();
    assert_eq!((station.mac, station.conflicts), (mac(1), 1));
    assert_eq!(station.standing(at(59)), Standing::Conflict);
    assert_eq!(station.standing(at(60)), Standing::Local);
    assert_eq!(speaks(&mut monitor, at(1), OWN, 1), []);
}

#[test]
fn probes_and_bogons_leave_no_trace_and_announcements_do() {
    let mut monitor = monitor(8);
    let probe = ArpPacket::probe(mac(2), PEER);
    assert_eq!(hears(&mut monitor, at(0), probe), [Happening::Probe]);
    let far = Ipv4Addr::new(192, 168, 0, 1);
    for bogon in [far, Ipv4Addr::new(10, 0, 0, 255), Ipv4Addr::BROADCAST] {
        assert_eq!(speaks(&mut monitor, at(0), bogon, 2), [Happening::Bogon]);
    }
    assert_eq!(monitor.len(), 1, "this host");
    let announcement = ArpPacket::announcement(mac(2), PEER);
    let told = hears(&mut monitor, at(0), announcement);
    assert_eq!(told, [Happening::NewStation, Happening::Announcement]);
}

#[test]
fn a_frame_from_another_station_than_its_packet_says_is_told_with_both() {
    let mut monitor = monitor(8);
    let heard = Heard {
        packet: ArpPacket::request(mac(2), PEER, OWN),
        source: mac(7).get(),
        frame: &[],
    };
    let events = monitor.receive(at(0), &heard);
    assert_eq!(events[0].what, Happening::EthernetMismatch);
    assert_eq!(events[0].frame_from, Some(mac(7).get()));
    assert_eq!(events[0].mac, mac(2));
}

#[test]
fn a_thousand_repetitions_are_told_every_ten_seconds() {
    let mut monitor = monitor(8);
    let probe = ArpPacket::probe(mac(2), PEER);
    let mut told = 0;
    for millis in 0..20_000 {
        let now = at(0) + Duration::from_millis(millis);
        told += hears(&mut monitor, now, probe).len();
    }
    assert_eq!((told, monitor.repeated()), (2, 19_998));
}

#[test]
fn a_flood_of_invented_addresses_is_bounded_and_who_speaks_is_remembered() {
    let mut monitor = monitor(100);
    let host = |n: u32| Ipv4Addr::from_bits(PEER.to_bits() + n % 250);
    for n in 0..100_000 {
        let now = at(0) + Duration::from_millis(n.into());
        speaks(&mut monitor, now, host(n), (n % 251) as u8);
        speaks(&mut monitor, now, Ipv4Addr::new(10, 0, 0, 254), 9);
        assert!(monitor.len() <= 100);
    }
    assert!(monitor.forgotten > 0);
    let busy = monitor.station(Ipv4Addr::new(10, 0, 0, 254)).unwrap();
    assert_eq!(busy.first, at(0), "heard all the time, never forgotten");
    assert_eq!(monitor.turns.len() + 1, monitor.stations.len());
}

#[test]
fn only_so_many_former_stations_are_remembered() {
    let mut monitor = monitor(8);
    for n in 2..100 {
        speaks(&mut monitor, at(u64::from(n) * 60), PEER, n);
    }
    assert_eq!(monitor.station(PEER).unwrap().former.len(), MOST_FORMER);
    // Long enough ago to be new again.
    assert_eq!(
        speaks(&mut monitor, at(9_999), PEER, 2),
        [Happening::Changed]
    );
}
