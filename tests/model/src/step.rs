//! What can happen to a cache, as data that reads like a script.
//!
//! The alphabets are small, so that what happens to one neighbour happens to it again. Every value
//! can be made from any bytes (for the fuzzer) and shrinks towards the simplest (for proptest).

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::{Strategy, any};
use whohas::cache::{MAX_ADDRESSES, Subject};
use whohas::wire::{
    ARP_LEN, ArpPacket, ETHERNET_MIN_LEN, EtherType, EthernetHeader, Operation, VlanTag,
};
use whohas::{Key, MacAddr, Prefix, UnicastMac, VlanId};

/// One step of a trace.
#[derive(Clone, Arbitrary, proptest_derive::Arbitrary)]
pub enum Step {
    #[proptest(weight = 12)]
    Command(#[proptest(strategy = "any::<Command>().boxed()")] Command),
    #[proptest(weight = 8)]
    Receive(#[proptest(strategy = "any::<Frame>().boxed()")] Frame),
    /// A frame of nobody knows what.
    #[proptest(weight = 1)]
    ReceiveBytes(#[arbitrary(with = raw_frame)] Vec<u8>),
    /// A reply to the latest request, from this station.
    #[proptest(weight = 4)]
    Answer(Station),
    #[proptest(weight = 8)]
    Time(Time),
    /// Whether the driver takes frames from now on.
    #[proptest(weight = 1)]
    DriverTakes(bool),
}

/// The longest frame of nobody knows what: an ARP frame with a tag and padding, and some more.
const RAW_FRAME_LEN: usize = 80;

/// A length and as many bytes, so that a fuzzer can put a whole frame there.
pub(crate) fn raw_frame(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let len = bytes.int_in_range(0..=RAW_FRAME_LEN)?;
    Ok(bytes.bytes(len.min(bytes.len()))?.to_vec())
}

/// A command, as the cache has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Command {
    #[proptest(weight = 20)]
    Hold(Place),
    #[proptest(weight = 3)]
    HoldAgain(Pick),
    #[proptest(weight = 12)]
    Release(Pick),
    #[proptest(weight = 5)]
    Touch(Place),
    #[proptest(weight = 3)]
    Confirm(Place),
    #[proptest(weight = 3)]
    ConfirmHeld(Pick),
    #[proptest(weight = 3)]
    Verify(Place),
    #[proptest(weight = 3)]
    InsertStatic(Place, Station),
    #[proptest(weight = 3)]
    Remove(Place),
    #[proptest(weight = 2)]
    Deny(Rule, Option<Span>),
    #[proptest(weight = 2)]
    Allow(Rule),
    Flush,
    Link(bool),
    SetAddresses(OwnAddresses),
    SetMac(Station),
    Announce(Place),
    #[proptest(weight = 2)]
    SetProxied(Proxied),
}

/// How time passes.
#[derive(Clone, Copy, Debug, Arbitrary, proptest_derive::Arbitrary)]
pub enum Time {
    /// To the next deadline.
    ToDeadline,
    /// To a microsecond before it.
    BeforeDeadline,
    /// Every deadline on the way is met.
    Sleep(Span),
    /// Nothing happens on the way, as on a machine that was suspended.
    Jump(Span),
    /// The caller's clock jumps back.
    Back(Span),
}

/// A length of time.
#[derive(Clone, Copy, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Span {
    Micros(u16),
    Millis(u16),
    Seconds(u8),
    /// Up to three.
    Hours(u8),
}

/// One of the live holds, counted from the oldest; any number is one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub struct Pick(u8);

/// Whom a deny rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Rule {
    Place(Place),
    Station(Station),
}

/// An IPv4 address on a segment.
#[derive(Clone, Copy, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub struct Place {
    // Boxed, as above, for the sake of the stack: strategies are as large as all they can make.
    #[proptest(strategy = "any::<Address>().boxed()")]
    pub address: Address,
    pub segment: Segment,
}

#[derive(Clone, Copy, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Segment {
    #[proptest(weight = 5)]
    Untagged,
    #[proptest(weight = 1)]
    Vlan10,
}

