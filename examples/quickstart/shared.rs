//! The whohas way: every program has a hold of its own, all of them share one entry.

use whohas::cache::{Fixed, Status};
use whohas::resolver::LocalHold;
use whohas::sim::Station;
use whohas::{Hold, Instant, LocalResolver, Policy, Prefix};

use crate::story::{Answer, HOST, Resolve, US, mac};

type Resolver = LocalResolver<Fixed<4>>;

pub struct Shared {
    resolver: &'static Resolver,
    station: &'static Resolver,
}

impl Shared {
    pub fn new() -> Self {
        static RESOLVER: Resolver = LocalResolver::new(Policy::STRICT, Fixed::new());
        RESOLVER.set_mac(Instant::ZERO, mac(1));
        let own = Prefix::new(US, 24).expect("24 bits");
        RESOLVER
            .set_addresses(Instant::ZERO, &[own])
            .expect("a legal address");
        Self {
            resolver: &RESOLVER,
            station: &RESOLVER,
        }
    }
}

impl Resolve for Shared {
    type Claim = LocalHold<'static, Fixed<4>>;

    fn claim(&mut self) -> Option<Self::Claim> {
        self.resolver.hold(HOST).ok()
    }

    fn look(&self, hold: &Self::Claim) -> Answer {
        match hold.status() {
            Status::Resolved(_) => Answer::Known,
            Status::Pending => Answer::Waiting,
            Status::Unreachable | Status::Gone => Answer::Lost,
        }
    }

    fn confirm(&mut self, now: Instant, hold: &Self::Claim) {
        hold.confirm(now);
    }

    fn release(&mut self, hold: Self::Claim) {
        drop(hold);
    }

    fn in_use(&self) -> usize {
        self.resolver
            .entry(HOST)
            .map_or(0, |entry| entry.holds as usize)
    }

    fn station(&mut self) -> &mut dyn Station {
        &mut self.station
    }
}
