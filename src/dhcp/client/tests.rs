//! The client in virtual time, with a server that says what the test wants.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::vec::Vec;

use super::*;
use crate::Prefix;
use crate::wire::dhcp::{DHCP_MAX_LEN, DhcpHeader, MessageBuilder, OptionCode};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 253);
const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const MICRO: Duration = Duration::from_micros(1);

/// Unlike the defaults, and nothing at random.
const TIMING: Timing = Timing {
    start_wait: Duration::ZERO,
    first_retry: Duration::from_secs(3),
    last_retry: Duration::from_secs(20),
    retry_jitter: Duration::ZERO,
    requests: 3,
    reboots: 1,
    renew_retry: Duration::from_secs(50),
    after_decline: Duration::from_secs(11),
    many_declines: 2,
    after_many_declines: Duration::from_secs(70),
};

/// A client, its time, and what it has sent.
struct Rig {
    client: Client<'static>,
    now: Instant,
}

/// What a client has said.
#[derive(Debug, PartialEq)]
struct Said {
    kind: MessageType,
    xid: u32,
    requested: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    broadcast_flag: bool,
    transmit: Transmit,
}

impl Rig {
    fn new() -> Self {
        Self::with(Config {
            timing: TIMING,
            ..Config::new()
        })
    }

    fn with(config: Config<'static>) -> Self {
        let mut client = Client::new(UnicastMac::new(MAC).unwrap(), config, 42);
        let now = Instant::from_secs(1_000);
        client.link_changed(now, true);
        Self { client, now }
    }

    fn start(known: Option<Ipv4Addr>) -> Self {
        let mut rig = Self::new();
        rig.client.start(rig.now, known);
        rig.sleep(Duration::ZERO);
        rig
    }

    fn sleep(&mut self, duration: Duration) {
        self.now += duration;
        self.client.handle_timeout(self.now);
    }

    fn said(&mut self) -> Option<Said> {
        let mut buffer = [0xca; MESSAGE_LEN];
        let transmit = self.client.poll_transmit(&mut buffer)?;
        let message = Message::parse(&buffer[..transmit.len]).expect("a legal message");
        let header = message.header();
        assert_eq!(header.op, DhcpOp::Request);
        assert_eq!(header.hardware.mac(), UnicastMac::new(MAC).ok());
        let from = header.client_ip;
        assert_eq!(from, transmit.source);
        Some(Said {
            kind: message.kind(),
            xid: header.xid,
            requested: message.requested_ip().unwrap(),
            server: message.server_id().unwrap(),
            broadcast_flag: header.broadcast,
            transmit,
        })
    }

    #[track_caller]
    fn says(&mut self, kind: MessageType) -> Said {
        let said = self.said().expect("it says something");
        assert_eq!(said.kind, kind);
        assert_eq!(self.said(), None, "and nothing else");
        said
    }

    /// It says nothing until exactly this much later.
    #[track_caller]
    fn says_after(&mut self, wait: Duration, kind: MessageType) -> Said {
        assert_eq!(self.client.poll_timeout(), Some(self.now + wait));
        self.sleep(wait - MICRO);
        assert_eq!(self.said(), None);
        self.sleep(MICRO);
        self.says(kind)
    }

    fn hear(&mut self, reply: &Reply) -> Result<(), DropReason> {
        self.client.receive(self.now, &reply.bytes())
    }

    fn reply(&self, kind: MessageType) -> Reply {
        let xid = self
            .client
            .phase
            .clone()
            .asking()
            .map_or(0, |asking| asking.xid);
        Reply::new(kind, xid)
    }

    #[track_caller]
    fn answer(&mut self, kind: MessageType) {
        let reply = self.reply(kind);
        assert_eq!(self.hear(&reply), Ok(()));
    }

    fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// From the beginning to an address that is granted, but not known to be free.
    fn checking() -> Self {
        let mut rig = Self::start(None);
        rig.says(MessageType::Discover);
        rig.answer(MessageType::Offer);
        rig.says(MessageType::Request);
        rig.answer(MessageType::Ack);
        assert_eq!(rig.events(), [Event::Check(prefix())]);
        rig
    }

    fn bound() -> Self {
        let mut rig = Self::checking();
        rig.client.free(rig.now);
        assert_eq!(rig.events(), [Event::Bound]);
        rig
    }

