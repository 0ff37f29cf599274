//! The ways on which our own clients reach a server: on the link, without an address, or through a
//! relay.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use whohas::UnicastMac;
use whohas::wire::dhcp::{DHCP_CLIENT_PORT, DHCP_SERVER_PORT};
use whohas::wire::{
    ArpPacket, EtherType, EthernetFrame, EthernetHeader, Fragment, HardwareTypes, IpProtocol,
    Ipv4Header, Ipv4Packet, MacAddr, Operation, UdpChecksum, UdpDatagram, UdpHeader,
};
use whohas_lab::lan::Host;
use whohas_linux::{Protocols, RawSocket, wait_readable};

use crate::network::{RELAY, SERVER};

/// How messages come and go.
pub trait Way {
    /// Sends a message to servers, as from the client of this hardware address.
    fn send(&self, from: UnicastMac, message: &[u8]);
    /// The next message from a server, if one comes in time.
    fn receive(&self, patience: Duration) -> Option<Vec<u8>>;
}

/// On the link, where any number of clients can be, each with its own hardware address.
pub struct Link {
    socket: RawSocket,
    /// What they have, and answer for.
    owners: RefCell<BTreeMap<Ipv4Addr, UnicastMac>>,
}

impl Link {
    #[track_caller]
    pub fn open(end: &str) -> Self {
        let socket = RawSocket::open(end, Protocols::All);
        Self {
            socket: socket.unwrap_or_else(|error| panic!("{error}")),
            owners: RefCell::default(),
        }
    }

    /// Lets a client answer for its address, as its kernel would.
    pub fn owns(&self, mac: UnicastMac, ip: Ipv4Addr) {
        self.owners.borrow_mut().insert(ip, mac);
    }

    /// Sends a datagram from an address that the client has.
    pub fn send_from(
        &self,
        mac: UnicastMac,
        source: Ipv4Addr,
        to: (MacAddr, Ipv4Addr),
        message: &[u8],
    ) {
        let header = UdpHeader {
            source_port: DHCP_CLIENT_PORT,
            destination_port: DHCP_SERVER_PORT,
        };
        let mut datagram = vec![0; 8];
        datagram.extend(message);
        header
            .emit(source, to.1, &mut datagram)
            .expect("it is short");
        let packet = Ipv4Header {
            source,
            destination: to.1,
            protocol: IpProtocol::UDP,
            ttl: 64,
            service: 0,
            identification: 0,
            fragment: Fragment::Whole {
                dont_fragment: false,
            },
        };
        let ethernet = EthernetHeader {
            destination: to.0,
            source: mac.get(),
            tag: None,
            ethertype: EtherType::IPV4,
        };
        let mut frame = vec![0; 34];
        let rest = ethernet.emit(&mut frame).expect("room");
        packet.emit(rest, datagram.len()).expect("it is short");
        frame.extend(datagram);
        self.put(&frame);
    }

    /// Answers every question but those for this address, until it hears the end.
    pub fn answer_for_everything(&self, mac: UnicastMac, but: Ipv4Addr, end: &Receiver<()>) {
        while end.try_recv() != Err(TryRecvError::Disconnected) {
            let Some(frame) = self.next_frame(Instant::now() + Duration::from_millis(20)) else {
                continue;
            };
            if let Some(question) = arp(&frame).filter(|packet| packet.target_ip != but) {
                self.answer_for(mac, &question);
            }
        }
    }

    fn put(&self, frame: &[u8]) {
        // A queue that is full for a moment is what floods are about.
        while let Err(error) = self.socket.send(frame) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn next_frame(&self, deadline: Instant) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 2048];
        loop {
            if let Some(len) = self.socket.recv(&mut buffer).expect("the link stays up") {
                buffer.truncate(len);
                return Some(buffer);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            wait_readable(&self.socket, Some(left)).expect("poll works");
        }
    }

    fn answer_for(&self, mac: UnicastMac, question: &ArpPacket) {
        if question.operation == Operation::Request {
            let mut frame = [0; 60];
            let answer = question.answered_by(mac);
            let emitted = answer.emit_frame(question.sender_mac.get(), None, &mut frame);
            emitted.expect("room");
            self.put(&frame);
        }
    }
}

impl Way for Link {
    fn send(&self, from: UnicastMac, message: &[u8]) {
        let everybody = (MacAddr::BROADCAST, Ipv4Addr::BROADCAST);
        self.send_from(from, Ipv4Addr::UNSPECIFIED, everybody, message);
    }

    fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let deadline = Instant::now() + patience;
        loop {
            let frame = self.next_frame(deadline)?;
            if let Some(question) = arp(&frame) {
                let owner = self.owners.borrow().get(&question.target_ip).copied();
                if let Some(mac) = owner {
                    self.answer_for(mac, &question);
                }
            } else if let Some(message) = message_to_client(&frame) {
                return Some(message.to_vec());
            }
        }
    }
}

fn arp(frame: &[u8]) -> Option<ArpPacket> {
    let frame = EthernetFrame::parse(frame).ok()?;
    let is_arp = frame.header.ethertype == EtherType::ARP;
    let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok();
    packet.filter(|_| is_arp)
}

fn message_to_client(frame: &[u8]) -> Option<&[u8]> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ethertype != EtherType::IPV4 {
        return None;
    }
    let packet = Ipv4Packet::parse(frame.payload).ok()?;
    let Ipv4Header {
        source,
        destination,
        protocol,
        ..
    } = packet.header;
    if protocol != IpProtocol::UDP {
        return None;
    }
    // What the server sends has no checksum that somebody has yet to finish.
    let datagram =
        UdpDatagram::parse(packet.payload, source, destination, UdpChecksum::Verify).ok()?;
    (datagram.header.destination_port == DHCP_CLIENT_PORT).then_some(datagram.payload)
}

/// Through a relay, which is a host of its own: what many clients say comes from one address.
pub struct Relay {
    socket: UdpSocket,
    ip: Ipv4Addr,
}

impl Relay {
    /// A relay at this host.
    #[track_caller]
    pub fn at(host: &Host) -> Self {
        Self::at_address(host, RELAY)
    }

    #[track_caller]
    pub fn at_address(host: &Host, ip: Ipv4Addr) -> Self {
        let socket = host.within(|| UdpSocket::bind((ip, DHCP_SERVER_PORT)));
        Self {
            socket: socket.expect("the host has the address"),
            ip,
        }
    }
}

impl Relay {
    /// Sends whatever this is, as it is.
    pub fn pass(&self, message: &[u8]) {
        // That nobody listens there at the moment is not the relay's business.
        let _ = self.socket.send_to(message, (SERVER, DHCP_SERVER_PORT));
    }
}

impl Way for Relay {
    fn send(&self, _from: UnicastMac, message: &[u8]) {
        const HOPS: usize = 3;
        const GIADDR: usize = 24;
        let mut message = message.to_vec();
        if let Some(giaddr) = message.get_mut(GIADDR..GIADDR + 4) {
            giaddr.copy_from_slice(&self.ip.octets());
            message[HOPS] = message[HOPS].wrapping_add(1);
        }
        self.pass(&message);
    }

    fn receive(&self, patience: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 2048];
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.checked_duration_since(Instant::now());
            let left = left.filter(|left| !left.is_zero())?;
            let set = self.socket.set_read_timeout(Some(left));
            set.expect("it is not zero");
            match self.socket.recv(&mut buffer) {
                Ok(len) => {
                    buffer.truncate(len);
                    return Some(buffer);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                // The news that nobody listened.
                Err(_) => {}
            }
        }
    }
}
