//! `whohas dhcpd`: a DHCP server that asks before it gives, and keeps what it promised.

pub(super) mod control;
mod desk;
mod http;
mod listener;
mod log;
mod meters;
mod printable;
