//! The client and servers that lie, on a network that loses, doubles and holds back.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use whohas::dhcp::client::{Client, Config, Event, Lease, MESSAGE_LEN, State};
use whohas::wire::dhcp::{
    ClientHardware, DhcpHeader, DhcpOp, Message, MessageBuilder, MessageType, OptionCode,
};
use whohas::{Instant, Prefix, UnicastMac};

/// What happens to the client.
#[derive(Clone, Debug)]
enum Step {
    Sleep(Duration),
    /// Time goes to when the client wants something.
    Wait,
    /// A server answers what was last heard of the client.
    Answer(Answer),
    /// Bytes from anybody.
    Noise(Vec<u8>),
    Free,
    Conflict,
    Link(bool),
    Start(bool),
    Stop,
    Release,
}

/// An answer: a good one, but for this.
#[derive(Clone, Debug)]
struct Answer {
    kind: MessageType,
    ip: Ipv4Addr,
    server: Ipv4Addr,
    mask: u32,
    lease: u32,
    times: Option<(u32, u32)>,
    wrong_xid: bool,
    wrong_hardware: bool,
    /// Bytes that are changed.
    damage: Vec<(usize, u8)>,
}

fn ips() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        6 => (1..5_u8).prop_map(|d| Ipv4Addr::new(10, 0, 0, d)),
        1 => any::<u32>().prop_map(Ipv4Addr::from),
        1 => Just(Ipv4Addr::UNSPECIFIED),
        1 => Just(Ipv4Addr::BROADCAST),
        1 => Just(Ipv4Addr::LOCALHOST),
    ]
}

prop_compose! {
    fn answers()(
        kind in prop_oneof![
            3 => Just(MessageType::Offer),
            3 => Just(MessageType::Ack),
            1 => Just(MessageType::Nak),
            1 => Just(MessageType::Discover),
        ],
        ip in ips(),
        server in prop_oneof![4 => Just(Ipv4Addr::new(10, 0, 0, 254)), 1 => ips()],
        mask in prop_oneof![6 => Just(0xffff_ff00_u32), 1 => any::<u32>()],
        lease in prop_oneof![4 => 1..10_000_u32, 1 => Just(0), 1 => Just(u32::MAX)],
        times in proptest::option::of(any::<(u32, u32)>()),
        wrong_xid in proptest::bool::weighted(0.1),
        wrong_hardware in proptest::bool::weighted(0.1),
        damage in prop_oneof![4 => Just(Vec::new()), 1 => vec((0..300_usize, any::<u8>()), 1..4)],
    ) -> Answer {
        Answer { kind, ip, server, mask, lease, times, wrong_xid, wrong_hardware, damage }
    }
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..20_000_000_u64).prop_map(|micros| Step::Sleep(Duration::from_micros(micros))),
        6 => Just(Step::Wait),
        12 => answers().prop_map(Step::Answer),
        1 => vec(any::<u8>(), 0..600).prop_map(Step::Noise),
        5 => Just(Step::Free),
        1 => Just(Step::Conflict),
        1 => any::<bool>().prop_map(Step::Link),
        1 => any::<bool>().prop_map(Step::Start),
        1 => Just(Step::Stop),
        1 => Just(Step::Release),
    ]
}

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

struct Rig {
    client: Client<'static>,
    now: Instant,
    /// The last that it has said.
    heard: Option<(u32, Option<Ipv4Addr>)>,
    /// What its events say.
    checking: Option<Prefix>,
    bound: bool,
    /// When it last declined an address.
    declined: Option<Instant>,
    sent: u64,
}

impl Rig {
    fn new() -> Self {
        let mac = UnicastMac::new(MAC).expect("a station's");
        Self {
            client: Client::new(mac, Config::new(), 7),
            now: Instant::from_secs(10),
            heard: None,
            checking: None,
            bound: false,
            declined: None,
            sent: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Sleep(time) => self.sleep(self.now + *time),
            Step::Wait => {
                if let Some(due) = self.client.poll_timeout() {
                    self.sleep(due.max(self.now));
                }
            }
            Step::Answer(answer) => {
                let bytes = self.bytes_of(answer);
                let _ = self.client.receive(self.now, &bytes);
            }
            Step::Noise(bytes) => {
                let _ = self.client.receive(self.now, bytes);
            }
            Step::Free => self.client.free(self.now),
            Step::Conflict => self.client.conflict(self.now),
            Step::Link(up) => self.client.link_changed(self.now, *up),
            Step::Start(known) => {
                let known = known.then_some(Ipv4Addr::new(10, 0, 0, 2));
                self.client.start(self.now, known);
            }
            Step::Stop => {
                self.client.stop();
                self.stopped();
            }
            Step::Release => {
                self.client.release();
                self.stopped();
            }
        }
        self.drain();
        self.check();
    }

    fn stopped(&mut self) {
        assert_eq!(self.client.state(), State::Stopped);
        self.checking = None;
        self.bound = false;
    }

    fn sleep(&mut self, until: Instant) {
        self.now = until;
        self.client.handle_timeout(until);
        if let Some(due) = self.client.poll_timeout() {
            assert!(due > self.now, "what is due was done");
        }
    }

