//! `whohas dhcpd` in a LAN of namespaces: clients that others wrote get, renew, release and decline
//! addresses; others squat on addresses, lie, flood and crash.
#![cfg(target_os = "linux")]

mod clients;
mod crash;
mod crowd;
mod daemon;
mod decline;
mod dnsmasq;
mod message;
mod network;
mod probe;
mod pxe;
mod random;
mod renew;
mod service;
mod storm;
mod way;

use whohas_lab::lan_test;

// Messages that broke others.
#[allow(dead_code)]
#[path = "../dhcp/exhibits.rs"]
mod exhibits;