    /// Into every state there is.
    fn in_state(state: State) -> Self {
        let mut rig = match state {
            State::Stopped => Self::new(),
            State::LinkDown => {
                let mut rig = Self::start(None);
                rig.client.link_changed(rig.now, false);
                rig
            }
            State::Init => {
                let mut rig = Self::checking();
                rig.client.conflict(rig.now);
                rig.says(MessageType::Decline);
                rig
            }
            State::Selecting => Self::start(None),
            State::Requesting => {
                let mut rig = Self::start(None);
                rig.answer(MessageType::Offer);
                rig
            }
            State::Rebooting => Self::start(Some(IP)),
            State::Checking => Self::checking(),
            State::Bound => Self::bound(),
            State::Renewing => {
                let mut rig = Self::bound();
                rig.sleep(Duration::from_secs(500));
                rig
            }
            State::Rebinding => {
                let mut rig = Self::bound();
                rig.sleep(Duration::from_secs(875));
                rig
            }
        };
        assert_eq!(rig.client.state(), state);
        rig.said();
        rig.events();
        rig
    }
}

const STATES: [State; 10] = [
    State::Stopped,
    State::LinkDown,
    State::Init,
    State::Selecting,
    State::Requesting,
    State::Rebooting,
    State::Checking,
    State::Bound,
    State::Renewing,
    State::Rebinding,
];

fn prefix() -> Prefix {
    Prefix::new(IP, 24).unwrap()
}

/// What a server says: a lease of 1,000 s, unless the test wants something else.
#[derive(Clone)]
struct Reply {
    header: DhcpHeader,
    kind: MessageType,
    options: Vec<(u8, Vec<u8>)>,
}

impl Reply {
    fn new(kind: MessageType, xid: u32) -> Self {
        let header = DhcpHeader {
            op: DhcpOp::Reply,
            your_ip: IP,
            ..DhcpHeader::request(xid, UnicastMac::new(MAC).unwrap())
        };
        let reply = Self {
            header,
            kind,
            options: Vec::new(),
        };
        let reply = reply.with(54, &SERVER.octets());
        if kind == MessageType::Nak {
            return reply;
        }
        reply
            .with(51, &1_000_u32.to_be_bytes())
            .with(1, &[255, 255, 255, 0])
            .with(3, &SERVER.octets())
    }

    /// With this option, instead of the one that it has.
    fn with(mut self, code: u8, value: &[u8]) -> Self {
        self = self.without(code);
        self.options.push((code, value.to_vec()));
        self
    }

    fn without(mut self, code: u8) -> Self {
        self.options.retain(|(other, _)| *other != code);
        self
    }

