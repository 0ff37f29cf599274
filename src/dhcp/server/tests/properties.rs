//! Random lives of servers: what must hold whatever happens.

use std::vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What happens to a server.
#[derive(Clone, Debug)]
enum Step {
    Discover {
        client: u8,
        wish: Option<u8>,
    },
    /// Takes the last offer, if it was one of ours or not.
    Select {
        client: u8,
        ours: bool,
    },
    Reboot {
        client: u8,
        ip: Option<u8>,
    },
    Renew {
        client: u8,
        to_all: bool,
    },
    Decline {
        client: u8,
        ip: Option<u8>,
    },
    Release {
        client: u8,
        ip: Option<u8>,
    },
    Inform {
        client: u8,
    },
    Noise(Vec<u8>),
    Squat {
        ip: u8,
        by: u8,
    },
    Sleep(u64),
    Disk(Disk),
    Driver(bool),
    Restart,
    Probing(bool),
    Clear(u8),
    Take(u8),
}

fn clients() -> impl Strategy<Value = u8> {
    1..15_u8
}

fn steps() -> impl Strategy<Value = Step> {
    let ips = || proptest::option::weighted(0.3, 8..22_u8);
    prop_oneof![
        8 => (clients(), ips()).prop_map(|(client, wish)| Step::Discover { client, wish }),
        8 => (clients(), proptest::bool::weighted(0.9))
            .prop_map(|(client, ours)| Step::Select { client, ours }),
        3 => (clients(), ips()).prop_map(|(client, ip)| Step::Reboot { client, ip }),
        3 => (clients(), any::<bool>()).prop_map(|(client, to_all)| Step::Renew { client, to_all }),
        4 => (clients(), ips()).prop_map(|(client, ip)| Step::Decline { client, ip }),
        2 => (clients(), ips()).prop_map(|(client, ip)| Step::Release { client, ip }),
        1 => clients().prop_map(|client| Step::Inform { client }),
        1 => vec(any::<u8>(), 0..400).prop_map(Step::Noise),
        2 => (8..22_u8, 1..30_u8).prop_map(|(ip, by)| Step::Squat { ip, by }),
        4 => prop_oneof![0..400_u64, 0..400_000_u64, 0..4_000_000_u64].prop_map(Step::Sleep),
        2 => prop_oneof![
            4 => Just(Disk::Good),
            2 => Just(Disk::Slow),
            1 => Just(Disk::Full),
        ].prop_map(Step::Disk),
        1 => proptest::bool::weighted(0.8).prop_map(Step::Driver),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Probing),
        1 => (8..22_u8).prop_map(Step::Clear),
        1 => (8..22_u8).prop_map(Step::Take),
    ]
}

/// A server, and what its clients know.
struct Life<S: Storage> {
    rig: Rig<'static, S>,
    empty: fn() -> S,
    policy: Policy,
    offers: BTreeMap<u8, Ipv4Addr>,
    /// What was acknowledged to whom, and until when.
    leases: BTreeMap<Ipv4Addr, (u8, Instant)>,
    /// When a DECLINE was believed.
    declines: Vec<(u8, Instant)>,
}

impl<S: Storage> Life<S> {
    fn new(empty: fn() -> S) -> Self {
        Self {
            rig: rig_of(POLICY, empty()),
            empty,
            policy: POLICY,
            offers: BTreeMap::new(),
            leases: BTreeMap::new(),
            declines: Vec::new(),
        }
    }

    /// What a client says that has an identifier, or has none: every other one.
    fn with_id(client: u8, says: Says) -> Says {
        match client % 2 {
            0 => says.with(61, &[0, client, client]),
            _ => says.with(12, b"box"),
        }
    }

    fn has(&self, client: u8) -> Option<Ipv4Addr> {
        let mut leases = self.leases.iter();
        leases
            .find(|(_, lease)| lease.0 == client)
            .map(|(ip, _)| *ip)
    }

