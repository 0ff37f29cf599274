//! What a built-in host is like: everything that may sit on a LAN and speak ARP, honest or not.
//!
//! A [`Host`] is data and does nothing; `resident` is where it comes to life.

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::ops::Range;
use core::time::Duration;

use super::Rng;
use crate::time::Instant;
use crate::wire::{ArpPacket, MacAddr, UnicastMac, VlanId};

/// A station that speaks ARP, and how it does so.
///
/// A new one is a model citizen: it answers every request for its address at once, probes included,
/// and says nothing else. Each method makes it less of one, and they combine freely. Two hosts with
/// one address are a duplicate address; a host with another's address is a spoofer.
///
/// ```
/// use core::net::Ipv4Addr;
/// use whohas::sim::Host;
/// use whohas::{Instant, UnicastMac};
///
/// let ip = Ipv4Addr::new(10, 0, 0, 2);
/// let [old, new] = [1, 2].map(|n| UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap());
/// let failed_over = Host::new(ip, old).moves_announcing(Instant::from_secs(60), new);
/// let sleepy = Host::new(ip, old).answers_from_request(3);
/// # let _ = (failed_over, sleepy);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a host does nothing before it is added to a LAN"]
pub struct Host {
    pub(super) ips: Vec<Ipv4Addr>,
    pub(super) mac: UnicastMac,
    pub(super) vlan: Option<VlanId>,
    pub(super) reach: Reach,
    pub(super) delay: Duration,
    pub(super) first_answered: u32,
    pub(super) silence: Range<Instant>,
    pub(super) moves: Vec<Move>,
    pub(super) speeches: Vec<Speech>,
    pub(super) probes: bool,
    pub(super) defends: bool,
}

/// Which addresses a host answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Own,
    OwnAndBeyond(Subnet),
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) at: Instant,
    pub(super) to: UnicastMac,
    pub(super) announced: bool,
}

/// Something a host says again and again, unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Speech {
    pub(super) text: Text,
    pub(super) every: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Packet {
        packet: ArpPacket,
        to: MacAddr,
    },
    Flood {
        subnet: Subnet,
        target: Option<Ipv4Addr>,
    },
}

/// Requests in the name of stations that do not exist, each with a MAC and an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Flood {
    /// The invented senders are in this network ...
    pub network: Ipv4Addr,
    /// ... with this prefix length; more than 32 counts as 32.
    pub prefix: u8,
    /// Whom all of them ask for; `None` for addresses of the network, drawn for each.
    pub target: Option<Ipv4Addr>,
    /// The time between two requests, 1 us at least.
    pub every: Duration,
}

impl Host {
    /// A model citizen with this address.
    pub fn new(ip: Ipv4Addr, mac: UnicastMac) -> Self {
        Self {
            ips: [ip].into(),
            mac,
            vlan: None,
            reach: Reach::Own,
            delay: Duration::ZERO,
            first_answered: 1,
            silence: Instant::ZERO..Instant::ZERO,
            moves: Vec::new(),
            speeches: Vec::new(),
            probes: false,
            defends: false,
        }
    }

    /// Has this address too.
    pub fn also_has(mut self, ip: Ipv4Addr) -> Self {
        self.ips.push(ip);
        self
    }

    /// Lives in this VLAN: hears and sends tagged frames only.
    pub const fn in_vlan(mut self, vlan: VlanId) -> Self {
        self.vlan = Some(vlan);
        self
    }

    /// Thinks this long before each answer.
    pub const fn answers_after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Ignores the requests before the `first`-th that it should answer; counting begins at 1.
    pub const fn answers_from_request(mut self, first: u32) -> Self {
        self.first_answered = first;
        self
    }

    /// Never says anything.
    pub const fn dead(self) -> Self {
        self.silent_from(Instant::ZERO)
    }

    /// Hears and says nothing from this time on.
    pub const fn silent_from(self, time: Instant) -> Self {
        self.silent_during(time..Instant::FAR_FUTURE)
    }

    /// Hears and says nothing during this time.
    pub const fn silent_during(mut self, time: Range<Instant>) -> Self {
        self.silence = time;
        self
    }

    /// Has another MAC from this time on and tells nobody. May be said more than once.
    pub fn moves_silently(mut self, at: Instant, to: UnicastMac) -> Self {
        self.moves.push(Move {
            at,
            to,
            announced: false,
        });
        self
    }

    /// Has another MAC from this time on and announces it. May be said more than once.
    pub fn moves_announcing(mut self, at: Instant, to: UnicastMac) -> Self {
        self.moves.push(Move {
            at,
            to,
            announced: true,
        });
        self
    }

    /// A spoofer: answers each and every request, whoever asks for whatever, and claims to be it.
    pub const fn answers_for_everything(mut self) -> Self {
        self.reach = Reach::Everything;
        self
    }

    /// A proxy-ARP router: answers for its own addresses and for all outside this network, but
    /// there neither probes nor announcements. A prefix length of more than 32 counts as 32.
    pub const fn proxies_beyond(mut self, network: Ipv4Addr, prefix: u8) -> Self {
        self.reach = Reach::OwnAndBeyond(Subnet::new(network, prefix));
        self
    }

    /// Sends this packet again and again, 1 us apart at least; the first after one interval. The
    /// packet may be anything: an announcement, an unsolicited reply, a lie.
    pub fn repeats(mut self, packet: ArpPacket, to: MacAddr, every: Duration) -> Self {
        let text = Text::Packet { packet, to };
        self.speeches.push(Speech { text, every });
        self
    }

    /// Floods the LAN with requests of stations that do not exist.
    pub fn floods(mut self, flood: Flood) -> Self {
        let Flood {
            network,
            prefix,
            target,
            every,
        } = flood;
        let subnet = Subnet::new(network, prefix);
        let text = Text::Flood { subnet, target };
        self.speeches.push(Speech { text, every });
        self
    }

    /// Probes for its addresses before it uses and announces them, and gives up those that are
    /// taken (RFC 5227 section 2.1). Without this it uses them at once.
    pub const fn probes_before_use(mut self) -> Self {
        self.probes = true;
        self
    }

    /// Announces an address that another station uses too, every ten seconds at most, and never
    /// gives it up (RFC 5227 section 2.4 (c)).
    pub const fn defends(mut self) -> Self {
        self.defends = true;
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    network: u32,
    mask: u32,
}

impl Subnet {
    const fn new(network: Ipv4Addr, prefix: u8) -> Self {
        let mask = match u32::MAX.checked_shr(prefix as u32) {
            Some(host_bits) => !host_bits,
            None => u32::MAX,
        };
        let network = network.to_bits() & mask;
        Self { network, mask }
    }

    pub(super) fn contains(self, ip: Ipv4Addr) -> bool {
        ip.to_bits() & self.mask == self.network
    }

    pub(super) fn any_address(self, rng: &mut Rng) -> Ipv4Addr {
        let host = rng.range(0..=u64::from(!self.mask)) as u32;
        Ipv4Addr::from_bits(self.network | host)
    }
}
