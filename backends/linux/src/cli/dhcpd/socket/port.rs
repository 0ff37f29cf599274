//! One interface: what it is now, and the sockets on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, SocketAddrV4, SocketFlags, SocketType, bind, socket_with, sockopt,
};
use whohas::wire::dhcp::DHCP_SERVER_PORT;
use whohas::{Prefix, UnicastMac};

use crate::filter;
use crate::interface::{Interface, interfaces};
use crate::open::OpenError;
use crate::options::{Checksums, Counters, LONGEST, RingOptions};
use crate::raw::packet_socket;
use crate::receive::Receiver;
use crate::sys::ring::{Ring, statistics};
use crate::sys::socket::{self, Receives};

use super::SocketCounters;
use super::outbox::Letter;

/// An interface that is served.
#[derive(Debug)]
pub(in super::super) struct Port {
    pub(in super::super) name: String,
    pub(in super::super) state: State,
    pub(super) receiver: Receiver,
    pub(super) ring_counters: Counters,
    pub(super) counters: SocketCounters,
    /// Has the port on this interface, so that the kernel does not say that nobody listens there.
    /// Everything is received by the ring, also what is sent to us alone; this receives nothing.
    placeholder: Option<OwnedFd>,
    /// Frames that wait to be sent.
    pub(super) letters: Vec<Letter>,
}

/// What an interface is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct State {
    /// The kernel's number for it; none while it is gone.
    pub(super) index: Option<u32>,
    pub(in super::super) running: bool,
    pub(in super::super) mac: UnicastMac,
    /// Our addresses on it.
    pub(in super::super) addresses: Vec<Prefix>,
    pub(super) mtu: usize,
}

impl State {
    fn of(interface: &Interface) -> Result<Self, OpenError> {
        let mac = interface.mac.and_then(|mac| mac.unicast().ok());
        match mac {
            Some(mac) if interface.is_ethernet() => Ok(Self {
                index: Some(interface.index),
                running: interface.running,
                mac,
                addresses: prefixes(interface).collect(),
                mtu: interface.mtu as usize,
            }),
            _ => Err(OpenError::NotEthernet {
                name: interface.name.clone(),
                hardware_type: interface.hardware_type,
            }),
        }
    }

    /// Whether a datagram to this address is for everybody here.
    pub(super) fn is_broadcast(&self, ip: Ipv4Addr) -> bool {
        ip == Ipv4Addr::BROADCAST || self.addresses.iter().any(|own| own.broadcast() == Some(ip))
    }
}

/// The IPv4 addresses of an interface.
pub(super) fn prefixes(interface: &Interface) -> impl Iterator<Item = Prefix> {
    interface
        .addresses
        .iter()
        .filter_map(|address| match address.ip {
            IpAddr::V4(ip) => Prefix::new(ip, address.prefix_len).ok(),
            IpAddr::V6(_) => None,
        })
}

impl Port {
    /// Opens the interface of that name, which may be down.
    pub(super) fn open(name: &str) -> Result<Self, OpenError> {
        // Some thousand messages: what arrives while a device of the store's is waited for.
        const MEMORY: usize = 8 << 20;
        // Those that are longer cost a call each; hardly any are.
        const LONGEST_IN_RING: usize = 1024 - 128;
        let interface = Interface::find(name)?;
        let state = State::of(&interface)?;
        let packets = packet_socket()?;
        // In this order nothing is received before the filter is there.
        socket::attach_filter(packets.as_fd(), &filter::dhcp::server())
            .map_err(OpenError::io("cannot attach the packet filter"))?;
        let options = RingOptions::new()
            .memory(MEMORY)
            .longest_in_ring(LONGEST_IN_RING);
        let ring = Ring::new(packets, options.layout(LONGEST))
            .map_err(OpenError::io("cannot make the receive ring"))?;
        socket::bind(ring.as_fd(), interface.index, Receives::All)
            .map_err(OpenError::io("cannot bind the packet socket"))?;
        enlarge_send_buffer(ring.as_fd());
        Ok(Self {
            name: name.to_owned(),
            receiver: Receiver::new(ring, Checksums::Complete, LONGEST),
            ring_counters: Counters::default(),
            counters: SocketCounters::default(),
            placeholder: Some(take_port(interface.index)?),
            letters: Vec::new(),
            state,
        })
    }

    /// What was counted, as far as the kernel [was asked](Self::count).
    pub(in super::super) fn counters(&self) -> SocketCounters {
        let bad = self.ring_counters.corrupt + self.ring_counters.truncated;
        SocketCounters {
            received: self.counters.received + bad,
            malformed: self.counters.malformed + bad,
            ..self.counters
        }
    }

