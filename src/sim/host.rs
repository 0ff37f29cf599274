//! The built-in hosts: everything that may sit on a LAN and speak ARP, honest or not.
//!
//! A [`Host`] is data that says how it behaves; `Resident` is one that lives behind a port.

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::ops::Range;
use core::time::Duration;

use super::claim::Claim;
use super::switch::Reactions;
use super::{Rng, arp_in};
use crate::time::Instant;
use crate::wire::{
    ARP_FRAME_LEN, ArpPacket, EthernetHeader, MacAddr, Operation, UnicastMac, VlanId,
};

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
    ips: Vec<Ipv4Addr>,
    mac: UnicastMac,
    vlan: Option<VlanId>,
    reach: Reach,
    delay: Duration,
    first_answered: u32,
    silence: Range<Instant>,
    moves: Vec<Move>,
    speeches: Vec<Speech>,
    probes: bool,
    defends: bool,
}

/// Which addresses a host answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Own,
    OwnAndBeyond(Subnet),
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    at: Instant,
    to: UnicastMac,
    announced: bool,
}

/// Something a host says again and again, unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Speech {
    text: Text,
    every: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
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

/// A host behind a port, alive.
#[derive(Debug)]
pub(super) struct Resident {
    host: Host,
    claims: Vec<Claim>,
    heard: u32,
}

/// Something a host has to do at a certain time: an index into the list of its kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    Claim(usize),
    Move(usize),
    Speech(usize),
}

/// What a host wants done.
#[derive(Default)]
pub(super) struct Wishes {
    pub(super) frames: Vec<(Instant, [u8; ARP_FRAME_LEN])>,
    pub(super) timers: Vec<(Instant, Timer)>,
}

impl Resident {
    /// The host moves in.
    pub(super) fn new(host: Host, now: Instant, rng: &mut Rng) -> (Self, Wishes) {
        let mut wishes = Wishes::default();
        let mut claims = Vec::with_capacity(host.ips.len());
        for (index, &ip) in host.ips.iter().enumerate() {
            claims.push(if host.probes {
                let (claim, wait) = Claim::probing(ip, rng);
                wishes.timers.push((now + wait, Timer::Claim(index)));
                claim
            } else {
                Claim::owned(ip)
            });
        }
        for (index, planned) in host.moves.iter().enumerate() {
            // A move before the host was added has happened by now.
            wishes
                .timers
                .push((planned.at.max(now), Timer::Move(index)));
        }
        for (index, speech) in host.speeches.iter().enumerate() {
            wishes
                .timers
                .push((now + speech.pause(), Timer::Speech(index)));
        }
        let heard = 0;
        let resident = Self {
            host,
            claims,
            heard,
        };
        (resident, wishes)
    }

    pub(super) const fn mac(&self) -> UnicastMac {
        self.host.mac
    }

    pub(super) fn owns(&self, ip: Ipv4Addr) -> bool {
        let mut claims = self.claims.iter();
        claims.any(|claim| claim.is_to(ip) && claim.is_owned())
    }

