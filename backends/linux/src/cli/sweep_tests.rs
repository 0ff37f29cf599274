use std::collections::BinaryHeap;

use super::*;
use std::cmp::Reverse;
use whohas::sim::Rng;
use whohas::wire::{ARP_FRAME_LEN, EthernetFrame, HardwareTypes};

const US: UnicastMac = mac(1);
const OUR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

const fn mac(last: u8) -> UnicastMac {
    match UnicastMac::new([2, 0, 0, 0, 0, last]) {
        Ok(mac) => mac,
        Err(_) => unreachable!(),
    }
}

fn ip(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(OUR_IP.to_bits() + n)
}

const PLAN: Plan = Plan {
    mac: US,
    source: Some(OUR_IP),
    repeats: 1,
    retries: 3,
    patience: Duration::from_millis(100),
    timeout: Duration::from_secs(1),
};

/// A segment in virtual time, with hosts that answer after a while and frames that are lost.
struct Segment {
    live: Vec<u32>,
    delay: Duration,
    /// So many frames are lost on the way there and on the way back.
    loss: f64,
    rng: Rng,
    requests: Vec<(Instant, Ipv4Addr)>,
}

impl Segment {
    fn new(live: impl IntoIterator<Item = u32>) -> Self {
        Self {
            live: live.into_iter().collect(),
            delay: Duration::from_micros(300),
            loss: 0.0,
            rng: Rng::new(7),
            requests: Vec::new(),
        }
    }

    /// Runs the sweep to its end; answers how long it took.
    fn run(&mut self, sweep: &mut Sweep) -> Instant {
        let mut answers = BinaryHeap::new();
        let mut now = Instant::ZERO;
        loop {
            sweep.handle_timeout(now);
            while let Some(packet) = next_request(sweep, now) {
                self.requests.push((now, packet.target_ip));
                let live = self.live.iter().any(|&n| ip(n) == packet.target_ip);
                if live && !self.lost() && !self.lost() {
                    answers.push(Reverse((now + self.delay, packet.target_ip)));
                }
            }
            if sweep.is_done() {
                return now;
            }
            let arrival = answers.peek().map(|Reverse((at, _))| *at);
            let deadline = sweep.poll_timeout();
            let next = arrival.into_iter().chain(deadline).min();
            now = now.max(next.expect("something is waited for"));
            if arrival.is_some_and(|at| at <= now)
                && let Some(Reverse((_, from))) = answers.pop()
            {
                let packet = ArpPacket::request(US, OUR_IP, from).answered_by(mac(9));
                sweep.receive(now, &packet);
            }
        }
    }

    fn lost(&mut self) -> bool {
        self.rng.chance(self.loss)
    }
}

fn next_request(sweep: &mut Sweep, now: Instant) -> Option<ArpPacket> {
    let mut buffer = [0; ARP_FRAME_LEN];
    sweep.emit(now, &mut buffer)?;
    let frame = EthernetFrame::parse(&buffer).unwrap();
    assert!(frame.header.destination.is_broadcast());
    Some(ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).unwrap())
}

fn lab(addresses: u32) -> Sweep {
    let all = (1..=addresses).map(ip).collect();
    Sweep::new(PLAN, Pacer::for_link(Some(10_000)), all)
}

#[test]
fn everybody_is_found_and_only_the_silent_are_asked_again() {
    let mut segment = Segment::new([3, 5, 200]);
    let mut sweep = lab(254);
    let end = segment.run(&mut sweep);
    let (addresses, found, sent) = sweep.counts();
    assert_eq!((addresses, found, sent), (254, 3, 254 + 251));
    assert_eq!(sweep.silent().count(), 251);
    assert!(end < Instant::from_millis(400), "{end}");
    for n in 1..=254 {
        let times: Vec<_> = segment
            .requests
            .iter()
            .filter(|(_, to)| *to == ip(n))
            .collect();
        assert_eq!(
            times.len(),
            2 - usize::from(segment.live.contains(&n)),
            "{n}"
        );
        if let [first, second] = times[..] {
            assert!(second.0 - first.0 >= PLAN.patience);
        }
    }
}

#[test]
fn a_large_network_on_a_fast_link_takes_less_than_a_second() {
    let mut segment = Segment::new((0..400).map(|n| 1 + n * 163));
    let mut sweep = lab(65_534);
    let end = segment.run(&mut sweep);
    assert_eq!(sweep.counts().1, 400);
    assert!(end < Instant::from_millis(950), "{end}");
}

#[test]
fn when_all_have_answered_it_is_over() {
    let mut segment = Segment::new(1..=3);
    let mut sweep = lab(3);
    let end = segment.run(&mut sweep);
    assert_eq!(sweep.counts(), (3, 3, 3));
    assert!(end < Instant::from_millis(10), "{end}");
    assert!(lab(0).is_done());
}

#[test]
fn under_loss_it_goes_on_as_long_as_that_finds_somebody() {
    let mut missed = 0;
    for seed in 0..20 {
        let mut segment = Segment::new((0..100).map(|n| 1 + 2 * n));
        segment.rng = Rng::new(seed);
        segment.loss = 0.1;
        let mut sweep = lab(254);
        segment.run(&mut sweep);
        missed += 100 - sweep.counts().1;
        let most = segment
            .requests
            .iter()
            .filter(|(_, to)| *to == ip(250))
            .count();
        assert!((3..=4).contains(&most), "passes: {most}");
    }
    // Each is missed in four passes with a chance of 0.0013.
    assert!(missed <= 12, "{missed} of 2,000");
}

#[test]
fn no_retries_means_one_request() {
    let plan = Plan {
        repeats: 0,
        retries: 0,
        ..PLAN
    };
    let mut sweep = Sweep::new(plan, Pacer::fixed(1_000), (1..=50).map(ip).collect());
    let mut segment = Segment::new([]);
    segment.run(&mut sweep);
    assert_eq!(sweep.counts(), (50, 0, 50));
}

