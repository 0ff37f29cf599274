//! The interfaces that are served: what comes in over them, and how replies leave.
//!
//! Everything is received as frames, through a ring on each interface: from clients that have no
//! address yet, from those that renew, and from relays. So a request is handled once, the interface it
//! came in by is never in doubt, and no firewall or route of the host's stands between.
//!
//! Replies leave in one of two ways. On the link itself, as frames of ours: nobody can ask a client
//! that has no address yet, and one that has is answered at the hardware address that the server knows
//! it by, without a question. To relays, and to clients behind a router, as packets with a header of
//! ours that the kernel routes: it knows the way back, which need not be the way in.

mod envelope;
mod hear;
mod outbox;
mod port;

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{SendFlags, send};
use whohas::dhcp::server::{Arrival, Destination, InterfaceId, Probe, Transmit};
use whohas::wire::dhcp::{DHCP_CLIENT_PORT, DHCP_SERVER_PORT};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, MacAddr};
use whohas::{Prefix, UnicastMac};

use crate::interface::Interface;
use crate::monitor::Notices;
use crate::open::OpenError;

use super::super::failure::Failure;
use super::super::interface::open_failure;

use envelope::Envelope;
use hear::{Flaw, Heard, hear};
use outbox::{Letter, Outbox, Way};
pub(super) use port::{Port, Turn};

/// The interfaces of the configuration, in its order: the number of each is its place there.
#[derive(Debug)]
pub(super) struct Sockets {
    ports: Vec<Port>,
    routed: OwnedFd,
    /// Packets that wait to be routed.
    letters: Vec<Letter>,
    outbox: Outbox,
    notices: Notices,
    /// The stations that this host is.
    stations: Vec<UnicastMac>,
    /// All addresses that datagrams to us can have.
    own: Vec<Ipv4Addr>,
    /// Those of them that are not the host's: virtual ones.
    virtual_ips: Vec<Ipv4Addr>,
    /// Replies that the kernel has refused: link down, no route, queue full.
    refused: u64,
}

/// What was counted on an interface since the start. Each frame that was received is one of `arp`,
/// `dhcp`, and the [drops](Self::drops) but `overrun`, of which nothing was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SocketCounters {
    /// Frames that came up.
    pub(super) received: u64,
    /// Packets of ARP.
    pub(super) arp: u64,
    /// Datagrams to a DHCP server, and to this one.
    pub(super) dhcp: u64,
    malformed: u64,
    other_vlan: u64,
    other: u64,
    elsewhere: u64,
    overrun: u64,
    /// Probes that left.
    pub(super) probes: u64,
}

impl SocketCounters {
    /// What went no further than here, by the reason.
    pub(super) const fn drops(&self) -> [(&'static str, u64); 5] {
        [
            // Headers that contradict each other, or a wrong checksum.
            ("malformed", self.malformed),
            // Of a VLAN that is another interface's.
            ("other_vlan", self.other_vlan),
            // Of no protocol of ours.
            ("other_protocol", self.other),
            // To another host, which this one forwards.
            ("not_for_us", self.elsewhere),
            // The ring was full.
            ("overrun", self.overrun),
        ]
    }
}

/// What came in.
#[derive(Debug)]
pub(super) enum Incoming<'a> {
    /// The payload of a datagram.
    Datagram(Arrival<'a>, &'a [u8]),
    /// An ARP packet.
    Arp {
        interface: InterfaceId,
        /// Who sent the frame.
        source: MacAddr,
        packet: ArpPacket,
        /// The stations that this host is.
        own: &'a [UnicastMac],
        frame: &'a [u8],
    },
}

impl Sockets {
    /// Opens all sockets. To be called with the [right](super::super::privilege) to it.
    pub(super) fn open(names: &[String]) -> Result<Self, Failure> {
        Self::try_open(names).map_err(open_failure)
    }

    fn try_open(names: &[String]) -> Result<Self, OpenError> {
        // Before the interfaces are looked at, so that no change falls in between.
        let notices = Notices::of_links_and_addresses()
            .map_err(OpenError::io("cannot watch the interfaces"))?;
        let ports = names.iter().map(|name| Port::open(name));
        let ports = ports.collect::<Result<Vec<_>, _>>()?;
        // The shortest fits all.
        let longest = ports.iter().map(|port| port.state.mtu).min();
        let longest = longest.unwrap_or_default().clamp(576, 9_216);
        let mut this = Self {
            outbox: Outbox::new(longest),
            ports,
            routed: port::routed_socket()?,
            letters: Vec::new(),
            notices,
            stations: Vec::new(),
            own: Vec::new(),
            virtual_ips: Vec::new(),
            refused: 0,
        };
        this.note_host(&port::list()?);
        Ok(this)
    }

    /// Addresses that are the server's without being the host's.
    pub(super) fn set_virtual_ips(&mut self, ips: Vec<Ipv4Addr>) {
        self.own.retain(|own| !self.virtual_ips.contains(own));
        self.own.extend(&ips);
        self.virtual_ips = ips;
    }

    fn note_host(&mut self, all: &[Interface]) {
        let macs = all.iter().filter_map(|interface| interface.mac);
        self.stations = macs.filter_map(|mac| mac.unicast().ok()).collect();
        let host = all.iter().flat_map(port::prefixes).map(Prefix::ip);
        self.own = host.chain(self.virtual_ips.iter().copied()).collect();
    }

    /// Each interface, in the order of their numbers.
    pub(super) fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Replies that the kernel has refused.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Has the kernel tell what it has counted.
    pub(super) fn count(&mut self) {
        self.ports.iter_mut().for_each(Port::count);
    }

