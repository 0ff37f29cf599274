//! What stores write, what they read of it again, and what every store can be.

mod dnsmasq;
mod log;
mod samples;
mod shared;
