//! A network card with many queues behind one port: ARP lands on any of them, all of them transmit.

use std::collections::BTreeMap;

use whohas::sim::{Host, Lan, PortId, Rng, Station};

use super::*;

/// On which queue a frame lands.
#[derive(Debug)]
pub enum Steering {
    /// Always on this one, as with RSS for TCP only.
    Fixed(usize),
    RoundRobin,
    Random(Rng),
}

/// The queues of a card, each with the loop that belongs to it.
#[derive(Debug)]
pub struct Card {
    pub queues: Vec<Reader>,
    steering: Steering,
    /// Queues whose loop has come to rest, for ever.
    stopped: Vec<usize>,
    /// How many frames have landed.
    landed: usize,
    /// How often the loops came round.
    rounds: usize,
    /// Frames that landed where nobody takes them.
    pub lost: usize,
}

impl Card {
    pub fn new(resolver: &SharedResolver, queues: usize, steering: Steering) -> Self {
        let queues = (0..queues).map(|_| resolver.reader().expect("a place"));
        Self {
            queues: queues.collect(),
            steering,
            stopped: Vec::new(),
            landed: 0,
            rounds: 0,
            lost: 0,
        }
    }

    /// This queue is never called again. What it held it goes on to hold.
    pub fn stop(&mut self, queue: usize) {
        self.stopped.push(queue);
    }

    fn steer(&mut self) -> usize {
        self.landed += 1;
        match &mut self.steering {
            Steering::Fixed(queue) => *queue,
            Steering::RoundRobin => self.landed % self.queues.len(),
            Steering::Random(rng) => rng.range(0..=self.queues.len() as u64 - 1) as usize,
        }
    }

    /// Every queue whose loop is alive comes round, each time another one first.
    fn running(&mut self) -> impl Iterator<Item = &Reader> {
        self.rounds += 1;
        let count = self.queues.len();
        let order = (self.rounds..self.rounds + count).map(move |at| at % count);
        let running = order.filter(|queue| !self.stopped.contains(queue));
        running.map(|queue| &self.queues[queue])
    }
}

impl Station for Card {
    fn receive(&mut self, now: Instant, frame: &[u8]) {
        let queue = self.steer();
        if self.stopped.contains(&queue) {
            self.lost += 1;
            return;
        }
        let brought = self.queues[queue].receive(now, frame);
        assert!(matches!(brought, Ok(Brought::Taken(_))), "{brought:?}");
    }

    fn handle_timeout(&mut self, now: Instant) {
        for queue in self.running() {
            queue.handle_timeout(now);
        }
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.running()
            .find_map(|mut queue| Station::poll_transmit(&mut queue, now))
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.running().find_map(Reader::poll_timeout)
    }
}

/// A card in a LAN with these hosts. We are 10.0.0.1/16.
pub struct World {
    pub resolver: SharedResolver,
    pub lan: Lan,
    port: PortId,
    pub card: Card,
}

impl World {
    pub fn new(steering: Steering, queues: usize, hosts: impl IntoIterator<Item = Host>) -> Self {
        let resolver = strict();
        let mut lan = Lan::with_log_bound(1, 1 << 20);
        let port = lan.add_port(mac(US));
        for host in hosts {
            lan.add_host(host);
        }
        Self {
            card: Card::new(&resolver, queues, steering),
            resolver,
            lan,
            port,
        }
    }

    pub fn run_until(&mut self, time: Instant) {
        self.lan.run_until(time, &mut [(self.port, &mut self.card)]);
    }

    /// How often we asked for each neighbour.
    pub fn asked(&self) -> BTreeMap<Ipv4Addr, usize> {
        assert_eq!(self.lan.log().dropped(), 0, "a part cannot be counted");
        let mut asked = BTreeMap::new();
        for (frame, packet) in self.lan.log().arp() {
            if frame.from == self.port && packet.operation == Operation::Request {
                *asked.entry(packet.target_ip).or_default() += 1;
            }
        }
        asked
    }
}
