//! The parts together, on the simulated LAN in virtual time: a resolver on a wire, and neighbours
//! that live, die, move and lie.
#![cfg(feature = "sim")]

mod claim;
mod cold;
mod days;
mod faults;
mod inspect;
mod liars;
mod moves;
mod soak;

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeMap;

use whohas::cache::{Event, Fixed, Growable, Profile, Status, Storage};
use whohas::resolver::LocalHold;
use whohas::sim::{Flood, Host, Lan, Link, PortId, Rng, Station};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes, Operation};
use whohas::{Hold, Instant, Key, LocalResolver, MacAddr, Policy, Prefix, UnicastMac};

const US: u16 = 1;
const PEER: u16 = 2;

/// How long a host thinks before it answers; nothing else takes time on a perfect link.
const RTT: Duration = Duration::from_millis(1);

fn mac(n: u16) -> UnicastMac {
    let [high, low] = n.to_be_bytes();
    UnicastMac::new([2, 0, 0, 0, high, low]).expect("the group bit is clear")
}

/// In 10.0.0.0/16.
fn ip(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(10, 0, high, low)
}

fn own() -> Prefix {
    Prefix::new(ip(US), 16).expect("at most 32 bits")
}

fn host(n: u16) -> Host {
    Host::new(ip(n), mac(n)).answers_after(RTT)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn broadcast(packet: ArpPacket) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    packet
        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
        .expect("room for an untagged frame");
    frame
}

/// A resolver with places for eight tasks that wait.
fn with_policy<S: Storage>(policy: Policy, storage: S) -> LocalResolver<S> {
    LocalResolver::new(policy, storage)
}

fn strict<S: Storage>(storage: S) -> LocalResolver<S> {
    with_policy(Policy::STRICT, storage)
}

/// A resolver, and everything that it ever told, with the time.
struct Watched<'r, S: Storage, const WAKERS: usize, P: Profile> {
    resolver: &'r LocalResolver<S, P, WAKERS>,
    events: Vec<(Instant, Event)>,
}

impl<S: Storage, const WAKERS: usize, P: Profile> Watched<'_, S, WAKERS, P> {
    fn fetch_events(&mut self, now: Instant) {
        while let Some(event) = self.resolver.poll_event() {
            assert_ne!(event, Event::Lost, "more at one instant than a ring holds");
            self.events.push((now, event));
        }
    }
}

impl<S: Storage, const WAKERS: usize, P: Profile> Station for Watched<'_, S, WAKERS, P> {
    fn receive(&mut self, now: Instant, frame: &[u8]) {
        Station::receive(&mut self.resolver, now, frame);
        self.fetch_events(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        Station::handle_timeout(&mut self.resolver, now);
        self.fetch_events(now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        Station::poll_transmit(&mut self.resolver, now)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        Station::poll_timeout(&mut self.resolver)
    }
}

/// A resolver on a LAN.
struct World<'r, S: Storage, const WAKERS: usize = 8, P: Profile = Policy> {
    lan: Lan,
    port: PortId,
    station: Watched<'r, S, WAKERS, P>,
}

/// A request of ours, as the log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    at: Instant,
    to: MacAddr,
}

/// Frames enough for every test here: nothing may leave the log uncounted.
const LOG: usize = 1 << 20;

impl<'r, S: Storage, const WAKERS: usize, P: Profile> World<'r, S, WAKERS, P> {
    /// We are 10.0.0.1/16, and the LAN has these hosts.
    fn new(
        seed: u64,
        resolver: &'r LocalResolver<S, P, WAKERS>,
        hosts: impl IntoIterator<Item = Host>,
    ) -> Self {
        let mut lan = Lan::with_log_bound(seed, LOG);
        let port = lan.add_port(mac(US));
        for host in hosts {
            lan.add_host(host);
        }
        resolver.set_mac(lan.now(), mac(US));
        resolver
            .set_addresses(lan.now(), &[own()])
            .expect("a host's address");
        Self {
            lan,
            port,
            station: Watched {
                resolver,
                events: Vec::new(),
            },
        }
    }

    fn run_until(&mut self, time: Instant) {
        self.lan
            .run_until(time, &mut [(self.port, &mut self.station)]);
    }

    fn run_for(&mut self, duration: Duration) {
        self.run_until(self.lan.now() + duration);
    }

    #[track_caller]
    fn hold(&self, n: u16) -> LocalHold<'r, S, P, WAKERS> {
        self.station.resolver.hold(ip(n)).expect("room for it")
    }

    fn events(&self) -> impl Iterator<Item = Event> {
        self.station.events.iter().map(|&(_, event)| event)
    }

    /// When each neighbour was resolved for the first time.
    fn resolved(&self) -> BTreeMap<Key, Instant> {
        let mut resolved = BTreeMap::new();
        for &(at, event) in &self.station.events {
            if let Event::Resolved { key, .. } = event {
                resolved.entry(key).or_insert(at);
            }
        }
        resolved
    }

    /// Our requests on the wire, by whom they asked for.
    fn asked(&self) -> BTreeMap<Ipv4Addr, Vec<Asked>> {
        assert_eq!(self.lan.log().dropped(), 0, "a part cannot be counted");
        let mut asked = BTreeMap::<_, Vec<_>>::new();
        for (frame, packet) in self.lan.log().arp() {
            let is_ours = frame.from == self.port && packet.operation == Operation::Request;
            if is_ours && !packet.is_gratuitous() {
                let header = EthernetFrame::parse(&frame.bytes).expect("ours").header;
                asked.entry(packet.target_ip).or_default().push(Asked {
                    at: frame.at,
                    to: header.destination,
                });
            }
        }
        asked
    }

    fn asked_for(&self, n: u16) -> Vec<Asked> {
        self.asked().remove(&ip(n)).unwrap_or_default()
    }

    /// RFC 1122 section 2.3.2.1: at most one request a second for each neighbour.
    #[track_caller]
    fn assert_nobody_is_pestered(&self) {
        for (ip, asked) in self.asked() {
            for pair in asked.windows(2) {
                let pause = pair[1].at - pair[0].at;
                assert!(pause >= secs(1), "{ip} is asked again after {pause:?}");
            }
        }
    }
}