    pub(super) fn reactions(&self) -> Reactions<'_> {
        match self.host.reach {
            Reach::Own => Reactions::To(&self.host.ips),
            Reach::OwnAndBeyond(_) | Reach::Everything => Reactions::ToAll,
        }
    }

    pub(super) fn receive(&mut self, now: Instant, frame: &[u8]) -> Wishes {
        let mut wishes = Wishes::default();
        let Some((header, packet)) = arp_in(frame) else {
            return wishes;
        };
        let echo = packet.sender_mac == self.host.mac;
        if self.is_silent(now) || echo || !self.is_addressed_by(&header) {
            return wishes;
        }
        self.defend(now, &packet, &mut wishes);
        if self.is_asked_by(&packet) {
            self.heard = self.heard.saturating_add(1);
            if self.heard >= self.host.first_answered {
                let reply = packet.answered_by(self.host.mac);
                self.say(now + self.host.delay, reply, reply.target_mac, &mut wishes);
            }
        }
        wishes
    }

    pub(super) fn handle_timer(&mut self, now: Instant, timer: Timer, rng: &mut Rng) -> Wishes {
        let mut wishes = Wishes::default();
        match timer {
            Timer::Claim(index) => {
                let step = self.claims[index].handle_timeout(self.host.mac, rng);
                if let Some((packet, wait)) = step {
                    self.say(now, packet, MacAddr::BROADCAST, &mut wishes);
                    wishes.timers.extend(wait.map(|wait| (now + wait, timer)));
                }
            }
            Timer::Move(index) => {
                let Move {
                    at: _,
                    to,
                    announced,
                } = self.host.moves[index];
                self.host.mac = to;
                if announced {
                    self.announce(now, &mut wishes);
                }
            }
            Timer::Speech(index) => {
                let speech = self.host.speeches[index];
                let (packet, to) = speech.text.spoken(rng);
                self.say(now, packet, to, &mut wishes);
                wishes.timers.push((now + speech.pause(), timer));
            }
        }
        wishes
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.host.silence.contains(&now)
    }

    fn is_addressed_by(&self, header: &EthernetHeader) -> bool {
        let vlan = header.tag.and_then(|tag| tag.id);
        let for_us = header.destination.is_group() || self.host.mac == header.destination;
        for_us && vlan == self.host.vlan
    }

    fn is_asked_by(&self, packet: &ArpPacket) -> bool {
        if packet.operation != Operation::Request {
            return false;
        }
        // Who announces an address does not ask for it.
        let own = self.owns(packet.target_ip) && !packet.is_gratuitous();
        match self.host.reach {
            Reach::Own => own,
            Reach::OwnAndBeyond(subnet) => {
                let claim = packet.is_probe() || packet.is_gratuitous();
                own || !claim && !subnet.contains(packet.target_ip)
            }
            Reach::Everything => true,
        }
    }

    fn defend(&mut self, now: Instant, packet: &ArpPacket, wishes: &mut Wishes) {
        for index in 0..self.claims.len() {
            let attacked = self.claims[index].is_attacked_by(packet, now);
            if attacked && self.host.defends {
                let defence = self.claims[index].announcement(self.host.mac);
                self.say(now, defence, MacAddr::BROADCAST, wishes);
            }
        }
    }

    fn announce(&self, now: Instant, wishes: &mut Wishes) {
        for claim in self.claims.iter().filter(|claim| claim.is_owned()) {
            let announcement = claim.announcement(self.host.mac);
            self.say(now, announcement, MacAddr::BROADCAST, wishes);
        }
    }

    fn say(&self, at: Instant, packet: ArpPacket, to: MacAddr, wishes: &mut Wishes) {
        if self.is_silent(at) {
            return;
        }
        let mut frame = [0; ARP_FRAME_LEN];
        // Cannot fail: the buffer has the size of every ARP frame.
        if packet.emit_frame(to, self.host.vlan, &mut frame).is_ok() {
            wishes.frames.push((at, frame));
        }
    }
}

impl Speech {
    /// Never zero, or time would stand still.
    fn pause(&self) -> Duration {
        self.every.max(Duration::from_micros(1))
    }
}

impl Text {
    fn spoken(&self, rng: &mut Rng) -> (ArpPacket, MacAddr) {
        match *self {
            Self::Packet { packet, to } => (packet, to),
            Self::Flood { subnet, target } => {
                let sender = subnet.any_address(rng);
                let target = target.unwrap_or_else(|| subnet.any_address(rng));
                let request = ArpPacket::request(any_station(rng), sender, target);
                (request, MacAddr::BROADCAST)
            }
        }
    }
}

/// A locally administered address, so that no real vendor is slandered in a capture.
fn any_station(rng: &mut Rng) -> UnicastMac {
    let [_, _, _, b, c, d, e, f] = rng.next_u64().to_be_bytes();
    UnicastMac::new([2, b, c, d, e, f]).expect("a first byte of 2 is one station's")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subnet {
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

    fn contains(self, ip: Ipv4Addr) -> bool {
        ip.to_bits() & self.mask == self.network
    }

    fn any_address(self, rng: &mut Rng) -> Ipv4Addr {
        let host = rng.range(0..=u64::from(!self.mask)) as u32;
        Ipv4Addr::from_bits(self.network | host)
    }
}
