//! Floods, storms and malformed messages: what the daemon uses stays bounded, whom it knows it goes on
//! serving, and each message is accounted for.

use std::time::{Duration, Instant};

use whohas::wire::dhcp::MessageType;

use crate::daemon::{Daemon, HTTP, Metrics, PROBING, Setup};
use crate::exhibits::{self, Exhibit};
use crate::lan_test;
use crate::message::{Ask, Who, obtain};
use crate::network::{Network, PREFIX, RELAY};
use crate::random::Random;
use crate::way::{Relay, Way};

/// In the binary: whoever runs it need not be able to read the folder.
const CORPUS: [(&str, &str); 10] = [
    (
        "v10-names.txt",
        include_str!("../regress/cve/dhcp/v10-names.txt"),
    ),
    (
        "v16-operations.txt",
        include_str!("../regress/cve/dhcp/v16-operations.txt"),
    ),
    (
        "v18-hardware.txt",
        include_str!("../regress/cve/dhcp/v18-hardware.txt"),
    ),
    (
        "v19-relays.txt",
        include_str!("../regress/cve/dhcp/v19-relays.txt"),
    ),
    (
        "v20-ends.txt",
        include_str!("../regress/cve/dhcp/v20-ends.txt"),
    ),
    (
        "v21-clients.txt",
        include_str!("../regress/cve/dhcp/v21-clients.txt"),
    ),
    (
        "v22-addresses.txt",
        include_str!("../regress/cve/dhcp/v22-addresses.txt"),
    ),
    (
        "v7-lengths.txt",
        include_str!("../regress/cve/dhcp/v7-lengths.txt"),
    ),
    (
        "v8-circles.txt",
        include_str!("../regress/cve/dhcp/v8-circles.txt"),
    ),
    (
        "v9-sizes.txt",
        include_str!("../regress/cve/dhcp/v9-sizes.txt"),
    ),
];
/// What a daemon may use more at the end of a storm than before, in KiB.
const GROWTH: u64 = 8 * 1024;
/// The longest message that fits into a frame.
const LONGEST: usize = 1_472;
/// How many messages are on their way before we look whether they were read.
const BATCH: u32 = 200;

fn setup(range: &str) -> Setup {
    let http = format!("[http]\naddress = \"{HTTP}\"");
    Setup::pool(range).top("max-leases = 4096").rest(&http)
}

/// A client that has a lease, and wants to keep it whatever happens.
struct Known {
    who: Who,
    ip: std::net::Ipv4Addr,
}

impl Known {
    #[track_caller]
    fn new(way: &impl Way) -> Self {
        let who = Who::number(0xdead_0000);
        let ip = obtain(way, &who);
        Self { who, ip }
    }

    /// Renews. When this is answered, all that was sent before was read. Other answers are not looked at.
    #[track_caller]
    fn renews(&self, way: &impl Way) {
        let reply = Ask::renew(&self.who, self.ip).answer(way);
        let reply = reply.expect("it is served whatever happens");
        assert_eq!((reply.kind, reply.ip), (MessageType::Ack, self.ip));
    }
}

/// Nothing is received that is not handled or counted as dropped.
#[track_caller]
fn adds_up(metrics: &Metrics) -> (u64, u64) {
    let received = metrics.sum("whohas_dhcp_messages_received_total", "");
    let handled = metrics.sum("whohas_dhcp_messages_handled_total", "");
    let dropped = metrics.sum("whohas_dhcp_messages_dropped_total", "");
    assert_eq!(received, handled + dropped, "{}", metrics.0);
    (received, dropped)
}

lan_test! {
    fn a_flood_of_clients_that_nobody_has_ever_seen_takes_nothing_from_those_who_are_known() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &setup("10.0.0.50-10.0.0.99"));
        let link = network.link();
        let known = Known::new(&link);
        let before = daemon.memory();
        const FLOOD: u32 = 50_000;
        let started = Instant::now();
        for n in 0..FLOOD {
            Ask::discover(&Who::number(0x1000_0000 + n)).say(&link);
            if n % BATCH == 0 {
                known.renews(&link);
            }
        }
        known.renews(&link);
        let seconds = started.elapsed().as_secs_f32();
        let after = daemon.memory();
        assert!(after < before + GROWTH, "{before} KiB, then {after} KiB");
        let (received, dropped) = adds_up(&daemon.metrics());
        println!("note: {FLOOD} strangers in {seconds:.1} s: {received} messages, {dropped} dropped; {before} KiB, then {after} KiB");
        assert!(received > u64::from(FLOOD));
    }
}

lan_test! {
    fn where_no_address_is_left_nobody_loses_one() {
        let network = Network::new();
        let mut daemon = Daemon::start(&network.server, &setup("10.0.0.50-10.0.0.99"));
        let link = network.link();
        let known = Known::new(&link);
        let given: Vec<_> = (1..50).map(|n| obtain(&link, &Who::number(n))).collect();
        for n in 100..400 {
            Ask::discover(&Who::number(n)).say(&link);
        }
        known.renews(&link);
        daemon.restart();
        for (n, &ip) in (1..50).zip(&given) {
            assert_eq!(obtain(&link, &Who::number(n)), ip);
        }
        assert_eq!(daemon.leases().len(), 50);
    }
}