/// Few neighbours, though more than there are slots, and all that is none.
#[derive(Clone, Copy, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Address {
    /// One of twelve in 10.0.0.0/24, of which a few may be our own.
    #[proptest(weight = 24)]
    Near(u8),
    #[proptest(weight = 2)]
    LinkLocal(u8),
    OffLink,
    Special(Special),
}

#[derive(Clone, Copy, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Special {
    Everybody,
    Loopback,
    Multicast,
    Network,
    SubnetBroadcast,
    Unspecified,
}

/// One of six stations; the first may be ourselves.
#[derive(Clone, Copy, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub struct Station(u8);

/// What we are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum OwnAddresses {
    /// 10.0.0.1/24, untagged and on VLAN 10.
    #[proptest(weight = 3)]
    OnBoth,
    /// 10.0.0.1/24 and in it 10.0.0.2/29, untagged.
    Nested,
    /// 10.0.0.9/24, untagged.
    Moved,
    /// 10.0.0.1/24 and 169.254.1.1/16, untagged.
    LinkLocal,
    None,
    /// Refused: it cannot be a host's address.
    Illegal,
}

/// Whom we answer for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Proxied {
    #[proptest(weight = 3)]
    None,
    /// 10.0.0.5, untagged: found by those who probe, too.
    #[proptest(weight = 2)]
    Host,
    /// 10.0.0.4/30, untagged, and 10.0.0.8/29 on VLAN 10.
    #[proptest(weight = 2)]
    Wide,
    /// 10.0.0.200/30, whom others ask for.
    #[proptest(weight = 2)]
    Strangers,
    /// 192.0.2.0/24: no neighbours, unless policy knows no better.
    OffLink,
    /// Refused: more than can be kept.
    TooMany,
}

/// An ARP frame from somebody else.
#[derive(Clone, Copy, Arbitrary, proptest_derive::Arbitrary)]
pub struct Frame {
    pub speech: Speech,
    /// The address that the sender says it has; in a probe, the one it wants.
    pub place: Place,
    pub from: Station,
    pub damage: Damage,
}

/// What a frame is meant to be.
#[derive(Clone, Copy, Debug, Arbitrary, proptest_derive::Arbitrary)]
pub enum Speech {
    #[proptest(weight = 6)]
    Reply,
    #[proptest(weight = 4)]
    Request,
    Announcement,
    GratuitousReply,
    Probe,
    BroadcastReply,
    UnicastRequest,
    RequestForAnother,
    ReplyToAnother,
    #[proptest(weight = 3)]
    ProbeForOurs,
}

/// What happened to a frame on its way.
#[derive(Clone, Copy, Debug, Arbitrary, proptest_derive::Arbitrary)]
pub enum Damage {
    #[proptest(weight = 20)]
    None,
    /// Sent by another station than it says.
    Relayed(Station),
    /// It got a tag with a priority and no VLAN.
    PriorityTag,
    Byte {
        at: u8,
        is: u8,
    },
    Cut(u8),
}

impl Span {
    pub fn duration(self) -> Duration {
        match self {
            Self::Micros(micros) => Duration::from_micros(micros.into()),
            Self::Millis(millis) => Duration::from_millis(millis.into()),
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
            Self::Hours(hours) => Duration::from_secs(3_600 * u64::from(hours % 4)),
        }
    }
}

impl Pick {
    /// Its place in a list of this many; `None` if that is empty.
    pub fn of(self, count: usize) -> Option<usize> {
        usize::from(self.0).checked_rem(count)
    }
}

impl Rule {
    pub fn subject(self) -> Subject {
        match self {
            Self::Place(place) => place.key().into(),
            Self::Station(station) => station.mac().into(),
        }
    }
}

impl Place {
    /// 10.0.0.2 to 10.0.0.13, untagged.
    pub const fn near(number: u8) -> Self {
        Self {
            address: Address::Near(number - 2),
            segment: Segment::Untagged,
        }
    }

    /// The same on VLAN 10.
    pub const fn tagged(self) -> Self {
        Self {
            segment: Segment::Vlan10,
            ..self
        }
    }

