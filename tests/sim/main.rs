//! The simulated LAN, seen from outside: what the hosts do, who hears whom, and that it replays.
#![cfg(feature = "sim")]

mod address_conflicts;
mod bounds;
mod capture;
mod delivery;
mod hosts;
mod replay;
mod stations;

use core::net::Ipv4Addr;
use core::time::Duration;

use whohas::Instant;
use whohas::sim::{Flood, Host, INBOX_FRAMES, Lan, Link, LinkStats, LoggedFrame, PortId, Station};
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes, MacAddr, Operation, UnicastMac, VlanId,
};

const US: u8 = 1;
const PEER: u8 = 2;
const OTHER: u8 = 3;
const NOBODY: u8 = 9;

const NO_ANSWER: [UnicastMac; 0] = [];

fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap()
}

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn host(n: u8) -> Host {
    Host::new(ip(n), mac(n))
}

fn frame(packet: ArpPacket, to: impl Into<MacAddr>, vlan: Option<VlanId>) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    packet.emit_frame(to.into(), vlan, &mut frame).unwrap();
    frame
}

fn broadcast(packet: ArpPacket) -> [u8; ARP_FRAME_LEN] {
    frame(packet, MacAddr::BROADCAST, None)
}

fn who_has(target: Ipv4Addr) -> ArpPacket {
    ArpPacket::request(mac(US), ip(US), target)
}

fn arp(frame: &[u8]) -> ArpPacket {
    let frame = EthernetFrame::parse(frame).unwrap();
    ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).unwrap()
}

/// A LAN with one port of ours and one host.
fn lan_with(host: Host) -> (Lan, PortId) {
    let mut lan = Lan::new(7);
    let us = lan.add_port(mac(US));
    lan.add_host(host);
    (lan, us)
}

/// Everything that waits behind the port, as ARP packets.
fn received(lan: &mut Lan, port: PortId) -> Vec<ArpPacket> {
    core::iter::from_fn(|| lan.receive(port).map(|frame| arp(&frame))).collect()
}

/// Asks and says who answers at once.
fn answers(lan: &mut Lan, port: PortId, packet: ArpPacket) -> Vec<UnicastMac> {
    lan.send(port, &broadcast(packet));
    lan.advance_to(lan.now());
    let answers = received(lan, port);
    assert!(answers.iter().all(|answer| {
        answer.operation == Operation::Reply
            && answer.sender_ip == packet.target_ip
            && answer.target_mac == packet.sender_mac.get()
    }));
    answers.iter().map(|answer| answer.sender_mac).collect()
}

/// When the frames were sent.
fn times<'a>(frames: impl Iterator<Item = (&'a LoggedFrame, ArpPacket)>) -> Vec<Instant> {
    frames.map(|(frame, _)| frame.at).collect()
}