    fn of(mut self, ip: Ipv4Addr) -> Self {
        self.header.your_ip = ip;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut buffer = [0; 2 * DHCP_MAX_LEN];
        let mut message = MessageBuilder::new(&mut buffer, &self.header, self.kind).unwrap();
        for (code, value) in &self.options {
            message.option(OptionCode(*code), value).unwrap();
        }
        let len = message.finish();
        buffer[..len].to_vec()
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn from_discover_to_bound() {
    let mut rig = Rig::start(None);
    let discover = rig.says(MessageType::Discover);
    let to_all = |len| Transmit {
        len,
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::BROADCAST,
    };
    assert_eq!(discover.transmit, to_all(300));
    assert!(discover.broadcast_flag);
    assert_eq!((discover.requested, discover.server), (None, None));
    rig.answer(MessageType::Offer);
    let request = rig.says(MessageType::Request);
    assert_eq!(request.xid, discover.xid);
    assert_eq!(request.transmit, to_all(300));
    assert!(request.broadcast_flag);
    let meant = (request.requested, request.server);
    assert_eq!(meant, (Some(IP), Some(SERVER)));
    rig.answer(MessageType::Ack);
    assert_eq!(rig.client.state(), State::Checking);
    assert_eq!(rig.client.lease(), None, "not ours yet");
    assert_eq!(rig.events(), [Event::Check(prefix())]);
    rig.client.free(rig.now);
    assert_eq!(rig.events(), [Event::Bound]);
    let lease = rig.client.lease().expect("it is ours");
    assert_eq!(lease.prefix(), prefix());
    assert_eq!(lease.server(), SERVER);
    assert_eq!(lease.routers().first(), Some(SERVER));
    assert_eq!(lease.duration(), Some(secs(1_000)));
    let counters = rig.client.counters();
    assert_eq!(
        (counters.sent, counters.accepted, counters.bound),
        (2, 2, 1)
    );
}

/// RFC 2131 section 4.1.
#[test]
fn servers_are_looked_for_at_doubling_intervals_for_ever() {
    let mut rig = Rig::start(None);
    let first = rig.says(MessageType::Discover);
    for wait in [3, 6, 12, 20, 20, 20] {
        let again = rig.says_after(secs(wait), MessageType::Discover);
        assert_eq!(again.xid, first.xid);
    }
}

#[test]
fn rfc_2131_waits_4_8_16_32_64_and_64_seconds_give_or_take_one() {
    let mut waits = Vec::new();
    for seed in 0..40 {
        let mac = UnicastMac::new(MAC).unwrap();
        let mut client = Client::new(mac, Config::new(), seed);
        client.link_changed(Instant::ZERO, true);
        client.start(Instant::ZERO, None);
        let mut last = client.poll_timeout().unwrap();
        assert!(last <= Instant::from_secs(1), "{last}");
        client.handle_timeout(last);
        for (n, expected) in [4, 8, 16, 32, 64, 64].into_iter().enumerate() {
            let next = client.poll_timeout().unwrap();
            let wait = next - last;
            let range = secs(expected - 1)..=secs(expected + 1);
            assert!(range.contains(&wait), "{wait:?}");
            if n == 0 {
                waits.push(wait);
            }
            client.handle_timeout(next);
            last = next;
        }
    }
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 35, "they differ");
}

#[test]
fn an_offer_that_comes_to_nothing_is_given_up_and_servers_are_looked_for() {
    let mut rig = Rig::start(None);
    let discover = rig.says(MessageType::Discover);
    rig.answer(MessageType::Offer);
    rig.says(MessageType::Request);
    for wait in [3, 6] {
        rig.says_after(secs(wait), MessageType::Request);
    }
    let anew = rig.says_after(secs(12), MessageType::Discover);
    assert_ne!(anew.xid, discover.xid);
    // The next time it waits before it begins anew.
    rig.answer(MessageType::Offer);
    rig.says(MessageType::Request);
    for wait in [3, 6] {
        rig.says_after(secs(wait), MessageType::Request);
    }
    rig.sleep(secs(12));
    assert_eq!(rig.client.state(), State::Init);
    rig.says_after(secs(3), MessageType::Discover);
}

/// RFC 2131 section 3.2.
#[test]
fn a_known_address_is_asked_for_first() {
    let mut rig = Rig::start(Some(IP));
    let request = rig.says(MessageType::Request);
    assert_eq!((request.requested, request.server), (Some(IP), None));
    assert!(request.broadcast_flag);
    assert_eq!(request.transmit.source, Ipv4Addr::UNSPECIFIED);
    rig.answer(MessageType::Ack);
    assert_eq!(rig.events(), [Event::Check(prefix())]);
}

#[test]
fn a_known_address_that_nobody_answers_for_is_wished_for() {
    let mut rig = Rig::start(Some(IP));
    rig.says(MessageType::Request);
    let discover = rig.says_after(secs(3), MessageType::Discover);
    assert_eq!(discover.requested, Some(IP));
}

#[test]
fn a_known_address_that_is_refused_is_forgotten() {
    let mut rig = Rig::start(Some(IP));
    rig.says(MessageType::Request);
    rig.answer(MessageType::Nak);
    let discover = rig.says(MessageType::Discover);
    assert_eq!(discover.requested, None);
    assert_eq!(rig.events(), []);
    assert_eq!(rig.client.counters().refused, 1);
}

#[test]
fn a_server_that_offers_and_refuses_is_asked_ever_more_rarely() {
    let mut rig = Rig::start(None);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let before = rig.now;
        let due = rig.client.poll_timeout().unwrap();
        if rig.client.state() == State::Init {
            rig.sleep(due - before);
        }
        rig.says(MessageType::Discover);
        waits.push((rig.now - before).as_secs());
        rig.answer(MessageType::Offer);
        rig.says(MessageType::Request);
        rig.answer(MessageType::Nak);
    }
    assert_eq!(waits, [0, 0, 3, 6, 12, 20]);
}

/// RFC 2131 section 4.4.5.
#[test]
fn a_lease_is_renewed_at_half_its_time_and_asked_of_everybody_at_seven_eighths() {
    let mut rig = Rig::bound();
    let renew = rig.says_after(secs(500), MessageType::Request);
    assert_eq!(rig.client.state(), State::Renewing);
    let to_server = Transmit {
        len: 300,
        source: IP,
        destination: SERVER,
    };
    assert_eq!(renew.transmit, to_server);
    assert_eq!((renew.requested, renew.server), (None, None));
    assert!(!renew.broadcast_flag);
    // Half of the 375 s up to T2, of what is left then, and not less than 50 s.
    let again = rig.says_after(Duration::from_micros(187_500_000), MessageType::Request);
    assert_ne!(again.xid, renew.xid);
    rig.says_after(Duration::from_micros(93_750_000), MessageType::Request);
    rig.says_after(secs(50), MessageType::Request);
    let rebind = rig.says_after(Duration::from_micros(43_750_000), MessageType::Request);
    assert_eq!(rig.client.state(), State::Rebinding);
    let to_all = Transmit {
        destination: Ipv4Addr::BROADCAST,
        ..to_server
    };
    assert_eq!(rebind.transmit, to_all);
    rig.says_after(Duration::from_micros(62_500_000), MessageType::Request);
    rig.says_after(secs(50), MessageType::Request);
    let left = Duration::from_micros(12_500_000);
    assert_eq!(rig.client.poll_timeout(), Some(rig.now + left));
    rig.sleep(left - MICRO);
    assert_eq!(rig.client.state(), State::Rebinding);
    assert_eq!(rig.events(), []);
    rig.sleep(MICRO);
    assert_eq!(rig.events(), [Event::Lost(Loss::Expired)]);
    assert_eq!(rig.client.lease(), None);
    let discover = rig.says(MessageType::Discover);
    assert_eq!(discover.requested, Some(IP));
    assert_eq!(rig.client.counters().expired, 1);
}

