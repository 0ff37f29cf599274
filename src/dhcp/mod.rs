//! DHCP for IPv4 (RFC 2131): who gets which address, for how long, and what else there is to know.
//!
//! [`client`] is a host's side. Messages are in [`wire::dhcp`](crate::wire::dhcp).

pub mod client;
