//! The link on the simulated LAN, in virtual time: every packet has one way, every frame one place.

mod arrivals;
mod bounds;
mod departures;
mod driven;
mod own_side;
mod queues;
mod storms;
mod support;
mod transparent;

mod kind {
    use whohas::link::Link;
    use whohas::sim::{LanClock, LanDriver};

    use super::support::Resolver;

    pub type TestLink = Link<LanDriver, &'static Resolver, LanClock, 1500, 6, 2048>;
}