#[test]
fn a_renewed_lease_counts_from_its_request_and_brings_what_is_new() {
    for (wait, state) in [(500, State::Renewing), (875, State::Rebinding)] {
        let mut rig = Rig::bound();
        rig.sleep(secs(wait));
        rig.says(MessageType::Request);
        assert_eq!(rig.client.state(), state);
        rig.now += secs(2);
        let ack = rig.reply(MessageType::Ack).with(6, &OTHER.octets());
        assert_eq!(rig.hear(&ack), Ok(()));
        assert_eq!(rig.events(), [Event::Renewed]);
        let lease = rig.client.lease().expect("still ours");
        assert_eq!(lease.dns_servers().as_ref(), [OTHER]);
        rig.says_after(secs(498), MessageType::Request);
    }
}

#[test]
fn a_late_answer_to_an_earlier_plea_is_none_to_the_last() {
    let mut rig = Rig::bound();
    rig.sleep(secs(500));
    rig.says(MessageType::Request);
    let late = rig.reply(MessageType::Ack);
    rig.sleep(secs(200));
    rig.says(MessageType::Request);
    assert_eq!(rig.hear(&late), Err(DropReason::OtherTransaction));
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut rig = Rig::start(None);
    rig.answer(MessageType::Offer);
    let ack = rig.reply(MessageType::Ack).with(51, &[0xff; 4]);
    assert_eq!(rig.hear(&ack), Ok(()));
    rig.client.free(rig.now);
    assert_eq!(rig.client.state(), State::Bound);
    assert_eq!(rig.client.poll_timeout(), None);
    assert_eq!(rig.client.lease().unwrap().duration(), None);
}

#[test]
fn times_that_make_no_sense_are_halves_and_seven_eighths() {
    for (t1, t2, renews, rebinds) in [
        (None, None, 500, 875),
        (Some(100), Some(200), 100, 200),
        (Some(100), None, 100, 875),
        (None, Some(600), 500, 600),
        (None, Some(400), 500, 875),
        (Some(200), Some(200), 500, 875),
        (Some(900), None, 500, 875),
        (Some(100), Some(1_000), 500, 875),
        (Some(u32::MAX), Some(u32::MAX), 500, 875),
    ] {
        let mut rig = Rig::start(None);
        rig.answer(MessageType::Offer);
        let mut ack = rig.reply(MessageType::Ack);
        for (code, time) in [(58, t1), (59, t2)] {
            if let Some(time) = time {
                ack = ack.with(code, &u32::to_be_bytes(time));
            }
        }
        assert_eq!(rig.hear(&ack), Ok(()));
        rig.client.free(rig.now);
        let begun = rig.now;
        assert_eq!(rig.client.poll_timeout(), Some(begun + secs(renews)));
        rig.sleep(secs(rebinds) - MICRO);
        assert_eq!(rig.client.state(), State::Renewing, "{t1:?} {t2:?}");
        rig.sleep(MICRO);
        assert_eq!(rig.client.state(), State::Rebinding, "{t1:?} {t2:?}");
    }
}

/// RFC 2131 section 3.1 (5), RFC 5227 section 2.1.1.
#[test]
fn a_conflict_is_declined_and_nothing_is_asked_for_ten_seconds() {
    let mut rig = Rig::start(None);
    for wait in [11, 11, 70, 70] {
        rig.says(MessageType::Discover);
        rig.answer(MessageType::Offer);
        rig.says(MessageType::Request);
        rig.answer(MessageType::Ack);
        rig.events();
        rig.client.conflict(rig.now);
        assert_eq!(rig.events(), [Event::Declined(IP)]);
        let decline = rig.says(MessageType::Decline);
        let meant = (decline.requested, decline.server);
        assert_eq!(meant, (Some(IP), Some(SERVER)));
        assert_eq!(decline.transmit.source, Ipv4Addr::UNSPECIFIED);
        assert_eq!(decline.transmit.destination, Ipv4Addr::BROADCAST);
        assert!(!decline.broadcast_flag);
        assert_eq!(rig.client.poll_timeout(), Some(rig.now + secs(wait)));
        rig.sleep(secs(wait) - MICRO);
        assert_eq!(rig.said(), None);
        rig.sleep(MICRO);
        assert_eq!(rig.client.state(), State::Selecting);
    }
    let discover = rig.says(MessageType::Discover);
    assert_eq!(discover.requested, None, "not that one again");
    assert_eq!(rig.client.counters().declined, 4);
}

