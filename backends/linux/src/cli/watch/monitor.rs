//! Who is there, who moves, who is in conflict: what can be known by listening. Sans-IO and bounded.
//!
//! The events have the names that operators know from arpwatch, and three that it does not have.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::wire::MacAddr;
use whohas::{Instant, Prefix, UnicastMac};

use super::repeats::Repeats;
use crate::cli::session::Heard;

/// What happened, in arpwatch's words where it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Happening {
    /// A station speaks about its own address to everybody.
    Announcement,
    /// The sender's address is in no network of this interface.
    Bogon,
    /// Another station has the address than before.
    Changed,
    /// Two stations use the address at the same time.
    Conflict,
    /// The frame is from another station than the packet in it says.
    EthernetMismatch,
    /// The address is back at the station that had it before.
    FlipFlop,
    /// The address speaks again after a long silence.
    NewActivity,
    /// The address was not seen before.
    NewStation,
    /// A station asks whether it may have the address.
    Probe,
    /// The address is back at a station that had it long ago.
    ReusedOld,
}

impl Happening {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Announcement => "announcement",
            Self::Bogon => "bogon",
            Self::Changed => "changed ethernet address",
            Self::Conflict => "conflict",
            Self::EthernetMismatch => "ethernet mismatch",
            Self::FlipFlop => "flip flop",
            Self::NewActivity => "new activity",
            Self::NewStation => "new station",
            Self::Probe => "probe",
            Self::ReusedOld => "reused old ethernet address",
        }
    }

    /// Whether an operator should look at it.
    pub(super) const fn is_alarming(self) -> bool {
        match self {
            Self::Bogon
            | Self::Changed
            | Self::Conflict
            | Self::EthernetMismatch
            | Self::FlipFlop
            | Self::ReusedOld => true,
            Self::Announcement | Self::NewActivity | Self::NewStation | Self::Probe => false,
        }
    }

    /// Whether it may come with every packet, so that saying it once in a while is enough.
    const fn repeats(self) -> bool {
        match self {
            Self::Announcement
            | Self::Bogon
            | Self::Conflict
            | Self::EthernetMismatch
            | Self::Probe => true,
            Self::Changed
            | Self::FlipFlop
            | Self::NewActivity
            | Self::NewStation
            | Self::ReusedOld => false,
        }
    }
}

/// What happened, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) what: Happening,
    pub(super) ip: Ipv4Addr,
    pub(super) mac: UnicastMac,
    /// The station that had, or has, the address too.
    pub(super) other: Option<UnicastMac>,
    /// Who sent the frame, if not the sender of the packet.
    pub(super) frame_from: Option<MacAddr>,
}

/// What is known of an address.
#[derive(Clone, Debug)]
pub(super) struct Station {
    pub(super) mac: UnicastMac,
    pub(super) local: bool,
    pub(super) first: Instant,
    pub(super) last: Instant,
    /// How often another station had the address from one packet to the next.
    pub(super) flips: u32,
    pub(super) conflicts: u32,
    pub(super) conflict_at: Option<Instant>,
    /// Those before, the latest first.
    former: Vec<UnicastMac>,
    /// Since when the address is at this station.
    since: Instant,
    /// Where it is in the order of being forgotten.
    turn: u64,
}

/// How it stands with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Conflict,
    Active,
    Quiet,
    Local,
}

impl Standing {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Active => "active",
            Self::Quiet => "quiet",
            Self::Local => "local",
        }
    }
}

impl Station {
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let recent = |time: Instant| now - time < ACTIVE_FOR;
        if self.conflict_at.is_some_and(recent) {
            Standing::Conflict
        } else if self.local {
            Standing::Local
        } else if recent(self.last) {
            Standing::Active
        } else {
            Standing::Quiet
        }
    }
}

/// A station that was heard this recently is active, a conflict this recent is one.
const ACTIVE_FOR: Duration = Duration::from_secs(60);
/// Whoever is back after less than this has never been away: RFC 5227's DEFEND_INTERVAL.
const BACK_SO_SOON: Duration = Duration::from_secs(10);
/// How many former stations are remembered for each address.
const MOST_FORMER: usize = 6;

/// Everything heard so far, within bounds.
#[derive(Debug)]
pub(super) struct Monitor {
    networks: Vec<Prefix>,
    quiet_after: Duration,
    limit: usize,
    stations: HashMap<Ipv4Addr, Station>,
    /// Turn by turn, who was heard last the longest ago.
    turns: BTreeMap<u64, Ipv4Addr>,
    next_turn: u64,
    repeats: Repeats,
    happened: Vec<Event>,
    pub(super) heard: u64,
    pub(super) forgotten: u64,
}

impl Monitor {
    /// For an interface with these networks, that is this station.
    pub(super) fn new(
        now: Instant,
        mac: UnicastMac,
        networks: Vec<Prefix>,
        limit: usize,
        quiet_after: Duration,
    ) -> Self {
        let mut this = Self {
            networks,
            quiet_after,
            limit: limit.max(1),
            stations: HashMap::new(),
            turns: BTreeMap::new(),
            next_turn: 0,
            repeats: Repeats::new(),
            happened: Vec::new(),
            heard: 0,
            forgotten: 0,
        };
        for own in this.networks.clone() {
            this.stations.insert(own.ip(), Station::new(now, mac, true));
        }
        this
    }

