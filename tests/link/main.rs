//! The link on the simulated LAN, in virtual time: every packet has one way, every frame one place.

mod arrivals;
mod departures;
mod driven;
mod own_side;
mod support;
