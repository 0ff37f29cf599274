//! State machines that the LAN drives.

use super::*;

/// Asks for an address every second until it is answered.
struct Asker {
    target: Ipv4Addr,
    next: Option<Instant>,
    to_send: Option<ArpPacket>,
    answer: Option<(Instant, UnicastMac)>,
}

impl Asker {
    fn new(target: Ipv4Addr) -> Self {
        Self {
            target,
            next: Some(Instant::ZERO),
            to_send: None,
            answer: None,
        }
    }
}

impl Station for Asker {
    fn receive(&mut self, now: Instant, frame: &[u8]) {
        let answer = arp(frame);
        if answer.sender_ip == self.target {
            self.answer = Some((now, answer.sender_mac));
            self.next = None;
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        assert_eq!(self.next, Some(now), "driven exactly on time");
        self.to_send = Some(who_has(self.target));
        self.next = Some(now + millis(1_000));
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Vec<u8>> {
        Some(broadcast(self.to_send.take()?).to_vec())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.next
    }
}

#[test]
fn a_station_is_driven_until_the_deadline_and_can_be_asked_afterwards() {
    let (mut lan, us) = lan_with(host(PEER).answers_from_request(3));
    lan.set_link(us, Link::delayed(millis(10)));
    let mut asker = Asker::new(ip(PEER));
    lan.run_until(Instant::from_micros(2_019_999), &mut [(us, &mut asker)]);
    assert_eq!(asker.answer, None);
    lan.run_for(Duration::from_micros(1), &mut [(us, &mut asker)]);
    let answered = Instant::from_millis(2_020);
    assert_eq!(asker.answer, Some((answered, mac(PEER))));
    lan.run_until(Instant::from_secs(60), &mut [(us, &mut asker)]);
    assert_eq!(lan.now(), Instant::from_secs(60));
    assert_eq!(lan.log().requests_for(ip(PEER)), 3);
}

#[test]
fn several_stations_share_a_lan_and_a_lossy_link_only_costs_time() {
    let mut lan = Lan::new(11);
    lan.add_host(host(PEER));
    let [us, other] = [US, OTHER].map(|n| lan.add_port(mac(n)));
    lan.set_link(us, Link::lossy(0.5));
    let (mut asker, mut dreamer) = (Asker::new(ip(PEER)), Asker::new(ip(NOBODY)));
    lan.run_for(
        millis(60_000),
        &mut [(us, &mut asker), (other, &mut dreamer)],
    );
    assert!(asker.answer.is_some());
    assert_eq!(dreamer.answer, None);
    assert_eq!(lan.log().requests_for(ip(NOBODY)), 61);
}

/// What the station does wrong.
enum Restless {
    WakesInThePast,
    TransmitsForEver,
}

impl Station for Restless {
    fn receive(&mut self, _now: Instant, _frame: &[u8]) {}

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant) -> Option<Vec<u8>> {
        match self {
            Self::WakesInThePast => None,
            Self::TransmitsForEver => Some(Vec::new()),
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        match self {
            Self::WakesInThePast => Some(Instant::ZERO),
            Self::TransmitsForEver => None,
        }
    }
}

#[test]
#[should_panic(
    expected = "port 1 never rests: 250000 steps at 1.000000 s, the last time it \
                           asked for a time-out that is already due"
)]
fn a_station_that_wakes_in_the_past_is_named() {
    let mut lan = Lan::new(1);
    let [_, culprit] = [US, PEER].map(|n| lan.add_port(mac(n)));
    lan.advance_to(Instant::from_secs(1));
    lan.run_for(millis(1), &mut [(culprit, &mut Restless::WakesInThePast)]);
}

#[test]
#[should_panic(
    expected = "port 0 never rests: 250000 steps at 0.000000 s, the last time it \
                           transmitted"
)]
fn a_station_that_transmits_for_ever_is_named() {
    let mut lan = Lan::new(1);
    let culprit = lan.add_port(mac(US));
    lan.run_for(millis(1), &mut [(culprit, &mut Restless::TransmitsForEver)]);
}

/// Sends back every frame that it gets.
struct Echo(Vec<Vec<u8>>);

impl Station for Echo {
    fn receive(&mut self, _now: Instant, frame: &[u8]) {
        self.0.push(frame.to_vec());
    }

    fn handle_timeout(&mut self, _now: Instant) {}

    fn poll_transmit(&mut self, _now: Instant) -> Option<Vec<u8>> {
        self.0.pop()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }
}

#[test]
#[should_panic(expected = "never rests")]
fn two_stations_that_echo_each_other_are_stopped() {
    let mut lan = Lan::new(1);
    let [left, right] = [US, PEER].map(|n| lan.add_port(mac(n)));
    lan.send(left, &broadcast(who_has(ip(NOBODY))));
    let [mut one, mut two] = [Echo(Vec::new()), Echo(Vec::new())];
    lan.run_for(millis(1), &mut [(left, &mut one), (right, &mut two)]);
}