#[test]
fn no_link_and_no_owner_shortens_the_wait_after_a_decline() {
    for stopped in [false, true] {
        let mut rig = Rig::in_state(State::Init);
        let quiet = rig.client.poll_timeout();
        if stopped {
            rig.client.stop();
            rig.client.start(rig.now, None);
        } else {
            rig.client.link_changed(rig.now, false);
            rig.client.link_changed(rig.now, true);
        }
        assert_eq!(rig.client.poll_timeout(), quiet);
    }
}

#[test]
fn an_address_in_use_that_somebody_takes_is_lost_and_declined() {
    for state in [State::Bound, State::Renewing, State::Rebinding] {
        let mut rig = Rig::in_state(state);
        rig.client.conflict(rig.now);
        let events = [Event::Lost(Loss::Conflict), Event::Declined(IP)];
        assert_eq!(rig.events(), events);
        rig.says(MessageType::Decline);
        assert_eq!(rig.client.lease(), None);
    }
}

#[test]
fn news_of_an_address_that_nobody_checks_is_none() {
    for state in STATES {
        if matches!(state, State::Checking) {
            continue;
        }
        let mut rig = Rig::in_state(state);
        rig.client.free(rig.now);
        assert_eq!(rig.client.state(), state);
        assert_eq!(rig.events(), []);
        if rig.client.lease().is_none() {
            rig.client.conflict(rig.now);
            assert_eq!(rig.client.state(), state);
            assert_eq!(rig.said(), None);
        }
    }
}

#[test]
fn a_check_that_outlives_the_lease_is_called_off() {
    let mut rig = Rig::checking();
    rig.sleep(secs(1_000) - MICRO);
    assert_eq!(rig.client.state(), State::Checking);
    rig.sleep(MICRO);
    assert_eq!(rig.events(), [Event::Lost(Loss::Expired)]);
    rig.says(MessageType::Discover);
}

#[test]
fn without_a_link_the_address_is_lost_and_with_it_asked_for_again() {
    for state in [
        State::Checking,
        State::Bound,
        State::Renewing,
        State::Rebinding,
    ] {
        let mut rig = Rig::in_state(state);
        rig.client.link_changed(rig.now, false);
        assert_eq!(rig.client.state(), State::LinkDown);
        assert_eq!(rig.events(), [Event::Lost(Loss::LinkDown)]);
        assert_eq!(rig.client.poll_timeout(), None);
        rig.sleep(secs(100_000));
        assert_eq!(rig.said(), None);
        rig.client.link_changed(rig.now, true);
        rig.sleep(Duration::ZERO);
        let request = rig.says(MessageType::Request);
        assert_eq!((request.requested, request.server), (Some(IP), None));
        assert_eq!(rig.client.state(), State::Rebooting);
    }
}

#[test]
fn a_link_that_goes_before_an_answer_comes_begins_anew() {
    for state in [State::Selecting, State::Requesting] {
        let mut rig = Rig::in_state(state);
        rig.client.link_changed(rig.now, false);
        assert_eq!(rig.events(), []);
        rig.client.link_changed(rig.now, true);
        rig.sleep(Duration::ZERO);
        rig.says(MessageType::Discover);
    }
}

#[test]
fn an_address_given_back_is_told_to_its_server_and_no_other_is_wanted() {
    for state in STATES {
        let mut rig = Rig::in_state(state);
        let in_use = rig.client.lease().is_some();
        rig.client.release();
        assert_eq!(rig.client.state(), State::Stopped);
        assert_eq!(rig.events(), []);
        assert_eq!(rig.client.poll_timeout(), None);
        if in_use {
            let release = rig.says(MessageType::Release);
            assert_eq!((release.requested, release.server), (None, Some(SERVER)));
            assert_eq!(release.transmit.source, IP);
            assert_eq!(release.transmit.destination, SERVER);
        } else {
            assert_eq!(rig.said(), None);
        }
    }
}

