//! The power goes at any moment, again and again: whatever was acknowledged is there afterwards.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use whohas::wire::dhcp::MessageType;

use crate::daemon::{Daemon, Setup};
use crate::lan_test;
use crate::message::{Ask, Reply, Who};
use crate::network::{Network, PREFIX, RELAY, SERVER};
use crate::random::Random;
use crate::way::{Relay, Way};

const ROUNDS: u32 = 200;
/// More than there are addresses, so that those that are given back are given again.
const CLIENTS: u32 = 120;
/// How many of them talk at the same time.
const AT_ONCE: usize = 12;
/// Clients give up and do something else after this.
const PATIENCE: Duration = Duration::from_millis(150);

/// All clients, and what they have been promised.
struct Load<'w> {
    way: &'w Relay,
    random: Random,
    /// What each one was given, and has not given back.
    held: BTreeMap<u32, Ipv4Addr>,
    /// Who is in the middle of something: by the number of the question.
    waiting: BTreeMap<u32, (u32, Instant)>,
    acknowledged: u64,
}

impl Load<'_> {
    fn run_until(&mut self, end: Instant) {
        while Instant::now() < end {
            self.waiting
                .retain(|_, (_, since)| since.elapsed() < PATIENCE);
            while self.waiting.len() < AT_ONCE {
                self.begin();
            }
            self.hear(Duration::from_millis(2));
        }
    }

    /// Lets somebody who is not in the middle of something begin.
    fn begin(&mut self) {
        let busy: Vec<u32> = self.waiting.values().map(|(who, _)| *who).collect();
        let client = loop {
            let client = self.random.below(CLIENTS.into()) as u32;
            if !busy.contains(&client) {
                break client;
            }
        };
        let who = Who::number(client);
        let ask = match self.held.get(&client).copied() {
            None => Ask::discover(&who),
            Some(ip) if self.random.below(3) > 0 => Ask::renew(&who, ip),
            Some(ip) => {
                // From here on it is not its address, whether the server hears of it or not.
                self.held.remove(&client);
                Ask::release(&who, ip).say(self.way);
                return;
            }
        };
        self.ask(client, &ask);
    }

    fn ask(&mut self, client: u32, ask: &Ask) {
        ask.say(self.way);
        self.waiting.insert(ask.xid(), (client, Instant::now()));
    }

    fn hear(&mut self, patience: Duration) {
        let Some(datagram) = self.way.receive(patience) else {
            return;
        };
        if let Some((client, ip)) = self.note(&datagram) {
            self.ask(client, &Ask::select(&Who::number(client), ip, SERVER));
        }
    }

    /// What the server has said before it died was said, and nobody answers to it.
    fn hear_the_last(&mut self) {
        while let Some(datagram) = self.way.receive(Duration::from_millis(1)) {
            self.note(&datagram);
        }
        self.waiting.clear();
    }

    /// Takes note of a promise; of an offer, who was offered what.
    fn note(&mut self, datagram: &[u8]) -> Option<(u32, Ipv4Addr)> {
        let reply = Reply::parse(datagram);
        // A client that has lost its patience does not listen.
        let (client, _) = self.waiting.remove(&reply.xid)?;
        match reply.kind {
            MessageType::Offer => return Some((client, reply.ip)),
            MessageType::Ack => {
                self.acknowledged += 1;
                self.held.insert(client, reply.ip);
                let same = self.held.values().filter(|&&ip| ip == reply.ip).count();
                assert_eq!(same, 1, "{} is given to two: {:?}", reply.ip, self.held);
            }
            // Somebody else has it by now who got it when it was given back.
            MessageType::Nak => assert!(
                !self.held.contains_key(&client),
                "{client} has {:?} and is refused it: {reply:?}",
                self.held.get(&client)
            ),
            other => panic!("a server says {other:?}"),
        }
        None
    }
}

lan_test! {
    fn whatever_was_acknowledged_survives_two_hundred_deaths() {
        let network = Network::new();
        let host = network.lan.host_at(RELAY, PREFIX);
        let way = Relay::at(&host);
        let setup = Setup::pool("10.0.0.100-10.0.0.199").top("offer-hold = \"2s\"\nmax-leases = 256");
        let mut daemon = Daemon::start(&network.server, &setup);
        let mut load = Load {
            way: &way,
            random: Random::from_time(),
            held: BTreeMap::new(),
            waiting: BTreeMap::new(),
            acknowledged: 0,
        };
        let started = Instant::now();
        for round in 0..ROUNDS {
            let life = Duration::from_millis(10 + load.random.below(60));
            load.run_until(Instant::now() + life);
            daemon.kill();
            load.hear_the_last();
            daemon.start_again();
            let leases = daemon.leases();
            for (&client, &ip) in &load.held {
                let mac = Who::number(client).mac.to_string();
                let kept = leases.iter().any(|lease| lease.ip == ip && lease.hardware == mac);
                assert!(kept, "round {round}: {ip} of {mac} is lost: {leases:#?} {:#?}", daemon.log());
            }
        }
        println!(
            "note: {} leases were acknowledged, and none lost, in {ROUNDS} lives of the daemon and {:.0} s",
            load.acknowledged,
            started.elapsed().as_secs_f32(),
        );
        assert!(load.acknowledged > u64::from(ROUNDS), "hardly anybody got anything");
    }
}
