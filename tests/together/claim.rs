//! A detector and a resolver for one address on one wire, as a driver joins them.

use super::*;
use whohas::HoldError;
use whohas::conflict::{Defence, Detector, State, Timing};

const OTHER: u16 = 3;

/// The detector announces.
const POLICY: Policy = Policy {
    announcements: 0,
    ..Policy::STRICT
};

type Resolver = LocalResolver<Fixed<16>>;

/// A host that probes for its address, and uses it as soon as it may.
struct Careful<'r> {
    resolver: &'r Resolver,
    detector: Detector,
    random: Rng,
    events: Vec<(Instant, whohas::conflict::Event)>,
}

impl<'r> Careful<'r> {
    fn new(seed: u64, resolver: &'r Resolver) -> Self {
        resolver.set_mac(Instant::ZERO, mac(US));
        let detector = Detector::new(mac(US), ip(US), Timing::RFC5227, Defence::OncePerInterval);
        let mut careful = Self {
            resolver,
            detector: detector.expect("a host's address"),
            random: Rng::new(seed),
            events: Vec::new(),
        };
        let random = careful.random();
        careful.detector.start(Instant::ZERO, random);
        careful
    }

    fn random(&mut self) -> u32 {
        (self.random.next_u64() >> 32) as u32
    }

    fn obey_events(&mut self, now: Instant) {
        use whohas::conflict::Event::*;
        while let Some(event) = self.detector.poll_event() {
            self.events.push((now, event));
            let addresses: &[Prefix] = match event {
                Usable | Defended { .. } => &[own()],
                Conflict { .. } | Lost { .. } => &[],
            };
            let set = self.resolver.set_addresses(now, addresses);
            set.expect("a host's address");
        }
    }

    fn usable_since(&self) -> Option<Instant> {
        let mut events = self.events.iter();
        let usable = |event| matches!(event, whohas::conflict::Event::Usable);
        events.find(|(_, event)| usable(*event)).map(|(at, _)| *at)
    }
}