/// Every message in every state: all but a few have no effect, and none is forgotten.
#[test]
fn in_every_state_every_message_is_accepted_where_rfc_2131_has_an_arrow_and_dropped_elsewhere() {
    use MessageType::*;
    for state in STATES {
        for kind in [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform] {
            let mut rig = Rig::in_state(state);
            let reply = rig.reply(kind);
            let before = *rig.client.counters();
            let result = rig.hear(&reply);
            let expected = match (state, kind) {
                (State::Selecting, Offer) => Some(State::Requesting),
                (State::Requesting | State::Rebooting, Ack) => Some(State::Checking),
                (State::Renewing | State::Rebinding, Ack) => Some(State::Bound),
                (
                    State::Requesting | State::Rebooting | State::Renewing | State::Rebinding,
                    Nak,
                ) => Some(State::Selecting),
                _ => None,
            };
            let after = *rig.client.counters();
            assert_eq!(after.received, before.received + 1);
            match expected {
                Some(next) => {
                    assert_eq!(result, Ok(()), "{state:?} {kind:?}");
                    assert_eq!(rig.client.state(), next, "{state:?} {kind:?}");
                    assert_eq!(after.accepted, before.accepted + 1);
                }
                None => {
                    assert_eq!(result, Err(DropReason::Unexpected), "{state:?} {kind:?}");
                    assert_eq!(rig.client.state(), state, "{state:?} {kind:?}");
                    assert_eq!(
                        after.drops(DropReason::Unexpected),
                        before.drops(DropReason::Unexpected) + 1
                    );
                    assert_eq!(rig.said(), None);
                    assert_eq!(rig.events(), []);
                }
            }
        }
    }
}

#[test]
fn a_refused_lease_is_lost_at_once() {
    for state in [State::Renewing, State::Rebinding] {
        let mut rig = Rig::in_state(state);
        rig.answer(MessageType::Nak);
        assert_eq!(rig.events(), [Event::Lost(Loss::Nak)]);
        let discover = rig.says(MessageType::Discover);
        assert_eq!(discover.requested, None);
    }
}

#[test]
fn what_is_for_others_or_about_something_else_has_no_effect() {
    type Change = fn(Reply) -> Reply;
    let cases: [(DropReason, Change); 8] = [
        (DropReason::OtherTransaction, |mut reply| {
            reply.header.xid ^= 1;
            reply
        }),
        (DropReason::OtherClient, |mut reply| {
            let other = UnicastMac::new([2, 0, 0, 0, 0, 2]).unwrap();
            reply.header.hardware = ClientHardware::ethernet(other);
            reply
        }),
        (DropReason::NotAReply, |mut reply| {
            reply.header.op = DhcpOp::Request;
            reply
        }),
        (DropReason::ServerId, |reply| reply.without(54)),
        (DropReason::ServerId, |reply| reply.with(54, &[0; 4])),
        (DropReason::ServerId, |reply| reply.with(54, &[10, 0, 0])),
        (DropReason::Option, |reply| reply.with(61, &[])),
        (DropReason::Malformed, |reply| reply.with(53, &[1])),
    ];
    for state in [State::Selecting, State::Requesting, State::Renewing] {
        for (reason, change) in cases {
            let mut rig = Rig::in_state(state);
            let kind = match state {
                State::Selecting => MessageType::Offer,
                _ => MessageType::Ack,
            };
            let reply = change(rig.reply(kind));
            assert_eq!(rig.hear(&reply), Err(reason));
            assert_eq!(rig.client.state(), state);
            assert_eq!(rig.client.counters().drops(reason), 1);
        }
    }
}

#[test]
fn only_the_server_that_was_asked_can_grant_or_refuse_and_only_what_it_offered() {
    let mut rig = Rig::in_state(State::Requesting);
    for kind in [MessageType::Ack, MessageType::Nak] {
        let other = rig.reply(kind).with(54, &OTHER.octets());
        assert_eq!(rig.hear(&other), Err(DropReason::OtherServer));
    }
    let another = rig.reply(MessageType::Ack).of(Ipv4Addr::new(10, 0, 0, 8));
    assert_eq!(rig.hear(&another), Err(DropReason::OtherAddress));
    for state in [State::Rebooting, State::Renewing, State::Rebinding] {
        let mut rig = Rig::in_state(state);
        let another = rig.reply(MessageType::Ack).of(Ipv4Addr::new(10, 0, 0, 8));
        assert_eq!(rig.hear(&another), Err(DropReason::OtherAddress));
        let elsewhere = rig.reply(MessageType::Ack).with(54, &OTHER.octets());
        assert_eq!(rig.hear(&elsewhere), Ok(()), "a spare server may know us");
    }
}

/// RFC 6842.
#[test]
fn an_answer_that_names_another_client_is_not_for_us() {
    let config = Config::new().with_client_id(&[0, 1, 2]).unwrap();
    for (id, expected) in [
        (&[0, 1, 2][..], Ok(())),
        (&[0, 1, 3], Err(DropReason::OtherClient)),
        (&[0, 1], Err(DropReason::OtherClient)),
        (&[0], Err(DropReason::Option)),
    ] {
        let mut rig = Rig::with(config);
        rig.client.start(rig.now, None);
        rig.sleep(secs(1));
        let offer = rig.reply(MessageType::Offer).with(61, id);
        assert_eq!(rig.hear(&offer), expected);
    }
}

