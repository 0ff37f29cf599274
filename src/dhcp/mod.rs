//! DHCP for IPv4 (RFC 2131): who gets which address, for how long, and what else there is to know.
//!
//! [`client`] is a host's side, [`server`] the other one, and [`store`] where a server keeps what it
//! has promised. Messages are in [`wire::dhcp`](crate::wire::dhcp).

pub mod client;
pub mod server;
pub mod store;