    /// Every one there is.
    pub fn all() -> impl Iterator<Item = Self> {
        use Special::{Everybody, Loopback, Multicast, Network, SubnetBroadcast, Unspecified};
        let special = [
            Everybody,
            Loopback,
            Multicast,
            Network,
            SubnetBroadcast,
            Unspecified,
        ];
        let near = (0..12).map(Address::Near);
        let link_local = (0..3).map(Address::LinkLocal);
        let others = special.map(Address::Special).into_iter();
        let addresses = near
            .chain(link_local)
            .chain([Address::OffLink])
            .chain(others);
        let untagged = addresses.map(|address| Self {
            address,
            segment: Segment::Untagged,
        });
        untagged.flat_map(|place| [place, place.tagged()])
    }

    pub fn key(self) -> Key {
        Key {
            vlan: self.segment.vlan(),
            ip: self.address.ip(),
        }
    }
}

impl Segment {
    pub fn vlan(self) -> Option<VlanId> {
        match self {
            Self::Untagged => None,
            Self::Vlan10 => Some(vlan_10()),
        }
    }
}

impl Address {
    /// The one that we have at first.
    pub const US: Ipv4Addr = near(1);

    fn ip(self) -> Ipv4Addr {
        match self {
            Self::Near(number) => near(2 + number % 12),
            Self::LinkLocal(number) => Ipv4Addr::new(169, 254, 1, 1 + number % 3),
            Self::OffLink => Ipv4Addr::new(192, 0, 2, 9),
            Self::Special(Special::Everybody) => Ipv4Addr::BROADCAST,
            Self::Special(Special::Loopback) => Ipv4Addr::LOCALHOST,
            Self::Special(Special::Multicast) => Ipv4Addr::new(224, 0, 0, 251),
            Self::Special(Special::Network) => near(0),
            Self::Special(Special::SubnetBroadcast) => near(255),
            Self::Special(Special::Unspecified) => Ipv4Addr::UNSPECIFIED,
        }
    }
}

