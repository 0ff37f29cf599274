//! `whohas dhcpd`: a DHCP server that asks before it gives, and keeps what it promised.

mod clock;
mod notify;
mod sandbox;
mod socket;
