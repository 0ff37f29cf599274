//! All that holds for the link holds for the one that copies nothing.

#[path = "link/arrivals.rs"]
mod arrivals;
#[path = "link/departures.rs"]
mod departures;
#[path = "link/driven.rs"]
mod driven;
#[path = "link/own_side.rs"]
mod own_side;
#[path = "link/storms.rs"]
mod storms;
#[path = "link/support.rs"]
mod support;

mod kind {
    use whohas::link::InPlace;
    use whohas::sim::{LanClock, LanDriver};

    use super::support::Resolver;

    pub type TestLink = InPlace<LanDriver, &'static Resolver, LanClock, 6, 2048>;
}
