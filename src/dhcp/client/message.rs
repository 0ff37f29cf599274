//! What a client says.

use core::net::Ipv4Addr;

use super::config::Config;
use super::event::Transmit;
use super::phase::{Phase, Stage};
use super::{Client, Farewell, MESSAGE_LEN};
use crate::wire::dhcp::{DhcpHeader, MessageBuilder, MessageType, OptionCode};
use crate::wire::{BufferTooSmall, UnicastMac};

/// What there is to ask for, in the order in which it is wanted.
const PARAMETERS: [u8; 8] = [
    OptionCode::SUBNET_MASK.0,
    OptionCode::ROUTERS.0,
    OptionCode::DNS_SERVERS.0,
    OptionCode::DOMAIN_NAME.0,
    OptionCode::MTU.0,
    OptionCode::NTP_SERVERS.0,
    OptionCode::RENEWAL_TIME.0,
    OptionCode::REBINDING_TIME.0,
];
/// What option 57 says: the least that it can say. No answer is longer than every client's buffer.
const LONGEST: u16 = 576;

/// One message (RFC 2131 table 5).
#[derive(Clone, Copy, Debug)]
struct Saying {
    kind: MessageType,
    xid: u32,
    secs: u16,
    /// `ciaddr`: the address in use.
    client_ip: Option<Ipv4Addr>,
    /// Option 50: the address that is meant.
    ip: Option<Ipv4Addr>,
    /// Option 54: the server that is meant.
    server: Option<Ipv4Addr>,
    /// Option 56.
    message: &'static str,
    destination: Ipv4Addr,
}

impl Client<'_> {
    /// The next message that wants to leave, written into the buffer. A message that is lost is sent
    /// again, so one that finds no room on its way needs no further care.
    pub fn poll_transmit(&mut self, buffer: &mut [u8; MESSAGE_LEN]) -> Option<Transmit> {
        let saying = self.next_saying()?;
        let written = saying.write(buffer, &self.config, self.mac);
        debug_assert!(
            written.is_ok(),
            "there is room for all that a config can have"
        );
        let len = written.ok()?;
        super::count(&mut self.counters.sent);
        Some(Transmit {
            len,
            source: saying.client_ip.unwrap_or(Ipv4Addr::UNSPECIFIED),
            destination: saying.destination,
        })
    }

    fn next_saying(&mut self) -> Option<Saying> {
        if !self.link_up {
            return None;
        }
        if let Some(farewell) = self.farewell.take() {
            let xid = self.random.next_u32();
            return Some(Saying::of_farewell(farewell, xid));
        }
        let hint = self.known;
        let secs = self.secs;
        let asking = self.phase.asking().filter(|asking| asking.due)?;
        asking.due = false;
        let xid = asking.xid;
        let discover = Saying {
            kind: MessageType::Discover,
            xid,
            secs,
            client_ip: None,
            ip: None,
            server: None,
            message: "",
            destination: Ipv4Addr::BROADCAST,
        };
        let request = Saying {
            kind: MessageType::Request,
            ..discover
        };
        match &self.phase {
            // Section 4.4.1: an address that it would like.
            Phase::Selecting(_) => Some(Saying {
                ip: hint,
                ..discover
            }),
            // Section 4.3.2: both, and the broadcast tells the other servers.
            Phase::Requesting {
                asking: _,
                ip,
                server,
            } => Some(Saying {
                ip: Some(*ip),
                server: Some(*server),
                ..request
            }),
            Phase::Rebooting { asking: _, ip } => Some(Saying {
                ip: Some(*ip),
                ..request
            }),
            Phase::Granted { held, stage } => Some(Saying {
                client_ip: Some(held.lease.ip()),
                destination: match stage {
                    Stage::Renewing(_) => held.lease.server(),
                    Stage::Checking | Stage::Bound | Stage::Rebinding(_) => Ipv4Addr::BROADCAST,
                },
                ..request
            }),
            Phase::Stopped | Phase::LinkDown | Phase::Init { at: _, reboot: _ } => None,
        }
    }
}

impl Saying {
    fn of_farewell(farewell: Farewell, xid: u32) -> Self {
        match farewell {
            // Section 4.4.4.
            Farewell::Decline { ip, server } => Self {
                kind: MessageType::Decline,
                xid,
                secs: 0,
                client_ip: None,
                ip: Some(ip),
                server: Some(server),
                message: "somebody else answers for it",
                destination: Ipv4Addr::BROADCAST,
            },
            // Section 4.4.6.
            Farewell::Release { ip, server } => Self {
                kind: MessageType::Release,
                xid,
                secs: 0,
                client_ip: Some(ip),
                ip: None,
                server: Some(server),
                message: "",
                destination: server,
            },
        }
    }

    fn write(
        &self,
        buffer: &mut [u8],
        config: &Config<'_>,
        mac: UnicastMac,
    ) -> Result<usize, BufferTooSmall> {
        let Self {
            kind,
            xid,
            secs,
            client_ip,
            ip,
            server,
            message: text,
            destination: _,
        } = *self;
        let asks = matches!(kind, MessageType::Discover | MessageType::Request);
        let header = DhcpHeader {
            secs,
            // Section 4.1: whoever has no address cannot hear what is sent to it.
            broadcast: asks && client_ip.is_none(),
            client_ip: client_ip.unwrap_or(Ipv4Addr::UNSPECIFIED),
            ..DhcpHeader::request(xid, mac)
        };
        let mut message = MessageBuilder::new(buffer, &header, kind)?;
        if !config.client_id.is_empty() {
            message.option(OptionCode::CLIENT_ID, config.client_id)?;
        }
        if let Some(ip) = ip {
            message.address(OptionCode::REQUESTED_IP, ip)?;
        }
        if let Some(server) = server {
            message.address(OptionCode::SERVER_ID, server)?;
        }
        if !text.is_empty() {
            message.option(OptionCode::MESSAGE, text.as_bytes())?;
        }
        if asks {
            message.option(OptionCode::MAX_MESSAGE_LEN, &LONGEST.to_be_bytes())?;
            if !config.host_name.is_empty() {
                message.option(OptionCode::HOST_NAME, config.host_name.as_bytes())?;
            }
            if !config.vendor_class.is_empty() {
                message.option(OptionCode::VENDOR_CLASS, config.vendor_class)?;
            }
            message.option(OptionCode::PARAMETER_LIST, &PARAMETERS)?;
        }
        Ok(message.finish())
    }
}
