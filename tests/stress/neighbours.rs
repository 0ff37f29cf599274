//! The neighbours: where they are, what their MACs say, and which of these may be seen at a moment.

use core::net::Ipv4Addr;
use core::num::NonZeroU8;
use core::ops::{Range, RangeInclusive};
use core::time::Duration;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use whohas::cache::{Rate, Trust};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, UnicastMac};

/// Every neighbour has a number. These are in the network at home, a /22, and move;
pub const AT_HOME: Range<usize> = 0..1_000;
/// these are there too, never move, and ask us;
pub const ASKING: Range<usize> = 1_000..1_016;
/// and these move as well, in a network that comes and goes.
pub const AWAY: Range<usize> = 1_016..1_216;

pub const START: Instant = Instant::ZERO;
pub const OWN_MAC: UnicastMac = match UnicastMac::new([2, 0, 0, 0, 0, 1]) {
    Ok(mac) => mac,
    Err(_) => panic!("the group bit is clear"),
};
const OWN_AT_HOME: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const OWN_AWAY: Ipv4Addr = Ipv4Addr::new(172, 16, 200, 1);

/// Time runs a thousand times as fast as in other networks, so that every timer fires.
pub const POLICY: Policy = Policy {
    requests: NonZeroU8::MIN,
    retransmit: Duration::from_millis(2),
    reachable_time: Duration::from_millis(20),
    delay_first_probe: Duration::ZERO,
    stale_time: Duration::from_millis(50),
    lock_time: Duration::ZERO,
    backoff_first: Duration::from_millis(2),
    backoff_max: Duration::from_millis(20),
    request_rate: Rate {
        interval: Duration::from_micros(1),
        burst: 1_024,
    },
    unasked_reply: Trust::Create,
    request_for_us: Trust::Create,
    announcements: 0,
    ..Policy::STRICT
};

pub fn all() -> Range<usize> {
    AT_HOME.start..AWAY.end
}

/// Our own addresses while both networks are there; the first alone while one is.
pub fn own() -> [Prefix; 2] {
    [(OWN_AT_HOME, 22), (OWN_AWAY, 24)]
        .map(|(ip, len)| Prefix::new(ip, len).expect("at most 32 bits"))
}

pub fn ip(n: usize) -> Ipv4Addr {
    let (first, offset) = if AWAY.contains(&n) {
        (OWN_AWAY, n - AWAY.start)
    } else {
        (OWN_AT_HOME, n)
    };
    Ipv4Addr::from_bits(first.to_bits() + 1 + offset as u32)
}

pub fn key(n: usize) -> Key {
    ip(n).into()
}

/// The reverse of [`ip`].
pub fn number(key: Key) -> usize {
    let ip = key.ip.to_bits();
    let first = ip.checked_sub(OWN_AWAY.to_bits() + 1);
    let n = first.map_or_else(
        || ip.wrapping_sub(OWN_AT_HOME.to_bits() + 1) as usize,
        |offset| AWAY.start + offset as usize,
    );
    assert!(
        all().contains(&n) && self::key(n) == key,
        "{key} is nobody's"
    );
    n
}

/// 02, three octets of generation, two of the address.
pub fn mac(n: usize, generation: u32) -> UnicastMac {
    let [_, a, b, c] = generation.to_be_bytes();
    let [_, _, high, low] = ip(n).octets();
    UnicastMac::new([2, a, b, c, high, low]).expect("the group bit is clear")
}

/// The generation that a MAC of the `n`th neighbour names; `None` if it is no MAC of that neighbour.
fn generation(n: usize, seen: UnicastMac) -> Option<u32> {
    let [_, a, b, c, _, _] = seen.get().octets();
    let generation = u32::from_be_bytes([0, a, b, c]);
    (mac(n, generation) == seen).then_some(generation)
}

/// What the `n`th neighbour says to us.
fn request(n: usize, station: UnicastMac) -> ArpPacket {
    ArpPacket::request(station, ip(n), own_ip(n))
}

