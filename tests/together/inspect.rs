//! A neighbour whose address a DHCP server has given it, and a station on the same wire that wants its
//! traffic.

use whohas::cache::{DropReason, Inspect};
use whohas::wire::{ETHERNET_MIN_LEN, EtherType, EthernetHeader};

use super::*;

const EVIL: u16 = 666;
/// While these last, the true host is dead.
const DEAD: core::ops::Range<Instant> = Instant::from_secs(60)..Instant::from_secs(100);

/// Answers everything, sooner than anybody, and says all the time that it is the peer: to everybody,
/// to us alone, and while it asks us for something.
fn spoofer() -> Host {
    let lie = ArpPacket::announcement(mac(EVIL), ip(PEER));
    let question = ArpPacket::request(mac(EVIL), ip(PEER), ip(US));
    let reply = ArpPacket::request(mac(US), ip(US), ip(PEER)).answered_by(mac(EVIL));
    Host::new(ip(EVIL), mac(EVIL))
        .answers_for_everything()
        .repeats(lie, MacAddr::BROADCAST, millis(70))
        .repeats(question, mac(US).get(), millis(90))
        .repeats(reply, mac(US).get(), millis(7))
}

fn peer() -> Host {
    host(PEER).answers_after(millis(30)).silent_during(DEAD)
}

fn packet(to: UnicastMac) -> [u8; ETHERNET_MIN_LEN] {
    let header = EthernetHeader {
        destination: to.get(),
        source: mac(US).get(),
        tag: None,
        ethertype: EtherType::IPV4,
    };
    let mut frame = [0; ETHERNET_MIN_LEN];
    header.emit(&mut frame).expect("room for a header");
    frame
}

/// Sends a packet every ten milliseconds until `end`, to whomever the peer's address belongs by then;
/// how many went to the peer, and how many to the spoofer.
fn talk<P: Profile>(
    world: &mut World<'_, Fixed<16>, 8, P>,
    end: Instant,
    hold: &impl Hold,
) -> [usize; 2] {
    let sent_before = world.lan.log().frames().len();
    while world.lan.now() < end {
        world.run_for(millis(10));
        if let Some(mac) = hold.mac() {
            world.lan.send(world.port, &packet(mac));
        }
    }
    [PEER, EVIL].map(|n| {
        let frames = world.lan.log().frames().skip(sent_before);
        frames.filter(|frame| frame.bytes == packet(mac(n))).count()
    })
}

/// Without inspection the one that answers first has it: that is what the next test is about.
#[test]
fn of_an_address_that_nobody_knows_the_spoofer_gets_the_traffic() {
    let resolver = strict(Fixed::<16>::new());
    let mut world = World::new(1, &resolver, [peer(), spoofer()]);
    let hold = world.hold(PEER);
    let [_, to_spoofer] = talk(&mut world, Instant::from_secs(10), &hold);
    assert!(to_spoofer > 0);
}

#[test]
fn of_a_leased_address_the_spoofer_gets_nothing_and_the_host_all_and_each_lie_is_counted() {
    let resolver = LocalResolver::new(
        Inspect::new(Policy::STRICT, Fixed::<4>::new()),
        Fixed::<16>::new(),
    );
    let mut world = World::new(1, &resolver, [peer(), spoofer()]);
    let lease = |now| resolver.lease(now, ip(PEER), mac(PEER), Some(secs(100)));
    lease(world.lan.now()).expect("room for a lease");
    let hold = world.hold(PEER);

    // From its first answer on the host gets every packet, and none is held back.
    let start = world.lan.now();
    assert_eq!(talk(&mut world, start + millis(30), &hold), [1, 0]);
    assert_eq!(talk(&mut world, DEAD.start, &hold), [5_997, 0]);
    // It dies: who answers in its place is not believed, and in the end nobody is there.
    let [_, to_spoofer] = talk(&mut world, DEAD.end, &hold);
    assert_eq!((to_spoofer, hold.status()), (0, Status::Unreachable));
    // It is back, and renews its lease.
    lease(world.lan.now()).expect("room for a lease");
    let end = Instant::from_secs(180);
    let [to_peer, to_spoofer] = talk(&mut world, end, &hold);
    assert_eq!(
        (to_spoofer, hold.status()),
        (0, Status::Resolved(mac(PEER)))
    );
    assert!(to_peer >= 2_000, "{to_peer} packets after it was back");
    world.assert_nobody_is_pestered();

    // All that the spoofer ever said of the peer's address.
    let said = world.lan.log().arp();
    let lies =
        said.filter(|(_, packet)| packet.sender_ip == ip(PEER) && packet.sender_mac == mac(EVIL));
    let lies = lies.count() as u64;
    let counters = resolver.counters();
    assert!(lies > 25_000);
    let refused = counters.dropped.get(DropReason::ClaimsLeasedAddress);
    assert_eq!(refused, lies);
    assert_eq!(
        counters.received,
        counters.accepted + counters.dropped.total()
    );
    let claimed = Event::LeaseClaimed {
        key: ip(PEER).into(),
        leased_to: mac(PEER),
        by: mac(EVIL),
    };
    // Once since it was given, once since it was renewed.
    assert_eq!(world.events().filter(|event| *event == claimed).count(), 2);
    let others = |event: &Event| matches!(event, Event::Moved { .. } | Event::Conflict { .. });
    assert!(!world.events().any(|event| others(&event)));
}
