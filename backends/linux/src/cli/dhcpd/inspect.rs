//! Dynamic ARP inspection: whoever claims an address that was leased to another station is counted and
//! told of. The judge is the core's cache, which is told of leases and shown every ARP frame.
//!
//! Nobody is resolved here and nobody is stopped: frames are heard, not forwarded. Programs that resolve
//! by the same cache refuse to believe such a frame.

use std::net::Ipv4Addr;

use whohas::cache::{
    Cache, DropReason, Event as CacheEvent, Fixed, Growable, Inspect, Received, Strict,
};
use whohas::dhcp::server::{Binding, BindingState, Event};
use whohas::dhcp::store::Expiry;
use whohas::wire::dhcp::ClientHardware;
use whohas::{Instant, Prefix, UnicastMac};

/// Knows whom each address is leased to, and sees who says otherwise.
#[derive(Debug)]
pub(super) struct Inspector {
    cache: Cache<Fixed<1>, Inspect<Growable, Strict>>,
    limit: usize,
    seed: u32,
    /// Frames that contradicted a lease.
    refused: u64,
    /// Leases that there was no room for.
    pub(super) missed: u64,
}

/// Somebody claims an address that another station has a lease of. Told once for each lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) ip: Ipv4Addr,
    pub(super) leased_to: UnicastMac,
    pub(super) by: UnicastMac,
}

impl Inspector {
    /// One that knows of no lease, and of at most so many later.
    pub(super) fn new(limit: usize, seed: u32) -> Self {
        Self {
            cache: cache(limit, seed),
            limit,
            seed,
            refused: 0,
            missed: 0,
        }
    }

    /// Forgets all, even the time: the clock was set. Who we are and all leases are to be told anew.
    pub(super) fn forget(&mut self) {
        self.cache = cache(self.limit, self.seed);
    }

    /// Who we are ourselves, on all interfaces: that is nobody's to lease.
    pub(super) fn set_host(&mut self, now: Instant, mac: UnicastMac, own: &[Prefix]) {
        self.cache.set_mac(now, mac);
        while self.cache.poll_event().is_some() {}
        // Of more addresses than there is room for the first are known. None of them is ever leased.
        for known in (0..=own.len()).rev() {
            if self.cache.set_addresses(now, &own[..known]).is_ok() {
                break;
            }
        }
        while self.cache.poll_event().is_some() {}
    }

    /// Takes what the server knew before.
    pub(super) fn load(&mut self, now: Instant, binding: &Binding<'_>) {
        if let BindingState::Leased { expiry } = binding.state {
            self.lease(now, binding.ip, binding.hardware, expiry);
        }
    }

    /// Takes what the server has told.
    pub(super) fn happened(&mut self, now: Instant, event: &Event) {
        match *event {
            Event::Leased {
                ip, client, expiry, ..
            } => self.lease(now, ip, client, expiry),
            Event::Released { ip, .. } | Event::Expired { ip, .. } | Event::Declined { ip, .. } => {
                self.cache.end_lease(ip);
            }
            _ => {}
        }
    }

    fn lease(&mut self, now: Instant, ip: Ipv4Addr, client: ClientHardware, expiry: Expiry) {
        // What is not Ethernet does not speak ARP here.
        let Some(mac) = client.mac() else {
            self.cache.end_lease(ip);
            return;
        };
        let period = match expiry {
            Expiry::At(end) => Some(end - now),
            Expiry::Never => None,
        };
        if self.cache.lease(now, ip, mac, period).is_err() {
            self.missed += 1;
        }
        while self.cache.poll_event().is_some() {}
    }

    /// Looks at an ARP frame.
    pub(super) fn receive(&mut self, now: Instant, frame: &[u8]) -> Option<Claim> {
        let refused = Received::Dropped(DropReason::ClaimsLeasedAddress);
        self.refused += u64::from(self.cache.receive(now, frame) == refused);
        let mut claim = None;
        while let Some(event) = self.cache.poll_event() {
            if let CacheEvent::LeaseClaimed { key, leased_to, by } = event {
                claim = Some(Claim {
                    ip: key.ip,
                    leased_to,
                    by,
                });
            }
        }
        claim
    }

