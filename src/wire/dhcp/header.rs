//! The fields in front of the options.

use core::fmt;
use core::net::Ipv4Addr;

use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::message::DhcpError;
use crate::wire::UnicastMac;

/// RFC 2131 section 3: 99, 130, 83, 99.
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const BROADCAST: u16 = 0x8000;
const ETHERNET: u8 = 1;

pub(super) const SNAME_LEN: usize = 64;
pub(super) const FILE_LEN: usize = 128;

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawHeader {
    op: u8,
    htype: u8,
    hlen: u8,
    hops: u8,
    xid: U32,
    secs: U16,
    flags: U16,
    ciaddr: [u8; 4],
    yiaddr: [u8; 4],
    siaddr: [u8; 4],
    giaddr: [u8; 4],
    chaddr: [u8; ClientHardware::MOST],
    pub(super) sname: [u8; SNAME_LEN],
    pub(super) file: [u8; FILE_LEN],
    cookie: [u8; 4],
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DhcpOp {
    /// A server: BOOTREPLY.
    Reply,
    /// A client: BOOTREQUEST.
    Request,
}

impl DhcpOp {
    const fn number(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Reply => 2,
        }
    }
}

/// The fields in front of the options, but for the server's name and the boot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DhcpHeader {
    /// Who speaks.
    pub op: DhcpOp,
    /// How many relays the message has passed.
    pub hops: u8,
    /// By which a client knows the answers to its questions.
    pub xid: u32,
    /// For how many seconds the client has been at it.
    pub secs: u16,
    /// The client cannot yet hear what is sent to its address alone. The other flags mean nothing.
    pub broadcast: bool,
    /// The client's address, if it has one that it answers ARP for: `ciaddr`.
    pub client_ip: Ipv4Addr,
    /// What a server gives the client: `yiaddr`.
    pub your_ip: Ipv4Addr,
    /// Where to boot from: `siaddr`. Not the server that speaks, which is option 54.
    pub next_server: Ipv4Addr,
    /// The first relay that the message has passed: `giaddr`.
    pub relay_ip: Ipv4Addr,
    /// The client's hardware address: `htype`, `hlen` and `chaddr`.
    pub hardware: ClientHardware,
}

impl DhcpHeader {
    /// What a client that has no address says.
    pub const fn request(xid: u32, mac: UnicastMac) -> Self {
        Self {
            op: DhcpOp::Request,
            hops: 0,
            xid,
            secs: 0,
            broadcast: false,
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            relay_ip: Ipv4Addr::UNSPECIFIED,
            hardware: ClientHardware::ethernet(mac),
        }
    }

    pub(super) fn of(raw: &RawHeader) -> Result<Self, DhcpError> {
        let op = match raw.op {
            1 => DhcpOp::Request,
            2 => DhcpOp::Reply,
            other => return Err(DhcpError::Op(other)),
        };
        if raw.cookie != COOKIE {
            return Err(DhcpError::Cookie);
        }
        let chaddr = raw.chaddr.get(..raw.hlen.into());
        let chaddr = chaddr.ok_or(DhcpError::HardwareLen(raw.hlen))?;
        let hardware = ClientHardware::new(raw.htype, chaddr);
        Ok(Self {
            op,
            hops: raw.hops,
            xid: raw.xid.get(),
            secs: raw.secs.get(),
            broadcast: raw.flags.get() & BROADCAST != 0,
            client_ip: raw.ciaddr.into(),
            your_ip: raw.yiaddr.into(),
            next_server: raw.siaddr.into(),
            relay_ip: raw.giaddr.into(),
            hardware: hardware.map_err(|_| DhcpError::HardwareLen(raw.hlen))?,
        })
    }

    pub(super) fn raw(&self) -> RawHeader {
        let Self {
            op,
            hops,
            xid,
            secs,
            broadcast,
            client_ip,
            your_ip,
            next_server,
            relay_ip,
            hardware,
        } = *self;
        RawHeader {
            op: op.number(),
            htype: hardware.kind,
            hlen: hardware.len,
            hops,
            xid: xid.into(),
            secs: secs.into(),
            flags: if broadcast { BROADCAST } else { 0 }.into(),
            ciaddr: client_ip.octets(),
            yiaddr: your_ip.octets(),
            siaddr: next_server.octets(),
            giaddr: relay_ip.octets(),
            chaddr: hardware.bytes,
            sname: [0; SNAME_LEN],
            file: [0; FILE_LEN],
            cookie: COOKIE,
        }
    }
}

/// A hardware address of any kind, of at most sixteen bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ClientHardware {
    kind: u8,
    len: u8,
    /// Zeros behind its length, so that equal addresses are equal.
    bytes: [u8; Self::MOST],
}

impl ClientHardware {
    /// The longest there is.
    pub const MOST: usize = 16;
    /// No address at all, of no kind.
    pub const NONE: Self = Self {
        kind: 0,
        len: 0,
        bytes: [0; Self::MOST],
    };

    /// An address of this kind (RFC 1700's hardware types).
    pub fn new(kind: u8, address: &[u8]) -> Result<Self, HardwareLen> {
        let mut bytes = [0; Self::MOST];
        let room = bytes.get_mut(..address.len());
        room.ok_or(HardwareLen(address.len()))?
            .copy_from_slice(address);
        Ok(Self {
            kind,
            len: address.len() as u8,
            bytes,
        })
    }

    /// That of an Ethernet station.
    pub const fn ethernet(mac: UnicastMac) -> Self {
        let [a, b, c, d, e, f] = mac.get().octets();
        Self {
            kind: ETHERNET,
            len: 6,
            bytes: [a, b, c, d, e, f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// Its bytes, as many as it has.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    /// The MAC address, if it is that of an Ethernet station.
    pub fn mac(&self) -> Option<UnicastMac> {
        let mac = <[u8; 6]>::try_from(self.as_bytes()).ok()?;
        match self.kind {
            ETHERNET => UnicastMac::new(mac).ok(),
            _other => None,
        }
    }
}

impl fmt::Debug for ClientHardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As lease files have it: `02:00:00:00:00:01`, and for what is not Ethernet the kind in front, as in
/// `20-01:02`.
impl fmt::Display for ClientHardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind != ETHERNET || self.len == 0 {
            write!(f, "{:02x}-", self.kind)?;
        }
        let mut first = true;
        for byte in self.as_bytes() {
            let colon = if core::mem::take(&mut first) { "" } else { ":" };
            write!(f, "{colon}{byte:02x}")?;
        }
        if self.len == 0 {
            f.write_str("00")?;
        }
        Ok(())
    }
}

/// A hardware address that is longer than sixteen bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("a hardware address of {0} bytes, of which there can be 16")]
pub struct HardwareLen(pub usize);
