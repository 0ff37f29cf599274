//! whohas itself, with its outputs drained as the contract says.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::cache::{Cache, Rate, Storage, Trust};
use whohas::wire::ARP_FRAME_LEN;
use whohas::{Instant, Policy, Prefix, UnicastMac};

use super::{Contender, Frame, PREFIX_LEN, Receiver, US, mac_of, neighbour};

/// Time passes by this much from one operation to the next.
const TICK: Duration = Duration::from_micros(1);

/// The default policy with limits that a busy loop does not hit. A reply confirms its sender even if
/// we did not just ask, so that every reply takes the path of one that answers: merged, vouched
/// for, its timer and its place in the eviction order set anew.
const POLICY: Policy = Policy {
    unasked_reply: Trust::Update,
    request_rate: EVERY_TICK,
    reply_rate: EVERY_TICK,
    announcements: 0,
    ..Policy::STRICT
};
const EVERY_TICK: Rate = Rate {
    interval: TICK,
    burst: 128,
};

pub(crate) struct Ours<S: Storage> {
    cache: Box<Cache<S>>,
    now: Instant,
    sent: [u8; ARP_FRAME_LEN],
}

impl<S: Storage> Ours<S> {
    /// Knows `n` neighbours, each asked for and answered; all held, or none.
    pub(crate) fn new(storage: S, n: u32, held: bool) -> Self {
        let now = Instant::from_secs(1);
        let mut cache = Box::new(Cache::new(POLICY, storage));
        let prefix = Prefix::new(US, PREFIX_LEN).expect("at most 32 bits");
        cache.set_mac(now, mac_of(US));
        cache
            .set_addresses(now, &[prefix])
            .expect("one address of a host");
        let mut ours = Self {
            cache,
            now,
            sent: [0; ARP_FRAME_LEN],
        };
        let mut reply = Frame::reply();
        for ip in (0..n).map(neighbour) {
            let hold = ours.cache.hold(ip).expect("a slot for each");
            ours.drain();
            ours.receive(reply.from(ip));
            assert_eq!(ours.lookup(ip), Some(mac_of(ip)));
            if !held {
                ours.cache.release(hold);
            }
        }
        ours
    }

    fn drain(&mut self) -> usize {
        while let Some(event) = self.cache.poll_event() {
            black_box(event);
        }
        let mut len = 0;
        while let Some(transmit) = self.cache.poll_transmit(self.now) {
            len = transmit.emit(&mut self.sent).expect("a frame's length");
        }
        len
    }
}

impl<S: Storage> Receiver for Ours<S> {
    fn receive(&mut self, frame: &[u8]) -> usize {
        self.now += TICK;
        self.cache.receive(self.now, frame);
        self.drain()
    }
}

impl<S: Storage> Contender for Ours<S> {
    fn lookup(&self, ip: Ipv4Addr) -> Option<UnicastMac> {
        self.cache.lookup(ip)
    }

    fn hold_and_release(&mut self, ip: Ipv4Addr) {
        let hold = self.cache.hold(ip).expect("a known neighbour");
        self.cache.release(black_box(hold));
    }

    fn next_deadline(&mut self) -> Option<u64> {
        self.cache.poll_timeout().map(Instant::as_micros)
    }

    fn fire(&mut self) -> Ipv4Addr {
        self.now = self.cache.poll_timeout().expect("entries that will expire");
        self.cache.handle_timeout(self.now);
        let asked = self.cache.poll_transmit(self.now);
        let asked = asked.expect("a request to verify a held entry");
        let ip = asked.packet().target_ip;
        asked.emit(&mut self.sent).expect("a frame's length");
        assert!(
            self.cache.poll_transmit(self.now).is_none(),
            "one at a time"
        );
        ip
    }
}
