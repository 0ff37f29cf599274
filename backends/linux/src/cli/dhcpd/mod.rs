//! `whohas dhcpd`: a DHCP server.

#[allow(dead_code, unused_imports)] // until the daemon is merged
pub(crate) mod config;