impl Station for Careful<'_> {
    fn receive(&mut self, now: Instant, frame: &[u8]) {
        if let Ok(EthernetFrame { header, payload }) = EthernetFrame::parse(frame)
            && let Ok(packet) = ArpPacket::parse(payload, HardwareTypes::Ethernet)
        {
            self.detector.receive(now, header.source, &packet, &[]);
        }
        self.resolver.receive(now, frame);
        self.obey_events(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.detector.handle_timeout(now);
        self.resolver.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        if let Some(transmit) = self.detector.poll_transmit() {
            assert_eq!(transmit.destination, MacAddr::BROADCAST);
            let random = self.random();
            self.detector.sent(now, random);
            self.obey_events(now);
            return Some(broadcast(transmit.packet).to_vec());
        }
        Station::poll_transmit(&mut self.resolver, now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let detector = self.detector.poll_timeout();
        let resolver = self.resolver.poll_timeout();
        detector.into_iter().chain(resolver).min()
    }
}

/// Lets one station ask, and gives the answers that it has a millisecond later.
fn asks(
    lan: &mut Lan,
    asker: PortId,
    packet: ArpPacket,
    careful: (PortId, &mut Careful<'_>),
) -> Vec<ArpPacket> {
    while lan.receive(asker).is_some() {}
    lan.send(asker, &broadcast(packet));
    let (port, careful) = careful;
    lan.run_for(millis(1), &mut [(port, careful)]);
    let frames = core::iter::from_fn(|| lan.receive(asker));
    let packets = frames.map(|frame| {
        let frame = EthernetFrame::parse(&frame).expect("we send legal frames");
        ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).expect("and legal ARP")
    });
    packets
        .filter(|packet| packet.operation == Operation::Reply)
        .collect()
}

/// AC-07, AC-16, AC-17.
#[test]
fn an_address_is_silent_until_it_is_usable_and_answered_for_and_announced_twice_from_then_on() {
    for seed in 0..20 {
        let resolver = Resolver::new(POLICY, Fixed::new());
        let mut careful = Careful::new(seed, &resolver);
        let mut lan = Lan::new(seed);
        let port = lan.add_port(mac(US));
        let asker = lan.add_port(mac(OTHER));
        lan.add_host(host(PEER));
        let question = ArpPacket::request(mac(OTHER), ip(OTHER), ip(US));
        while careful.usable_since().is_none() {
            assert!(lan.now() < Instant::from_secs(8), "seed {seed}");
            assert!(!careful.detector.is_usable());
            assert_eq!(resolver.hold(ip(PEER)).err(), Some(HoldError::NoAddress));
            let answers = asks(&mut lan, asker, question, (port, &mut careful));
            // In the millisecond in which it became usable the question came first.
            assert_eq!(answers, [], "seed {seed}");
            lan.run_for(millis(49), &mut [(port, &mut careful)]);
        }
        let usable = careful.usable_since().expect("waited for it");
        let before = lan
            .log()
            .arp()
            .filter(|(frame, _)| frame.from == port && frame.at < usable);
        let before: Vec<_> = before.map(|(_, packet)| packet).collect();
        assert_eq!(before, [ArpPacket::probe(mac(US), ip(US)); 3]);

        // From now on we ask, and are found: by questions and by those who probe for it.
        let hold = resolver.hold(ip(PEER)).expect("we have an address");
        let probe = ArpPacket::probe(mac(OTHER), ip(US));
        for packet in [question, probe, question, probe] {
            let answers = asks(&mut lan, asker, packet, (port, &mut careful));
            assert_eq!(answers, [packet.answered_by(mac(US))], "seed {seed}");
            lan.run_for(secs(1), &mut [(port, &mut careful)]);
        }
        let elsewhere = ArpPacket::probe(mac(OTHER), ip(99));
        assert_eq!(asks(&mut lan, asker, elsewhere, (port, &mut careful)), []);
        assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
        lan.run_for(secs(3_600), &mut [(port, &mut careful)]);

        // A question is no conflict, and nobody but the detector announces.
        assert_eq!(careful.events.len(), 1);
        assert_eq!(careful.detector.state(), State::Owned);
        let announcement = ArpPacket::announcement(mac(US), ip(US));
        let announced = lan
            .log()
            .arp()
            .filter(|(_, packet)| *packet == announcement);
        let announced: Vec<_> = announced.map(|(frame, _)| frame.at).collect();
        assert_eq!(announced, [usable, usable + secs(2)]);
    }
}

#[test]
fn an_address_that_somebody_has_is_never_used() {
    let resolver = Resolver::new(POLICY, Fixed::new());
    let mut careful = Careful::new(1, &resolver);
    let mut lan = Lan::new(1);
    let port = lan.add_port(mac(US));
    lan.add_host(Host::new(ip(US), mac(OTHER)).answers_after(RTT));
    lan.add_host(host(PEER));
    lan.run_for(secs(60), &mut [(port, &mut careful)]);
    assert_eq!(careful.detector.state(), State::Conflicted);
    assert_eq!(resolver.hold(ip(PEER)).err(), Some(HoldError::NoAddress));
    let ours = lan.log().arp().filter(|(frame, _)| frame.from == port);
    assert!(
        ours.map(|(_, packet)| packet)
            .eq([ArpPacket::probe(mac(US), ip(US))])
    );
}

/// The cache tells of the claim, the detector decides, and without an address no hold lives on.
#[test]
fn an_address_that_is_claimed_twice_is_defended_once_and_lost_with_its_holds() {
    let resolver = Resolver::new(POLICY, Fixed::new());
    let mut careful = Careful::new(1, &resolver);
    let mut lan = Lan::new(1);
    let port = lan.add_port(mac(US));
    let attacker = lan.add_port(mac(OTHER));
    lan.add_host(host(PEER));
    lan.run_for(secs(20), &mut [(port, &mut careful)]);
    let hold = resolver.hold(ip(PEER)).expect("we have an address");
    let attack = broadcast(ArpPacket::announcement(mac(OTHER), ip(US)));
    let by = mac(OTHER);

    lan.send(attacker, &attack);
    lan.run_for(secs(1), &mut [(port, &mut careful)]);
    assert_eq!(hold.status(), Status::Resolved(mac(PEER)));
    assert!(careful.detector.is_usable());
    let claimed = Event::AddressClaimed {
        key: ip(US).into(),
        by,
    };
    let mut told = core::iter::from_fn(|| resolver.poll_event());
    assert!(told.any(|event| event == claimed));

    lan.send(attacker, &attack);
    lan.run_for(secs(1), &mut [(port, &mut careful)]);
    assert_eq!(hold.status(), Status::Gone);
    assert_eq!(resolver.hold(ip(PEER)).err(), Some(HoldError::NoAddress));
    let events: Vec<_> = careful.events.iter().map(|&(_, event)| event).collect();
    use whohas::conflict::Event::{Defended, Lost, Usable};
    assert_eq!(events, [Usable, Defended { against: by }, Lost { by }]);

    // Whoever asks is answered by nobody here.
    let question = ArpPacket::request(mac(OTHER), ip(OTHER), ip(US));
    assert_eq!(asks(&mut lan, attacker, question, (port, &mut careful)), []);
}