/// A phone that sleeps looks into its access point's beacons three times a second.
#[test]
fn a_host_that_sleeps_for_300_ms_is_not_missed() {
    for (micros, found) in [(300_000, 1), (300_001, 0)] {
        let mut segment = Segment::new([1]);
        segment.delay = Duration::from_micros(micros);
        let mut sweep = lab(1);
        segment.run(&mut sweep);
        assert_eq!(sweep.counts(), (1, found, 2), "{micros}");
    }
}

#[test]
fn slow_answers_are_waited_for_up_to_the_timeout() {
    let mut segment = Segment::new([1, 2]);
    segment.delay = Duration::from_millis(90);
    let mut sweep = lab(3);
    let end = segment.run(&mut sweep);
    // Twice as patient as the slowest answer asks for: 3 x 90 ms, for each of two passes.
    assert_eq!(sweep.counts(), (3, 2, 4));
    assert!(end >= Instant::from_millis(2 * 270), "{end}");
    assert!(end < Instant::from_millis(2 * 270 + 20), "{end}");

    let mut impatient = Sweep::new(
        Plan {
            timeout: Duration::from_millis(50),
            patience: Duration::from_millis(50),
            ..PLAN
        },
        Pacer::fixed(1_000),
        vec![ip(1)],
    );
    let mut segment = Segment::new([1]);
    segment.delay = Duration::from_millis(120);
    segment.run(&mut impatient);
    assert_eq!(impatient.counts().1, 0);
}

#[test]
fn a_second_station_is_told_once_and_ourselves_never() {
    let mut sweep = lab(10);
    assert!(next_request(&mut sweep, Instant::ZERO).is_some());
    let from = |station| ArpPacket::request(US, OUR_IP, ip(1)).answered_by(station);
    let now = Instant::from_micros(700);
    assert_eq!(sweep.receive(now, &from(US)), None);
    let first = sweep.receive(now, &from(mac(2))).unwrap();
    assert_eq!((first.mac, first.besides), (mac(2), None));
    assert_eq!(first.after, Duration::from_micros(700));
    assert_eq!(sweep.receive(now, &from(mac(2))), None);
    let second = sweep.receive(now, &from(mac(3))).unwrap();
    assert_eq!((second.mac, second.besides), (mac(3), Some(mac(2))));
    assert_eq!(sweep.receive(now, &from(mac(3))), None);
    assert_eq!(sweep.counts().1, 1);
    let unasked = ArpPacket::request(US, OUR_IP, ip(9)).answered_by(mac(2));
    assert_eq!(sweep.receive(now, &unasked), None, "not asked yet");
}

#[test]
fn who_answers_with_ever_new_stations_fills_no_memory() {
    let mut sweep = lab(1);
    assert!(next_request(&mut sweep, Instant::ZERO).is_some());
    for n in 0..100_000_u32 {
        let [a, b, c, d] = n.to_be_bytes();
        let liar = UnicastMac::new([2, 1, a, b, c, d]).unwrap();
        let answer = ArpPacket::request(US, OUR_IP, ip(1)).answered_by(liar);
        sweep.receive(Instant::ZERO, &answer);
    }
    assert_eq!(sweep.doubles.len(), MOST_DOUBLES);
}

#[test]
fn for_our_own_address_it_probes_and_announces_nothing() {
    let all = vec![OUR_IP, ip(1)];
    let mut sweep = Sweep::new(PLAN, Pacer::fixed(1_000_000), all);
    let [own, other] = [0, 1].map(|micros| {
        let request = next_request(&mut sweep, Instant::from_micros(micros));
        request.expect("a request for each")
    });
    assert!(own.is_probe() && own.target_ip == OUR_IP, "{own:?}");
    assert_eq!(other.sender_ip, OUR_IP);
    // Somebody else has it: he would not answer to questions from his own address.
    let now = Instant::from_micros(2);
    assert!(sweep.receive(now, &own.answered_by(mac(9))).is_some());
    let again = Instant::from_millis(101);
    sweep.handle_timeout(again);
    let repeated = next_request(&mut sweep, again).expect("the other has not answered");
    assert!(
        repeated.is_probe() && repeated.target_ip == ip(1),
        "{repeated:?}"
    );
}

#[test]
fn a_polite_rate_is_kept_to_the_request() {
    let mut segment = Segment::new([]);
    let plan = Plan {
        repeats: 0,
        retries: 0,
        ..PLAN
    };
    let mut sweep = Sweep::new(plan, Pacer::fixed(200), (1..=101).map(ip).collect());
    segment.run(&mut sweep);
    let [first, .., last] = &segment.requests[..] else {
        panic!("no requests");
    };
    // One is free, a second may be saved up.
    let expected = Duration::from_millis(500);
    let took = last.0 - first.0;
    assert!(
        took <= expected && took >= expected - Duration::from_millis(10),
        "{took:?}"
    );
}

#[test]
fn a_link_that_chokes_is_given_half_and_a_rest() {
    let mut pacer = Pacer::for_link(Some(10_000));
    let mut sent = [0; 3];
    for (window, sent) in sent.iter_mut().enumerate() {
        let start = window as u64 * 100_000;
        if window == 2 {
            pacer.choked(Instant::from_micros(start));
        }
        for micros in (start..start + 100_000).step_by(100) {
            while pacer.may_send(Instant::from_micros(micros)) {
                pacer.sent();
                *sent += 1;
            }
        }
    }
    let [_, full, half] = sent;
    assert!((19_000..=20_500).contains(&full), "{sent:?}");
    assert!((9_500..=10_100).contains(&half), "{sent:?}");
}