lan_test! {
    fn a_storm_of_declines_leaves_most_of_the_pool_to_others() {
        let network = Network::new();
        let conflicts = "probe = false\nquarantine-percent = 25";
        let setup = setup("10.0.0.50-10.0.0.149").conflicts(conflicts);
        let daemon = Daemon::start(&network.server, &setup);
        let link = network.link();
        let known = Known::new(&link);
        let before = daemon.memory();
        // Each with a budget of its own.
        for n in 0..2_000 {
            let who = Who::number(n);
            let Some(offer) = Ask::discover(&who).answer_within(&link, Duration::from_secs(2)) else {
                continue;
            };
            let reply = Ask::select(&who, offer.ip, offer.server.expect("it says")).answer(&link);
            assert_eq!(reply.map(|reply| reply.kind), Some(MessageType::Ack));
            Ask::decline(&who, offer.ip).say(&link);
            Ask::release(&who, offer.ip).say(&link);
        }
        known.renews(&link);
        let declined = daemon.declined().len();
        assert!((20..=25).contains(&declined), "{declined} of 100");
        obtain(&link, &Who::number(5_000));
        let after = daemon.memory();
        assert!(after < before + GROWTH, "{before} KiB, then {after} KiB");
        adds_up(&daemon.metrics());
        println!("note: 2000 clients declined what they got: {declined} of 100 addresses in quarantine");
    }
}

lan_test! {
    /// Mutations of what broke others, and of messages that mean something here.
    fn a_million_malformed_messages_change_nothing() {
        const MESSAGES: u32 = 1_000_000;
        let network = Network::new();
        let relay = network.lan.host_at(RELAY, PREFIX);
        let setup = setup("10.0.0.50-10.0.0.99").conflicts(PROBING);
        let mut daemon = Daemon::start(&network.server, &setup);
        let (link, relay) = (network.link(), Relay::at(&relay));
        let known = Known::new(&link);
        let before = daemon.memory();
        let seeds = seeds(&known);
        let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
        let started = Instant::now();
        for n in 0..MESSAGES {
            let seed = &seeds[n as usize % seeds.len()];
            let message = mutate(&mut random, seed, &known);
            match n % 8 {
                0 => relay.send(known.who.mac, &message),
                1 => link.send(Who::number(n % 1_000).mac, &message),
                // The cheapest way: a kernel makes the frame.
                _ => relay.pass(&message),
            }
            if n % BATCH == 0 {
                known.renews(&link);
                drain(&relay);
            }
        }
        known.renews(&link);
        let seconds = started.elapsed().as_secs_f32();
        let after = daemon.memory();
        assert!(after < before + GROWTH, "{before} KiB, then {after} KiB");
        let (received, dropped) = adds_up(&daemon.metrics());
        println!(
            "note: {MESSAGES} malformed messages in {seconds:.1} s: {received} received, {dropped} dropped; {before} KiB, then {after} KiB"
        );
        let log = daemon.log();
        assert!(log.iter().all(|line| line.len() <= 256), "a line is too long");
        assert!(log.len() < 20_000, "{} lines of log", log.len());
        daemon.restart();
        known.renews(&link);
    }
}

fn drain(way: &impl Way) {
    while way.receive(Duration::from_micros(1)).is_some() {}
}

/// The corpus, and one of each message that this server understands.
fn seeds(known: &Known) -> Vec<Vec<u8>> {
    let exhibits = CORPUS
        .iter()
        .flat_map(|(name, text)| exhibits::read_text(name, text));
    let mut seeds: Vec<_> = exhibits.map(|Exhibit { message, .. }| message).collect();
    let who = Who::number(7).with_id(b"\x01seven");
    for ask in [
        Ask::discover(&who),
        Ask::select(&who, known.ip, crate::network::SERVER),
        Ask::reboot(&who, known.ip),
        Ask::renew(&who, known.ip),
        Ask::decline(&who, known.ip),
        Ask::release(&who, known.ip),
        Ask::inform(&who, known.ip),
    ] {
        seeds.push(ask.bytes());
    }
    seeds
}

/// A few bytes changed, cut, repeated or put in; never what the known client would say.
fn mutate(random: &mut Random, seed: &[u8], known: &Known) -> Vec<u8> {
    let mut below = |end: usize| random.below(end as u64) as usize;
    let mut message = seed.to_vec();
    message.truncate(LONGEST);
    for _ in 0..=below(4) {
        let at = below(message.len().max(1));
        let byte = below(256) as u8;
        match below(5) {
            0 => message.truncate(at),
            1 if message.len() + 32 <= LONGEST => {
                let piece: Vec<u8> = message[at..].iter().take(32).copied().collect();
                message.splice(at..at, piece);
            }
            // Mostly among the options.
            2 if message.len() > 241 => {
                let at = 240 + below(message.len() - 240);
                message[at] = byte;
            }
            _ => {
                if let Some(changed) = message.get_mut(at) {
                    *changed = byte;
                }
            }
        }
    }
    let its = known.who.mac.get().octets();
    if message.get(28..34) == Some(&its[..]) {
        message[33] ^= 1;
    }
    message
}