    fn step(&mut self, step: &Step) {
        let before: BTreeMap<_, _> = self.quarantined().collect();
        let believed = self.believed();
        match step {
            Step::Discover { client, wish } => {
                let mut says = discover(mac(*client));
                if let Some(wish) = wish {
                    says = says.requesting(ip(*wish));
                }
                self.say(*client, says);
            }
            Step::Select { client, ours } => {
                let wish = self.offers.get(client).copied().unwrap_or(ip(11));
                let server = if *ours { SERVER } else { ip(253) };
                self.say(*client, request(mac(*client)).requesting(wish).to(server));
            }
            Step::Reboot { client, ip: wish } => {
                let wish = wish.map(ip).or(self.has(*client)).unwrap_or(ip(12));
                self.say(*client, request(mac(*client)).requesting(wish));
            }
            Step::Renew { client, to_all } => {
                if let Some(own) = self.has(*client) {
                    let says = renewing(mac(*client), own);
                    let destination = if *to_all { ALL } else { SERVER };
                    self.say(
                        *client,
                        Says {
                            destination,
                            ..says
                        },
                    );
                }
            }
            Step::Decline { client, ip: which } => {
                let which = which.map(ip).or(self.has(*client)).unwrap_or(ip(13));
                let says = says(MessageType::Decline, mac(*client));
                self.say(*client, says.requesting(which).to(SERVER));
                if self.believed() > believed {
                    self.declines.push((*client, self.rig.now));
                }
                self.forget(*client, which);
            }
            Step::Release { client, ip: which } => {
                let which = which.map(ip).or(self.has(*client)).unwrap_or(ip(14));
                let says = says(MessageType::Release, mac(*client));
                self.say(*client, says.having(which).to(SERVER));
                self.forget(*client, which);
            }
            Step::Inform { client } => {
                let says = says(MessageType::Inform, mac(*client)).having(ip(200));
                self.say(*client, says);
            }
            Step::Noise(bytes) => {
                self.rig.bytes(ZERO, ALL, bytes);
            }
            Step::Squat { ip: which, by } => self.rig.squatters.push((ip(*which), mac(100 + by))),
            Step::Sleep(millis) => {
                let until = self.rig.now + Duration::from_millis(*millis);
                self.rig.sleep(until);
            }
            Step::Disk(disk) => {
                self.rig.disk = *disk;
                self.rig.drain();
            }
            Step::Driver(takes) => self.rig.driver_takes = *takes,
            Step::Restart => self.restart(),
            Step::Probing(probing) => {
                self.policy = if *probing { PROBING } else { POLICY };
                self.rig.server.set_policy(self.policy);
            }
            Step::Clear(which) => {
                self.rig.server.clear(self.rig.now, ip(*which));
                self.rig.drain();
            }
            Step::Take(which) => {
                if self.rig.server.release(self.rig.now, ip(*which)) {
                    self.leases.remove(&ip(*which));
                }
                self.rig.drain();
            }
        }
        self.check(step, &before);
    }

    fn say(&mut self, client: u8, says: Says) {
        self.rig.says(&Self::with_id(client, says));
    }

    fn forget(&mut self, client: u8, which: Ipv4Addr) {
        if self
            .leases
            .get(&which)
            .is_some_and(|lease| lease.0 == client)
        {
            self.leases.remove(&which);
        }
    }

    fn believed(&self) -> u64 {
        let counters = self.rig.server.counters();
        counters.declines(DeclineVerdict::Believed)
    }

    fn quarantined(&self) -> impl Iterator<Item = (Ipv4Addr, Instant)> {
        let bindings = self.rig.server.bindings();
        bindings.filter_map(|binding| match binding.state {
            BindingState::Quarantined { until, .. } => Some((binding.ip, until)),
            _others => None,
        })
    }

    /// A server with another memory: what it has stored.
    fn restart(&mut self) {
        if self.rig.disk == Disk::Slow {
            self.rig.disk = Disk::Good;
            self.rig.drain();
        }
        let mut server = Server::new(self.policy, (self.empty)(), 7);
        for (ip, saved) in &self.rig.book {
            let record = Record {
                ip: *ip,
                claim: saved.claim(),
            };
            server.load(self.rig.now, &record).expect("we wrote it");
        }
        // What was promised only for the time without a store is forgotten with the memory.
        let lasting = |saved: &Saved, now| match saved {
            Saved::Leased { expiry, .. } => *expiry > Expiry::At(now),
            Saved::Quarantined { until, .. } => *until > now,
        };
        let now = self.rig.now;
        let kept: BTreeMap<_, _> = server
            .bindings()
            .filter_map(|binding| Some((binding.ip, Saved::of_binding(&binding)?)))
            .collect();
        let book: BTreeMap<_, _> = self
            .rig
            .book
            .clone()
            .into_iter()
            .filter(|(_, saved)| lasting(saved, now))
            .collect();
        assert_eq!(kept, book, "what was stored is what is loaded");
        let refused = self.rig.server.counters().stores(StoreResult::Unavailable);
        if refused == 0 {
            let before: BTreeMap<_, _> = self
                .rig
                .server
                .bindings()
                .filter_map(|binding| Some((binding.ip, Saved::of_binding(&binding)?)))
                .filter(|(_, saved)| lasting(saved, now))
                .collect();
            assert_eq!(kept, before, "what was known is what was stored");
        }
        for (ip, (_, until)) in &mut self.leases {
            if let Some(Saved::Leased {
                expiry: Expiry::At(stored),
                ..
            }) = kept.get(ip)
            {
                *until = (*stored).min(*until);
            }
        }
        self.leases.retain(|ip, _| kept.contains_key(ip));
        self.rig.server = server;
        self.offers.clear();
        self.declines.clear();
    }