const fn near(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

impl Station {
    /// The one that we are at first.
    pub const US: Self = Self(0);

    /// 02:00:00:00:00:01 to 02:00:00:00:00:06.
    pub const fn number(number: u8) -> Self {
        Self(number - 1)
    }

    pub fn mac(self) -> UnicastMac {
        UnicastMac::new([2, 0, 0, 0, 0, 1 + self.0 % 6]).expect("the group bit is clear")
    }
}

impl OwnAddresses {
    pub fn prefixes(self) -> Vec<Prefix> {
        match self {
            Self::OnBoth => vec![prefix(near(1), 24), prefix(near(1), 24).on_vlan(vlan_10())],
            Self::Nested => vec![prefix(near(1), 24), prefix(near(2), 29)],
            Self::Moved => vec![prefix(near(9), 24)],
            Self::LinkLocal => vec![
                prefix(near(1), 24),
                prefix(Ipv4Addr::new(169, 254, 1, 1), 16),
            ],
            Self::None => vec![],
            Self::Illegal => vec![prefix(near(9), 24), prefix(near(255), 24)],
        }
    }
}

impl Proxied {
    pub fn prefixes(self) -> Vec<Prefix> {
        match self {
            Self::None => vec![],
            Self::Host => vec![prefix(near(5), 32)],
            Self::Wide => vec![prefix(near(4), 30), prefix(near(8), 29).on_vlan(vlan_10())],
            Self::Strangers => vec![prefix(near(200), 30)],
            Self::OffLink => vec![prefix(Ipv4Addr::new(192, 0, 2, 0), 24)],
            Self::TooMany => vec![prefix(near(5), 32); MAX_ADDRESSES + 1],
        }
    }
}

fn prefix(ip: Ipv4Addr, len: u8) -> Prefix {
    Prefix::new(ip, len).expect("at most 32 bits")
}

fn vlan_10() -> VlanId {
    VlanId::new(10).expect("10 is a VLAN number")
}

impl Frame {
    pub const fn new(speech: Speech, place: Place, from: Station) -> Self {
        Self {
            speech,
            place,
            from,
            damage: Damage::None,
        }
    }

    /// The bytes on the wire, where we are this station and have this address.
    pub fn bytes(&self, us: UnicastMac, our_ip: Ipv4Addr) -> Vec<u8> {
        let mac = self.from.mac();
        let Key { vlan, ip } = self.place.key();
        let request = |sender, target| ArpPacket::request(mac, sender, target);
        // As an answer to what `asker` would have asked for.
        let reply =
            |asker: UnicastMac, asker_ip| ArpPacket::request(asker, asker_ip, ip).answered_by(mac);
        let other = Self::STRANGER.mac();
        let (packet, destination) = match self.speech {
            Speech::Reply => (reply(us, our_ip), us.get()),
            Speech::BroadcastReply => (reply(us, our_ip), MacAddr::BROADCAST),
            Speech::ReplyToAnother => (reply(other, near(200)), other.get()),
            Speech::Request => (request(ip, our_ip), MacAddr::BROADCAST),
            Speech::UnicastRequest => (request(ip, our_ip), us.get()),
            Speech::RequestForAnother => (request(ip, near(200)), MacAddr::BROADCAST),
            Speech::Probe => (ArpPacket::probe(mac, ip), MacAddr::BROADCAST),
            Speech::ProbeForOurs => (ArpPacket::probe(mac, our_ip), MacAddr::BROADCAST),
            Speech::Announcement => (ArpPacket::announcement(mac, ip), MacAddr::BROADCAST),
            Speech::GratuitousReply => {
                let announced = ArpPacket::announcement(mac, ip);
                let reply = ArpPacket {
                    operation: Operation::Reply,
                    target_mac: MacAddr::BROADCAST,
                    ..announced
                };
                (reply, MacAddr::BROADCAST)
            }
        };
        self.damage.done_to(packet, destination, vlan)
    }

    /// Whom others speak to.
    const STRANGER: Station = Station(5);
}

impl Damage {
    fn done_to(self, packet: ArpPacket, destination: MacAddr, vlan: Option<VlanId>) -> Vec<u8> {
        let mut header = EthernetHeader {
            destination,
            source: packet.sender_mac.get(),
            tag: vlan.map(VlanTag::new),
            ethertype: EtherType::ARP,
        };
        match self {
            Self::Relayed(station) => header.source = station.mac().get(),
            Self::PriorityTag => {
                header.tag = Some(VlanTag {
                    id: vlan,
                    priority: 5,
                    drop_eligible: false,
                });
            }
            Self::None | Self::Byte { .. } | Self::Cut(_) => {}
        }
        let mut bytes = vec![0; ETHERNET_MIN_LEN.max(header.len() + ARP_LEN)];
        let rest = header.emit(&mut bytes).expect("room for the header");
        packet.emit(rest).expect("room for the packet");
        match self {
            Self::Byte { at, is } => {
                if let Some(at) = usize::from(at).checked_rem(bytes.len()) {
                    bytes[at] = is;
                }
            }
            Self::Cut(len) => bytes.truncate(len.into()),
            Self::None | Self::Relayed(_) | Self::PriorityTag => {}
        }
        bytes
    }
}

// --- How it all reads in a report ---------------------------------------------------------------

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => command.fmt(f),
            Self::Receive(frame) => frame.fmt(f),
            Self::ReceiveBytes(bytes) => write!(f, "ReceiveBytes({bytes:02x?})"),
            Self::Answer(station) => write!(f, "Answer({station:?})"),
            Self::Time(time) => time.fmt(f),
            Self::DriverTakes(takes) => write!(f, "DriverTakes({takes})"),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            speech,
            place,
            from,
            damage,
        } = self;
        write!(f, "{speech:?}({place:?} at {from:?}")?;
        match damage {
            Damage::None => write!(f, ")"),
            damage => write!(f, ", {damage:?})"),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key())
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Station(station) => station.fmt(f),
        }
    }
}

impl fmt::Debug for Station {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mac())
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.duration().fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.vlan().fmt(f)
    }
}

impl fmt::Debug for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Address::Special(*self).fmt(f)
    }
}