fn own_ip(n: usize) -> Ipv4Addr {
    if AWAY.contains(&n) {
        OWN_AWAY
    } else {
        OWN_AT_HOME
    }
}

/// The frame in which the `n`th neighbour asks who we are.
pub fn request_of(n: usize) -> [u8; ARP_FRAME_LEN] {
    framed(request(n, mac(n, 0)), MacAddr::BROADCAST)
}

/// The frame in which it answers from this station.
pub fn answer_of(n: usize, station: UnicastMac) -> [u8; ARP_FRAME_LEN] {
    let question = ArpPacket::request(OWN_MAC, own_ip(n), ip(n));
    framed(question.answered_by(station), OWN_MAC.get())
}

fn framed(packet: ArpPacket, to: MacAddr) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    packet
        .emit_frame(to, None, &mut frame)
        .expect("room for an untagged frame");
    frame
}

/// Which generations of each neighbour may be seen now.
pub struct Neighbours(Box<[Bounds]>);

#[derive(Default)]
struct Bounds {
    /// The latest that all must know of, or know nothing.
    settled: AtomicU32,
    /// The latest that the resolver was ever given.
    issued: AtomicU32,
}

/// As many as fit into a MAC.
const LAST_GENERATION: u32 = (1 << 24) - 1;

impl Neighbours {
    pub fn new() -> Self {
        Self(all().map(|_| Bounds::default()).collect())
    }

    /// A generation that nobody has seen. Only the writer asks for one; `None` when all were used up.
    pub fn issue(&self, n: usize) -> Option<u32> {
        let issued = &self.0[n].issued;
        let generation = issued.load(Relaxed) + 1;
        // Before it is published, so whoever sees it published sees it issued.
        (generation <= LAST_GENERATION).then(|| issued.store(generation, Relaxed))?;
        Some(generation)
    }

    /// From now on nobody may see an earlier one.
    pub fn settle(&self, n: usize, generation: u32) {
        self.0[n].settled.store(generation, Release);
    }
}

/// What one thread has seen so far, and what it may see next.
pub struct Witness<'a> {
    name: String,
    neighbours: &'a Neighbours,
    /// The latest generation of each.
    latest: Vec<u32>,
}

impl<'a> Witness<'a> {
    pub fn new(name: String, neighbours: &'a Neighbours) -> Self {
        Self {
            name,
            neighbours,
            latest: all().map(|_| 0).collect(),
        }
    }

    /// Looks where the `n`th neighbour is, and checks what it sees.
    pub fn look(
        &mut self,
        n: usize,
        how: &str,
        read: impl FnOnce() -> Option<UnicastMac>,
    ) -> Option<UnicastMac> {
        let settled = self.neighbours.0[n].settled.load(Acquire);
        self.heard(n, settled);
        let seen = read()?;
        self.check(n, how, seen);
        Some(seen)
    }

    /// Checks what it was told.
    pub fn check(&mut self, n: usize, how: &str, seen: UnicastMac) {
        let issued = self.neighbours.0[n].issued.load(Relaxed);
        let expected = self.latest[n]..=issued;
        match generation(n, seen) {
            Some(generation) if expected.contains(&generation) => self.latest[n] = generation,
            Some(_) | None => self.complain(n, how, seen, expected),
        }
    }

    /// Another thread has seen this generation before.
    pub fn heard(&mut self, n: usize, generation: u32) {
        self.latest[n] = self.latest[n].max(generation);
    }

    /// The latest generation that it has seen or heard of.
    pub fn latest(&self, n: usize) -> u32 {
        self.latest[n]
    }

    fn complain(&self, n: usize, how: &str, seen: UnicastMac, expected: RangeInclusive<u32>) -> ! {
        let (first, last) = expected.into_inner();
        let [first, last] = [first, last].map(|generation| mac(n, generation));
        panic!(
            "{}: {how} {}: expected {first} to {last}, saw {seen}",
            self.name,
            ip(n),
        );
    }
}
