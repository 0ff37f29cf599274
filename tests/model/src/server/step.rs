//! What can happen to a DHCP server, as a fuzzer's bytes say it.

use std::net::Ipv4Addr;

use arbitrary::Arbitrary;
use whohas::UnicastMac;
use whohas::wire::dhcp::{DhcpHeader, MessageBuilder, MessageType, OptionCode};

use super::plans::{SERVER, ip};

#[derive(Arbitrary, Debug)]
pub(super) enum Step {
    Says(Says),
    /// And once more the likeliest: most of what is said makes sense.
    Talks(Says),
    Joins {
        client: u8,
        named: bool,
    },
    Raw(Vec<u8>),
    Arp {
        /// Of what is known or waits, or of nothing.
        ip: u8,
        by: u8,
        answers: bool,
    },
    /// The next probe is sent, or cannot be.
    Probe {
        sent: bool,
    },
    /// The next changes go to the store.
    Submit(u8),
    /// What became of one of those that are there.
    Outcome {
        which: u8,
        how: How,
    },
    Replies(u8),
    Sleep(u32),
    Deadline,
    Release(u8),
    Clear(u8),
    Foreign(Foreign),
    ClockSet(i32),
    Reload(u8),
    Probing(bool),
    Restart,
    /// All that can be done is done.
    Settle,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum How {
    Good,
    Fine,
    Unavailable,
    Taken(Foreign),
}

/// What another server has written.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Foreign {
    pub(super) ip: u8,
    pub(super) client: u8,
    pub(super) kind: u8,
    pub(super) seconds: u16,
}

/// What a client says.
#[derive(Arbitrary, Debug)]
pub(super) struct Says {
    kind: u8,
    pub(super) client: u8,
    named: bool,
    wish: Wish,
    server: Option<bool>,
    having: Wish,
    relay: u8,
    unicast: bool,
    options: Vec<(u8, Short)>,
    patches: Vec<(u16, u8)>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Wish {
    None,
    Last,
    This(u8),
}

#[derive(Arbitrary, Debug)]
struct Short {
    len: u8,
    bytes: [u8; 4],
}

/// A datagram, and where it came from.
pub(super) struct Datagram {
    pub(super) bytes: Vec<u8>,
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
}

impl Says {
    pub(super) fn discover(client: u8, named: bool) -> Self {
        Self {
            kind: 0,
            client,
            named,
            wish: Wish::None,
            server: None,
            having: Wish::None,
            relay: 2,
            unicast: false,
            options: Vec::new(),
            patches: Vec::new(),
        }
    }

    pub(super) fn select(client: u8, named: bool) -> Self {
        Self {
            kind: 1,
            wish: Wish::Last,
            server: Some(true),
            ..Self::discover(client, named)
        }
    }

    /// As a client says it that was given `last`; whether something is wrong with it is up to `damaged`.
    pub(super) fn datagram(&self, last: Option<Ipv4Addr>, damaged: bool) -> Datagram {
        use MessageType::{Decline, Discover, Inform, Release, Request};
        let kinds = [
            Discover, Request, Discover, Request, Request, Decline, Release, Inform,
        ];
        let kind = kinds[usize::from(self.kind) % kinds.len()];
        let address = |wish| match wish {
            Wish::None => None,
            Wish::Last => last,
            Wish::This(number) => Some(ip(number)),
        };
        let having = address(self.having).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let relay = match self.relay % 8 {
            0 => ip(1),
            1 => ip(65),
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let header = DhcpHeader {
            client_ip: having,
            relay_ip: relay,
            ..DhcpHeader::request(7, client(self.client))
        };
        let mut buffer = [0; 1_400];
        let mut message = MessageBuilder::new(&mut buffer, &header, kind).expect("there is room");
        let mut option = |code, value: &[u8]| {
            message
                .option(OptionCode(code), value)
                .expect("there is room");
        };
        if self.named {
            option(61, &[0, self.client % CLIENTS]);
        }
        if let Some(wish) = address(self.wish) {
            option(50, &wish.octets());
        }
        if let Some(ours) = self.server {
            let server = if ours { SERVER } else { ip(63) };
            option(54, &server.octets());
        }
        if damaged {
            for (code, Short { len, bytes }) in self.options.iter().take(8) {
                let value = bytes.repeat(usize::from(*len).div_ceil(4));
                if ![0, 53, 255].contains(code) {
                    option(*code, &value[..usize::from(*len).min(100)]);
                }
            }
        }
        let len = message.finish();
        let mut bytes = buffer[..len].to_vec();
        if damaged {
            for &(at, is) in self.patches.iter().take(4) {
                let at = usize::from(at) % bytes.len();
                bytes[at] = is;
            }
        }
        let relayed = !relay.is_unspecified();
        Datagram {
            bytes,
            source: if relayed { relay } else { having },
            destination: if relayed || self.unicast {
                SERVER
            } else {
                Ipv4Addr::BROADCAST
            },
        }
    }
}

/// Few, so that they meet.
pub(super) const CLIENTS: u8 = 10;

pub(super) fn client(number: u8) -> UnicastMac {
    station(number % CLIENTS)
}

pub(super) fn station(number: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, number]).expect("a station's")
}