    /// How many frames contradicted a lease.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }
}

fn cache(limit: usize, seed: u32) -> Cache<Fixed<1>, Inspect<Growable, Strict>> {
    let leases = Growable::new(limit);
    Cache::new(Inspect::seeded(Strict, leases, seed), Fixed::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use whohas::wire::{ARP_FRAME_LEN, ArpPacket, MacAddr};

    const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
    const LEASE: Duration = Duration::from_secs(60);

    fn station(number: u8) -> UnicastMac {
        UnicastMac::new([2, 0, 0, 0, 0, number]).unwrap()
    }

    fn inspector(now: Instant) -> Inspector {
        let mut inspector = Inspector::new(4, 7);
        introduce(&mut inspector, now);
        inspector
    }

    fn introduce(inspector: &mut Inspector, now: Instant) {
        let own = Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24).unwrap();
        inspector.set_host(now, station(1), &[own]);
    }

    fn leased(ip: Ipv4Addr, to: u8, now: Instant) -> Event {
        Event::Leased {
            ip,
            client: ClientHardware::ethernet(station(to)),
            expiry: Expiry::At(now + LEASE),
            renewed: false,
        }
    }

    fn claim(by: u8) -> [u8; ARP_FRAME_LEN] {
        let mut frame = [0; ARP_FRAME_LEN];
        let packet = ArpPacket::announcement(station(by), IP);
        packet
            .emit_frame(MacAddr::BROADCAST, None, &mut frame)
            .unwrap();
        frame
    }

    #[test]
    fn whoever_claims_the_lease_of_another_is_told_of_once_and_counted_always() {
        let now = Instant::from_secs(1_000_000);
        let mut inspector = inspector(now);
        assert_eq!(inspector.receive(now, &claim(9)), None, "nobody's yet");
        inspector.happened(now, &leased(IP, 2, now));
        assert_eq!(inspector.receive(now, &claim(2)), None, "its own");
        let told = Claim {
            ip: IP,
            leased_to: station(2),
            by: station(9),
        };
        assert_eq!(inspector.receive(now, &claim(9)), Some(told));
        assert_eq!(inspector.receive(now, &claim(9)), None);
        assert_eq!(inspector.refused(), 2);
    }

    #[test]
    fn a_lease_that_has_ended_is_anybodys_to_the_microsecond() {
        let now = Instant::from_secs(1_000_000);
        let mut inspector = inspector(now);
        inspector.happened(now, &leased(IP, 2, now));
        let last = now + LEASE - Duration::from_micros(1);
        assert!(inspector.receive(last, &claim(9)).is_some());
        assert!(inspector.receive(now + LEASE, &claim(9)).is_none());
        assert_eq!(inspector.refused(), 1);

        inspector.happened(last, &leased(IP, 2, now + LEASE));
        let client = ClientHardware::ethernet(station(2));
        inspector.happened(last, &Event::Released { ip: IP, client });
        assert!(inspector.receive(now + LEASE, &claim(9)).is_none());
    }

    #[test]
    fn leases_that_find_no_room_are_counted() {
        let now = Instant::from_secs(1_000_000);
        let mut inspector = inspector(now);
        for number in 0..5 {
            let ip = Ipv4Addr::new(10, 0, 0, 100 + number);
            inspector.happened(now, &leased(ip, 2, now));
        }
        assert_eq!(inspector.missed, 1);
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_lease_longer() {
        let (now, earlier) = (Instant::from_secs(1_000_000), Instant::from_secs(10));
        let mut inspector = inspector(now);
        inspector.happened(now, &leased(IP, 2, now));
        assert!(inspector.receive(now, &claim(9)).is_some());
        inspector.forget();
        introduce(&mut inspector, earlier);
        inspector.happened(earlier, &leased(IP, 2, earlier));
        let last = earlier + LEASE - Duration::from_micros(1);
        assert!(inspector.receive(last, &claim(9)).is_some());
        assert!(inspector.receive(earlier + LEASE, &claim(9)).is_none());
        assert_eq!(inspector.refused(), 2, "what was counted stays");
    }
}