/// V22.
#[test]
fn v22_no_address_is_taken_that_no_host_there_can_have() {
    for ip in [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(0, 1, 2, 3),
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::new(127, 255, 0, 1),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(239, 255, 255, 255),
        Ipv4Addr::new(240, 0, 0, 1),
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 0, 0, 0),
        Ipv4Addr::new(10, 0, 0, 255),
        SERVER,
    ] {
        let mut rig = Rig::in_state(State::Selecting);
        let offer = rig.reply(MessageType::Offer).of(ip);
        assert_eq!(rig.hear(&offer), Err(DropReason::Address), "{ip}");
        assert_eq!(rig.client.state(), State::Selecting);
    }
}

#[test]
fn v22_no_mask_is_believed_that_no_network_has() {
    for len in 0..=32_u8 {
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let mut rig = Rig::in_state(State::Selecting);
        let offer = rig.reply(MessageType::Offer).with(1, &mask.to_be_bytes());
        let expected = match len {
            0..8 => Err(DropReason::SubnetMask),
            // 10.0.0.7 is everybody's address in 10.0.0.0/29 and 10.0.0.4/30.
            29 | 30 => Err(DropReason::Address),
            _ => Ok(()),
        };
        assert_eq!(rig.hear(&offer), expected, "{len}");
    }
    let mut rig = Rig::in_state(State::Selecting);
    let offer = rig.reply(MessageType::Offer).without(1);
    assert_eq!(rig.hear(&offer), Err(DropReason::SubnetMask));
    let offer = rig.reply(MessageType::Offer).with(1, &[255, 0, 255, 0]);
    assert_eq!(rig.hear(&offer), Err(DropReason::SubnetMask));
}

/// V21.
#[test]
fn v21_an_offer_with_an_option_of_the_wrong_length_is_none() {
    type Fits = fn(usize) -> bool;
    let lengths: [(u8, Fits); 13] = [
        (1, |len| len == 4),
        (3, |len| len > 0 && len.is_multiple_of(4)),
        (6, |len| len > 0 && len.is_multiple_of(4)),
        (15, |len| len > 0),
        (26, |len| len == 2),
        (28, |len| len == 4),
        (42, |len| len > 0 && len.is_multiple_of(4)),
        (51, |len| len == 4),
        (54, |len| len == 4),
        (58, |len| len == 4),
        (59, |len| len == 4),
        (66, |len| len > 0),
        (67, |len| len > 0),
    ];
    for (code, fits) in lengths {
        for len in 0..=255_usize {
            let mut rig = Rig::in_state(State::Selecting);
            let value = match code {
                1 => [255; 255],
                _ => [10; 255],
            };
            let offer = rig.reply(MessageType::Offer).with(code, &value[..len]);
            assert_eq!(rig.hear(&offer).is_ok(), fits(len), "{code} of {len}");
        }
    }
}

#[test]
fn a_lease_for_no_time_is_none() {
    let mut rig = Rig::in_state(State::Selecting);
    let offer = rig.reply(MessageType::Offer).with(51, &[0; 4]);
    assert_eq!(rig.hear(&offer), Err(DropReason::LeaseTime));
    let offer = rig.reply(MessageType::Offer).without(51);
    assert_eq!(rig.hear(&offer), Err(DropReason::LeaseTime));
}

#[test]
fn what_a_lease_has_no_room_for_or_cannot_be_true_is_counted() {
    let mut rig = Rig::in_state(State::Requesting);
    let elsewhere = Ipv4Addr::new(192, 0, 2, 1);
    let routers = [elsewhere, IP, SERVER, OTHER, Ipv4Addr::new(10, 0, 0, 252)];
    let servers = [1, 2, 3, 4, 5].map(|d| Ipv4Addr::new(192, 0, 2, d));
    let zeros = [Ipv4Addr::UNSPECIFIED, elsewhere];
    let bytes = |ips: &[Ipv4Addr]| ips.iter().flat_map(Ipv4Addr::octets).collect::<Vec<u8>>();
    let ack = rig
        .reply(MessageType::Ack)
        .with(3, &bytes(&routers))
        .with(6, &bytes(&servers))
        .with(42, &bytes(&zeros))
        .with(15, b"bad name")
        .with(26, &1_400_u16.to_be_bytes());
    assert_eq!(rig.hear(&ack), Ok(()));
    rig.client.free(rig.now);
    let lease = rig.client.lease().unwrap();
    assert_eq!(lease.routers().as_ref(), [SERVER, OTHER]);
    assert_eq!(lease.dns_servers().as_ref(), &servers[..3]);
    assert_eq!(lease.ntp_servers().as_ref(), [elsewhere]);
    assert_eq!(lease.domain(), None);
    assert_eq!(lease.mtu(), Some(1_400));
    assert_eq!(rig.client.counters().values_dropped, 3 + 2 + 1 + 1);

    let mut rig = Rig::in_state(State::Requesting);
    let ack = rig.reply(MessageType::Ack).with(15, b"lab.example\0");
    assert_eq!(rig.hear(&ack), Ok(()));
    rig.client.free(rig.now);
    assert_eq!(rig.client.lease().unwrap().domain(), Some("lab.example"));
}