    #[cfg(feature = "tui")]
    pub(super) fn stations(&self) -> impl Iterator<Item = (Ipv4Addr, &Station)> {
        self.stations.iter().map(|(ip, station)| (*ip, station))
    }

    pub(super) fn station(&self, ip: Ipv4Addr) -> Option<&Station> {
        self.stations.get(&ip)
    }

    pub(super) fn len(&self) -> usize {
        self.stations.len()
    }

    /// How many events were not told because they were repetitions.
    pub(super) const fn repeated(&self) -> u64 {
        self.repeats.count
    }

    /// Takes a packet; answers what happened by it.
    pub(super) fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Vec<Event> {
        self.heard += 1;
        let Heard { packet, source, .. } = heard;
        let (ip, mac) = (packet.sender_ip, packet.sender_mac);
        if packet.is_probe() {
            self.tell(now, Happening::Probe, packet.target_ip, mac, None);
            return std::mem::take(&mut self.happened);
        }
        if mac != *source {
            self.mismatch(now, ip, mac, *source);
        }
        if self.is_bogon(ip) {
            self.tell(now, Happening::Bogon, ip, mac, None);
            return std::mem::take(&mut self.happened);
        }
        self.sighted(now, ip, mac);
        if packet.is_gratuitous() {
            self.tell(now, Happening::Announcement, ip, mac, None);
        }
        std::mem::take(&mut self.happened)
    }

    /// The address spoke.
    fn sighted(&mut self, now: Instant, ip: Ipv4Addr, mac: UnicastMac) {
        let Some(station) = self.stations.get_mut(&ip) else {
            self.make_room();
            let mut station = Station::new(now, mac, false);
            station.turn = self.take_turn(ip);
            self.stations.insert(ip, station);
            self.tell(now, Happening::NewStation, ip, mac, None);
            return;
        };
        if station.local {
            if station.mac != mac {
                let own = station.mac;
                station.conflict(now);
                self.tell(now, Happening::Conflict, ip, mac, Some(own));
            }
            return;
        }
        let silence = now - station.last;
        station.last = now;
        let turn = station.turn;
        let known = station.mac;
        let change = (known != mac).then(|| station.moves(now, mac));
        self.turns.remove(&turn);
        let turn = self.take_turn(ip);
        if let Some(station) = self.stations.get_mut(&ip) {
            station.turn = turn;
        }
        match change {
            None if silence >= self.quiet_after => {
                self.tell(now, Happening::NewActivity, ip, mac, None);
            }
            None => {}
            Some(Move { what, conflict }) => {
                self.tell(now, what, ip, mac, Some(known));
                if conflict {
                    self.tell(now, Happening::Conflict, ip, mac, Some(known));
                }
            }
        }
    }

    fn is_bogon(&self, ip: Ipv4Addr) -> bool {
        let near = |own: &Prefix| own.contains(ip) && own.broadcast() != Some(ip);
        let a_host = !ip.is_multicast() && !ip.is_broadcast() && !ip.is_loopback();
        !a_host || !(self.networks.is_empty() || self.networks.iter().any(near))
    }

    fn make_room(&mut self) {
        if self.stations.len() >= self.limit
            && let Some((_, ip)) = self.turns.pop_first()
        {
            self.stations.remove(&ip);
            self.forgotten += 1;
        }
    }

    fn take_turn(&mut self, ip: Ipv4Addr) -> u64 {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(turn, ip);
        turn
    }

    fn mismatch(&mut self, now: Instant, ip: Ipv4Addr, mac: UnicastMac, from: MacAddr) {
        self.push(
            now,
            Event {
                what: Happening::EthernetMismatch,
                ip,
                mac,
                other: None,
                frame_from: Some(from),
            },
        );
    }

    fn tell(
        &mut self,
        now: Instant,
        what: Happening,
        ip: Ipv4Addr,
        mac: UnicastMac,
        other: Option<UnicastMac>,
    ) {
        self.push(
            now,
            Event {
                what,
                ip,
                mac,
                other,
                frame_from: None,
            },
        );
    }

    fn push(&mut self, now: Instant, event: Event) {
        if !event.what.repeats() || self.repeats.is_news(now, event) {
            self.happened.push(event);
        }
    }
}

/// What it means that an address is at another station.
struct Move {
    what: Happening,
    conflict: bool,
}

impl Station {
    const fn new(now: Instant, mac: UnicastMac, local: bool) -> Self {
        Self {
            mac,
            local,
            first: now,
            last: now,
            flips: 0,
            conflicts: 0,
            conflict_at: None,
            former: Vec::new(),
            since: now,
            turn: 0,
        }
    }

    fn moves(&mut self, now: Instant, mac: UnicastMac) -> Move {
        let before = self.former.iter().position(|&former| former == mac);
        let conflict = before.is_some() && now - self.since < BACK_SO_SOON;
        self.former.retain(|&former| former != mac);
        self.former.insert(0, self.mac);
        self.former.truncate(MOST_FORMER);
        self.mac = mac;
        self.since = now;
        self.flips = self.flips.saturating_add(1);
        if conflict {
            self.conflict(now);
        }
        Move {
            what: match before {
                None => Happening::Changed,
                Some(0) => Happening::FlipFlop,
                Some(_) => Happening::ReusedOld,
            },
            conflict,
        }
    }

    fn conflict(&mut self, now: Instant) {
        self.conflicts = self.conflicts.saturating_add(1);
        self.conflict_at = Some(now);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