    /// Hands up what has come in, so many frames of each interface at most. True if there may be more.
    pub(super) fn receive(&mut self, most: usize, mut take: impl FnMut(Incoming<'_>)) -> bool {
        let mut more = false;
        for (number, port) in self.ports.iter_mut().enumerate() {
            let interface = InterfaceId(number as u32);
            let mut left = most;
            let counters = &mut port.counters;
            while left > 0 && port.receiver.is_ready(&mut port.ring_counters) {
                left -= 1;
                counters.received += 1;
                let frame = port.receiver.frame();
                let counter = match hear(frame) {
                    Ok(Heard::Arp { source, packet }) => {
                        take(Incoming::Arp {
                            interface,
                            source,
                            packet,
                            own: &self.stations,
                            frame,
                        });
                        &mut counters.arp
                    }
                    Ok(Heard::Dhcp {
                        source,
                        destination,
                        payload,
                    }) => {
                        let state = &port.state;
                        if state.is_broadcast(destination) || self.own.contains(&destination) {
                            let arrival = Arrival {
                                interface,
                                mac: state.mac,
                                addresses: &state.addresses,
                                source,
                                destination,
                            };
                            take(Incoming::Datagram(arrival, payload));
                            &mut counters.dhcp
                        } else {
                            &mut counters.elsewhere
                        }
                    }
                    Err(Flaw::Malformed) => &mut counters.malformed,
                    Err(Flaw::OtherVlan) => &mut counters.other_vlan,
                    Err(Flaw::Other) => &mut counters.other,
                };
                *counter += 1;
                port.receiver.release();
            }
            more |= left == 0;
        }
        more
    }

    /// Sends a probe now; false if it could not leave.
    pub(super) fn send_probe(&mut self, probe: &Probe) -> bool {
        let Some(port) = self.ports.get_mut(probe.interface.0 as usize) else {
            return false;
        };
        let mut frame = [0; ARP_FRAME_LEN];
        let outgoing = &probe.outgoing;
        let written = outgoing
            .packet
            .emit_frame(outgoing.destination, None, &mut frame);
        let sent = port.state.running
            && written.is_ok()
            && send(&*port, &frame, SendFlags::DONTWAIT).is_ok();
        port.counters.probes += u64::from(sent);
        sent
    }

    /// Room for the payload of a reply. What waits is sent if there is none, and given up if that does
    /// not help.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.outbox.room().is_none() {
            self.flush();
        }
        if self.outbox.room().is_none() {
            let waiting = self.ports.iter_mut().map(|port| &mut port.letters);
            for letters in waiting.chain([&mut self.letters]) {
                self.refused += self.outbox.discard(letters.drain(..));
            }
        }
        self.outbox.room().unwrap_or_default()
    }

    /// Sends what was written to the [room](Self::room), with what else goes out at the next
    /// [flush](Self::flush).
    pub(super) fn post(&mut self, transmit: &Transmit) {
        let Some(port) = self.ports.get_mut(transmit.interface.0 as usize) else {
            self.refused += 1;
            return;
        };
        let from = port.state.mac.get();
        let (ip, to_port, way) = match transmit.destination {
            Destination::Relay(ip) => (ip, DHCP_SERVER_PORT, Way::Routed),
            Destination::Client { ip, mac: None } => (ip, DHCP_CLIENT_PORT, Way::Routed),
            Destination::Client { ip, mac: Some(mac) } | Destination::Station { ip, mac } => {
                let to = mac.get();
                (ip, DHCP_CLIENT_PORT, Way::Frame { from, to })
            }
            Destination::Broadcast => {
                let to = MacAddr::BROADCAST;
                (
                    Ipv4Addr::BROADCAST,
                    DHCP_CLIENT_PORT,
                    Way::Frame { from, to },
                )
            }
        };
        let envelope = Envelope {
            source: (transmit.source, DHCP_SERVER_PORT),
            destination: (ip, to_port),
        };
        let letters = match way {
            Way::Frame { .. } => &mut port.letters,
            Way::Routed => &mut self.letters,
        };
        letters.extend(self.outbox.seal(transmit.len, envelope, way));
    }

    /// Sends what waits, as far as the kernel has room.
    pub(super) fn flush(&mut self) {
        self.refused += self.outbox.flush(self.routed.as_fd(), &mut self.letters);
        for port in &mut self.ports {
            let socket = port.receiver.as_fd();
            self.refused += self.outbox.flush(socket, &mut port.letters);
        }
    }

    /// Takes in what has become of the interfaces, if the kernel has given notice; tells each turn.
    pub(super) fn refresh(&mut self, mut tell: impl FnMut(&str, &Turn)) {
        if !self.notices.take() {
            return;
        }
        let Ok(all) = port::list() else {
            return;
        };
        self.note_host(&all);
        for port in &mut self.ports {
            for turn in port.refresh(&all) {
                tell(&port.name, &turn);
            }
        }
    }

    /// What to wait for: notices, of which the first place is, frames, and room for what waits.
    pub(super) fn wait_for<'s>(&'s self, fds: &mut Vec<PollFd<'s>>) {
        fds.push(PollFd::new(&self.notices, PollFlags::IN));
        for port in &self.ports {
            fds.push(PollFd::new(port, with_room(PollFlags::IN, &port.letters)));
        }
        if !self.letters.is_empty() {
            fds.push(PollFd::new(&self.routed, PollFlags::OUT));
        }
    }

    /// Clears the errors that waiting ends with. That an interface is down is heard of by a notice.
    pub(super) fn clear_errors(&self) {
        self.ports.iter().for_each(Port::clear_error);
    }
}

fn with_room(flags: PollFlags, waiting: &[Letter]) -> PollFlags {
    match waiting {
        [] => flags,
        [_, ..] => flags | PollFlags::OUT,
    }
}