#[test]
fn what_a_client_is_told_to_say_it_says_and_what_it_cannot_say_is_refused() {
    let config = Config::new()
        .with_host_name("sensor-7")
        .and_then(|config| config.with_vendor_class(b"whohas"))
        .and_then(|config| config.with_client_id(&[0, 1, 2]))
        .unwrap();
    let mut rig = Rig::with(config);
    rig.client.start(rig.now, None);
    rig.sleep(secs(1));
    let mut buffer = [0; MESSAGE_LEN];
    let transmit = rig.client.poll_transmit(&mut buffer).unwrap();
    let message = Message::parse(&buffer[..transmit.len]).unwrap();
    assert!(message.host_name().unwrap().unwrap() == b"sensor-7"[..]);
    assert!(message.vendor_class().unwrap().unwrap() == b"whohas"[..]);
    assert!(message.client_id().unwrap().unwrap() == [0, 1, 2][..]);
    assert_eq!(message.max_message_len(), Ok(Some(MESSAGE_LEN)));
    let wanted = message.parameter_list().unwrap().unwrap();
    assert!(wanted == [1, 3, 6, 15, 26, 42, 58, 59][..]);

    let long = "x".repeat(65);
    for name in ["", "a b", "ä", &long] {
        assert_eq!(
            Config::new().with_host_name(name),
            Err(ConfigError::HostName)
        );
    }
    let refused = Config::new().with_client_id(&[1]);
    assert_eq!(refused, Err(ConfigError::ClientId));
    let refused = Config::new().with_vendor_class(&[]);
    assert_eq!(refused, Err(ConfigError::VendorClass));
}

/// There is room for the longest that any config can say.
#[test]
fn the_longest_messages_fit() {
    let text = "x".repeat(64).leak();
    let config = Config::new()
        .with_host_name(text)
        .and_then(|config| config.with_vendor_class(text.as_bytes()))
        .and_then(|config| config.with_client_id(text.as_bytes()))
        .unwrap();
    let config = Config {
        timing: TIMING,
        ..config
    };
    for state in STATES {
        let mut rig = Rig::in_state(state);
        rig.client.config = config;
        if let Some(asking) = rig.client.phase.asking() {
            asking.due = true;
            assert!(rig.said().is_some(), "{state:?}");
        }
        if rig.client.lease().is_some() {
            rig.client.conflict(rig.now);
            rig.says(MessageType::Decline);
        }
    }
}

#[test]
fn no_timing_makes_a_client_spin() {
    let hasty = Timing {
        start_wait: Duration::ZERO,
        first_retry: Duration::ZERO,
        last_retry: Duration::ZERO,
        retry_jitter: Duration::ZERO,
        requests: 0,
        reboots: 0,
        renew_retry: Duration::ZERO,
        after_decline: Duration::ZERO,
        many_declines: 0,
        after_many_declines: Duration::ZERO,
    };
    let endless = Timing {
        start_wait: Duration::MAX,
        first_retry: Duration::MAX,
        last_retry: Duration::MAX,
        retry_jitter: Duration::MAX,
        renew_retry: Duration::MAX,
        after_decline: Duration::MAX,
        after_many_declines: Duration::MAX,
        ..hasty
    };
    for timing in [hasty, endless] {
        for known in [None, Some(IP)] {
            let mut rig = Rig::with(Config {
                timing,
                ..Config::new()
            });
            rig.client.start(rig.now, known);
            for _ in 0..100 {
                rig.sleep(Duration::from_millis(10));
                rig.said();
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut rig = Rig::bound();
    rig.now = Instant::from_secs(10);
    rig.sleep(Duration::ZERO);
    rig.says_after(secs(500), MessageType::Request);
}

#[test]
fn events_that_nobody_polls_are_lost_and_counted() {
    let mut rig = Rig::bound();
    for _ in 0..6 {
        rig.sleep(secs(500));
        rig.said();
        rig.answer(MessageType::Ack);
    }
    assert_eq!(rig.events().len(), EVENTS);
    assert_eq!(rig.client.counters().events_lost, 2);
}