    fn check(&mut self, step: &Step, before: &BTreeMap<Ipv4Addr, Instant>) {
        let events = self.rig.told();
        for event in &events {
            // Whoever had it has asked anew, and heard nothing of it since.
            if let Event::InUse { ip, .. } = event {
                self.leases.remove(ip);
            }
        }
        for heard in core::mem::take(&mut self.rig.heard) {
            self.leases.retain(|_, (_, until)| *until > heard.at);
            let message = heard.message();
            let client = message.header().hardware.as_bytes()[5];
            let ip = heard.ip();
            if heard.kind() == MessageType::Nak || ip == ZERO {
                continue;
            }
            let holder = self.leases.get(&ip);
            assert!(
                holder.is_none_or(|(other, _)| *other == client),
                "{step:?}: {ip} is {holder:?}'s and {client} gets it"
            );
            let (hardware, state) = heard.binding.expect("it is held");
            assert_eq!(hardware.as_bytes()[5], client, "{step:?}");
            if heard.kind() == MessageType::Offer {
                // Out of quarantine only after somebody has looked, or at its time.
                if before.get(&ip).is_some_and(|until| *until > heard.at) {
                    assert!(events.contains(&Event::Cleared { ip }), "{step:?}: {ip}");
                }
                self.offers.insert(client, ip);
                continue;
            }
            let Some(Saved::Leased { hardware, .. }) = heard.saved else {
                panic!("{step:?}: {ip} was not stored");
            };
            assert_eq!(hardware.as_bytes()[5], client, "{step:?}");
            let BindingState::Leased {
                expiry: Expiry::At(until),
            } = state
            else {
                panic!("{step:?}: {ip} is {state:?}");
            };
            // One address for each.
            self.leases.retain(|_, (other, _)| *other != client);
            self.leases.insert(ip, (client, until));
        }
        self.leases.retain(|_, (_, until)| *until > self.rig.now);
        let window = POLICY.decline_window;
        for (client, time) in &self.declines {
            let within = |other: &&(u8, Instant)| {
                other.0 == *client && other.1 >= *time && other.1 - *time < window
            };
            let believed = self.declines.iter().filter(within).count();
            // A window begins with the first DECLINE, so two of them can lie in any ten minutes.
            assert!(
                believed <= 2 * usize::from(POLICY.declines.get()),
                "{step:?}"
            );
        }
        let counters = self.rig.server.counters();
        assert_eq!(counters.events_lost, 0);
    }
}

fn live<S: Storage>(empty: fn() -> S, steps: &[Step]) {
    let mut life = Life::new(empty);
    for step in steps {
        life.step(step);
    }
    // And in the end it serves as at first.
    life.rig.disk = Disk::Good;
    life.rig.driver_takes = true;
    life.rig.drain();
    let until = life.rig.now + Duration::from_secs(100_000);
    life.rig.sleep(until);
    life.check(&Step::Sleep(0), &BTreeMap::new());
    life.rig.server.set_policy(POLICY);
    life.rig.told();
    life.rig.lease(mac(99));
    assert_eq!(life.rig.server.waiting(), 0, "nothing is left behind");
    assert_eq!(life.rig.server.usage(&life.rig.subnets[0]).leased, 1);
}

proptest! {
    #[test]
    fn no_address_has_two_owners_on_the_heap(steps in vec(steps(), 0..150)) {
        live(|| Growable::new(100), &steps);
    }

    #[test]
    fn no_address_has_two_owners_in_place(steps in vec(steps(), 0..150)) {
        live(Fixed::<64, 16>::new, &steps);
    }

    #[test]
    fn no_address_has_two_owners_in_a_small_place(steps in vec(steps(), 0..150)) {
        live(Fixed::<5, 3>::new, &steps);
    }
}