    /// Has the kernel tell what it has counted, which is from zero after each question.
    pub(super) fn count(&mut self) {
        if let Ok([_, overrun]) = statistics(self.as_fd()) {
            self.counters.overrun += u64::from(overrun);
        }
    }

    /// Takes in what has become of the interface.
    pub(super) fn refresh(&mut self, all: &[Interface]) -> Vec<Turn> {
        let found = all.iter().find(|interface| interface.name == self.name);
        let is = found.and_then(|interface| State::of(interface).ok());
        let is = is.unwrap_or_else(|| State {
            index: None,
            running: false,
            addresses: Vec::new(),
            ..self.state.clone()
        });
        let was = std::mem::replace(&mut self.state, is);
        let index = self.state.index;
        let mut turns = Vec::new();
        match (was.index, index) {
            (Some(_), None) => turns.push(Turn::Gone),
            (was, Some(index)) if was != Some(index) => turns.push(self.attach(index)),
            _ => {}
        }
        let is = &self.state;
        match (was.running, is.running) {
            (false, true) => turns.push(Turn::Up),
            (true, false) => turns.push(Turn::Down),
            _ => {}
        }
        if is.index.is_some() && (was.addresses != is.addresses || was.mac != is.mac) {
            turns.push(Turn::Addresses);
        }
        turns
    }

    /// Moves to the interface that now has the name. The socket that is there needs no right for that.
    fn attach(&mut self, index: u32) -> Turn {
        if let Err(error) = socket::bind(self.as_fd(), index, Receives::All) {
            return Turn::Lost(format!("cannot bind the packet socket: {error}"));
        }
        self.placeholder = None;
        match take_port(index) {
            Ok(placeholder) => {
                self.placeholder = Some(placeholder);
                Turn::Back
            }
            // The right to it is gone, and the old one cannot be moved.
            Err(_) => Turn::BackWithoutPort,
        }
    }

    /// What the kernel counts as an error is told once: that the interface went down, which we hear of
    /// elsewhere.
    pub(super) fn clear_error(&self) {
        let _ = sockopt::socket_error(self);
    }
}

/// The packet socket.
impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

/// What has become of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Turn {
    /// It has a carrier.
    Up,
    /// It has none, or was set down.
    Down,
    /// It was taken away.
    Gone,
    /// It is there again.
    Back,
    /// It is there again, but the right to listen at the port is gone: the kernel tells clients that
    /// renew that nobody listens, beside our answer, until the daemon is started anew.
    BackWithoutPort,
    /// It is there again and cannot be served.
    Lost(String),
    /// Our addresses on it are others.
    Addresses,
}

/// All interfaces.
pub(super) fn list() -> Result<Vec<Interface>, OpenError> {
    interfaces().map_err(OpenError::io("cannot list the interfaces"))
}

/// Listens at the server's port on one interface and lets nothing in: with somebody there, the kernel
/// does not answer clients with "port unreachable". Others who serve other interfaces are not in the
/// way, and whoever serves this one already is found out.
fn take_port(index: u32) -> Result<OwnedFd, OpenError> {
    let socket = udp_socket().map_err(OpenError::io("cannot open a UDP socket"))?;
    socket::attach_filter(socket.as_fd(), &filter::dhcp::nothing())
        .map_err(OpenError::io("cannot attach the packet filter"))?;
    socket::bind_to_device(socket.as_fd(), index).map_err(OpenError::permission(
        "bind a socket to an interface",
        "CAP_NET_RAW",
    ))?;
    let any = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, DHCP_SERVER_PORT);
    bind(&socket, &any).map_err(|error| match error {
        rustix::io::Errno::ADDRINUSE => OpenError::Io {
            what: "another DHCP server listens at port 67 (`ss -lunp sport = 67` shows which)",
            source: error.into(),
        },
        error => {
            OpenError::permission("listen at UDP port 67", "CAP_NET_BIND_SERVICE")(error.into())
        }
    })?;
    Ok(socket)
}

fn udp_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?)
}

/// Sends whole packets, IP header included, by the kernel's routes.
pub(super) fn routed_socket() -> Result<OwnedFd, OpenError> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(rustix::net::ipproto::RAW),
    )
    .map_err(io::Error::from)
    .map_err(OpenError::permission("open a raw socket", "CAP_NET_RAW"))?;
    enlarge_send_buffer(socket.as_fd());
    Ok(socket)
}

/// For some thousand replies, where the system allows it.
fn enlarge_send_buffer(socket: BorrowedFd<'_>) {
    const SEND_BUFFER: usize = 4 << 20;
    if sockopt::set_socket_send_buffer_size_force(socket, SEND_BUFFER).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(socket, SEND_BUFFER);
    }
}