    fn bytes_of(&self, answer: &Answer) -> Vec<u8> {
        let (xid, requested) = self.heard.unwrap_or((0, None));
        let mut mac = MAC;
        mac[5] ^= u8::from(answer.wrong_hardware);
        let header = DhcpHeader {
            op: DhcpOp::Reply,
            your_ip: match answer.kind {
                MessageType::Ack => requested.unwrap_or(answer.ip),
                _ => answer.ip,
            },
            hardware: ClientHardware::new(1, &mac).expect("short enough"),
            ..DhcpHeader::request(
                xid ^ u32::from(answer.wrong_xid),
                UnicastMac::new(MAC).expect("a station's"),
            )
        };
        let mut buffer = [0; 600];
        let mut message = MessageBuilder::new(&mut buffer, &header, answer.kind).unwrap();
        message
            .address(OptionCode::SERVER_ID, answer.server)
            .unwrap();
        let numbers = [
            (OptionCode::SUBNET_MASK, answer.mask),
            (OptionCode::LEASE_TIME, answer.lease),
        ];
        let times = answer
            .times
            .map(|(t1, t2)| [(OptionCode(58), t1), (OptionCode(59), t2)]);
        for (code, number) in numbers.into_iter().chain(times.into_iter().flatten()) {
            message.option(code, &number.to_be_bytes()).unwrap();
        }
        let len = message.finish();
        for (at, byte) in &answer.damage {
            buffer[*at] = *byte;
        }
        buffer[..len].to_vec()
    }

    fn drain(&mut self) {
        let mut buffer = [0; MESSAGE_LEN];
        while let Some(transmit) = self.client.poll_transmit(&mut buffer) {
            self.sent += 1;
            let message = Message::parse(&buffer[..transmit.len]).expect("a legal message");
            let header = message.header();
            assert_eq!(header.client_ip, transmit.source);
            if message.kind() == MessageType::Discover {
                assert!(transmit.destination.is_broadcast());
                if let Some(declined) = self.declined {
                    assert!(self.now - declined >= Duration::from_secs(10));
                }
            }
            if matches!(message.kind(), MessageType::Discover | MessageType::Request) {
                let meant = message.requested_ip().unwrap();
                let from = (!header.client_ip.is_unspecified()).then_some(header.client_ip);
                self.heard = Some((header.xid, meant.or(from)));
            }
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Check(prefix) => {
                    assert!(!self.bound);
                    self.checking = Some(prefix);
                }
                Event::Bound => {
                    assert!(self.checking.take().is_some(), "nothing was checked");
                    self.bound = true;
                    self.declined = None;
                }
                Event::Renewed => assert!(self.bound),
                Event::Lost(_) => {
                    assert!(self.bound || self.checking.is_some());
                    self.bound = false;
                    self.checking = None;
                }
                Event::Declined(_) => {
                    self.checking = None;
                    self.declined = Some(self.now);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Whatever was said, what the client believes can be true.
    fn check(&self) {
        let client = &self.client;
        let counters = client.counters();
        assert_eq!(counters.received, counters.accepted + counters.dropped());
        assert_eq!(client.lease().is_some(), self.bound, "{:?}", client.state());
        assert_eq!(client.state() == State::Checking, self.checking.is_some());
        assert_eq!(counters.events_lost, 0);
        let prefix = client.lease().map(Lease::prefix).or(self.checking);
        if let Some(prefix) = prefix {
            let ip = prefix.ip();
            assert!(!ip.is_unspecified() && !ip.is_loopback());
            assert!(!ip.is_multicast() && !ip.is_broadcast());
            assert_ne!(Some(ip), prefix.broadcast());
            assert!((8..=32).contains(&prefix.len()));
        }
        if let Some(lease) = client.lease() {
            assert_ne!(lease.ip(), lease.server());
        }
    }
}

proptest! {
    #[test]
    fn whatever_servers_say_the_client_keeps_to_its_rules(steps in vec(steps(), 0..200)) {
        let mut rig = Rig::new();
        rig.client.link_changed(rig.now, true);
        rig.client.start(rig.now, None);
        for step in &steps {
            rig.run(step);
        }
        // And then a good one comes: nothing has left it stuck.
        rig.client.link_changed(rig.now, true);
        rig.client.start(rig.now, None);
        rig.drain();
        for _ in 0..200 {
            rig.run(&Step::Free);
            if rig.bound {
                break;
            }
            rig.run(&Step::Wait);
            for kind in [MessageType::Offer, MessageType::Ack] {
                rig.run(&Step::Answer(good(kind)));
            }
        }
        prop_assert!(rig.bound, "{:?}", rig.client.state());
    }

    /// On the average it speaks no more often than every few seconds.
    #[test]
    fn no_server_makes_the_client_flood_the_network(kinds in vec(any::<bool>(), 1..40)) {
        let mut rig = Rig::new();
        rig.client.link_changed(rig.now, true);
        rig.client.start(rig.now, None);
        let began = rig.now;
        for nak in kinds.iter().cycle().take(400) {
            rig.run(&Step::Wait);
            rig.run(&Step::Answer(good(MessageType::Offer)));
            let kind = if *nak { MessageType::Nak } else { MessageType::Ack };
            rig.run(&Step::Answer(good(kind)));
            rig.run(&Step::Conflict);
        }
        let seconds = (rig.now - began).as_secs();
        prop_assert!(rig.sent < 20 + seconds, "{} in {seconds} s", rig.sent);
    }
}

fn good(kind: MessageType) -> Answer {
    Answer {
        kind,
        ip: Ipv4Addr::new(10, 0, 0, 9),
        server: Ipv4Addr::new(10, 0, 0, 254),
        mask: 0xffff_ff00,
        lease: 3_600,
        times: None,
        wrong_xid: false,
        wrong_hardware: false,
        damage: Vec::new(),
    }
}
