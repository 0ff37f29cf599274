//! The LAN itself: ports, cables, the clock and what happens when.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

use super::events::{Event, Events};
use super::link::Cable;
use super::resident::{Resident, Timer, Wishes};
use super::switch::Switch;
use super::{FrameLog, Host, LOG_FRAMES, Link, LinkStats, Rng};
use crate::time::Instant;
use crate::wire::UnicastMac;

/// How many frames wait behind one port for [`Lan::receive`].
pub const INBOX_FRAMES: usize = 4_096;

/// A port of one [`Lan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PortId(u32);

impl PortId {
    pub(super) const FIRST: Self = Self(0);
    pub(super) const LAST: Self = Self(u32::MAX);
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.0)
    }
}

/// A simulated LAN in virtual time; the [module](crate::sim) shows one at work.
///
/// To attach something of your own, either implement [`Station`](super::Station) and call
/// [`run_until`](Self::run_until), or write the loop yourself: [`send`](Self::send) what there is
/// to send, [`advance_to`](Self::advance_to) the earlier of [`next_event`](Self::next_event) and
/// your own next time-out, [`receive`](Self::receive) until there is nothing more, and again.
///
/// # Panics
///
/// Every method that takes a [`PortId`] panics if the port is not one of this LAN's.
#[derive(Debug)]
pub struct Lan {
    now: Instant,
    rng: Rng,
    events: Events,
    ports: Vec<Port>,
    switch: Switch,
    log: FrameLog,
}

#[derive(Debug)]
struct Port {
    /// From the port's station to the switch.
    up: Cable,
    /// From the switch to the port's station.
    down: Cable,
    plugged_in: bool,
    behind: Behind,
}

#[derive(Debug)]
enum Behind {
    Host(Resident),
    Station { mac: UnicastMac, inbox: Inbox },
    Tap(Inbox),
}

impl Lan {
    /// A LAN without ports, at time zero. The same calls on LANs of the same seed give the same
    /// frames at the same times.
    pub fn new(seed: u64) -> Self {
        Self::with_log_bound(seed, LOG_FRAMES)
    }

    /// A LAN that logs this many frames.
    pub fn with_log_bound(seed: u64, frames: usize) -> Self {
        Self {
            now: Instant::ZERO,
            rng: Rng::new(seed),
            events: Events::default(),
            ports: Vec::new(),
            switch: Switch::default(),
            log: FrameLog::new(frames),
        }
    }

    /// What time it is.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The source of all chance here, for tests that want theirs from the same seed.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// A port for a station of yours. It gets what is for its MAC, for a group, or for a MAC that
    /// nobody has.
    pub fn add_port(&mut self, mac: UnicastMac) -> PortId {
        let inbox = Inbox::default();
        let port = self.add(Behind::Station { mac, inbox });
        self.switch.add_station(port, mac.get());
        port
    }

    /// A port that gets every frame of the others, as a sniffer or an attacker wants it. Sending
    /// back what it gets makes it the access point that echoes a station's own broadcasts.
    pub fn add_tap(&mut self) -> PortId {
        let port = self.add(Behind::Tap(Inbox::default()));
        self.switch.add_tap(port);
        port
    }

    /// A port with a built-in host behind it. Of the broadcasts, only those reach it that it could
    /// react to.
    pub fn add_host(&mut self, host: Host) -> PortId {
        let (resident, wishes) = Resident::new(host, self.now, &mut self.rng);
        let (port, mac) = (self.next_port(), resident.mac().get());
        self.switch.add_host(port, mac, resident.reactions());
        self.add(Behind::Host(resident));
        self.fulfil(port, wishes);
        port
    }

    fn add(&mut self, behind: Behind) -> PortId {
        let port = self.next_port();
        self.ports.push(Port {
            up: Cable::default(),
            down: Cable::default(),
            plugged_in: true,
            behind,
        });
        port
    }

    const fn next_port(&self) -> PortId {
        PortId(self.ports.len() as u32)
    }

    /// The station behind this port has another MAC from now on.
    ///
    /// # Panics
    ///
    /// If the port was not made by [`add_port`](Self::add_port).
    pub fn set_mac(&mut self, port: PortId, new: UnicastMac) {
        let Behind::Station { mac, inbox: _ } = &mut self.port_mut(port).behind else {
            panic!("{port} has no station of yours behind it");
        };
        let old = core::mem::replace(mac, new);
        self.switch.rename(port, old.get(), new.get());
    }

    /// Both directions of this port's cable are such links from now on.
    pub fn set_link(&mut self, port: PortId, link: Link) {
        self.set_uplink(port, link);
        self.set_downlink(port, link);
    }

    /// What this port's station sends goes over such a link from now on.
    pub fn set_uplink(&mut self, port: PortId, link: Link) {
        self.port_mut(port).up.link = link;
    }

    /// What this port's station gets comes over such a link from now on.
    pub fn set_downlink(&mut self, port: PortId, link: Link) {
        self.port_mut(port).down.link = link;
    }

    /// What became of the frames that this port's station sent.
    pub fn uplink_stats(&self, port: PortId) -> LinkStats {
        self.port(port).up.stats
    }

    /// What became of the frames for this port's station.
    pub fn downlink_stats(&self, port: PortId) -> LinkStats {
        self.port(port).down.stats
    }

    /// Pulls the cable: nothing gets through in either direction, what is on it included.
    pub fn unplug(&mut self, port: PortId) {
        self.port_mut(port).plugged_in = false;
    }

    /// Puts the cable back.
    pub fn plug_in(&mut self, port: PortId) {
        self.port_mut(port).plugged_in = true;
    }

    /// Whether the host behind this port uses this address: not while it
    /// [probes](Host::probes_before_use), and not after it gave it up.
    pub fn owns(&self, port: PortId, ip: Ipv4Addr) -> bool {
        match &self.port(port).behind {
            Behind::Host(resident) => resident.owns(ip),
            Behind::Station { .. } | Behind::Tap(_) => false,
        }
    }

    /// What was sent so far.
    pub const fn log(&self) -> &FrameLog {
        &self.log
    }

    /// Forgets what was sent so far.
    pub fn clear_log(&mut self) {
        self.log.clear();
    }

    /// Sends a frame, of any bytes, from this port. It moves when time does: on a perfect link it is
    /// there after [`advance_to`](Self::advance_to) the present.
    pub fn send(&mut self, port: PortId, frame: &[u8]) {
        self.log.record(self.now, port, frame);
        let sender = &mut self.ports[port.0 as usize];
        if !sender.plugged_in {
            sender.up.stats.sent += 1;
            sender.up.stats.unplugged += 1;
            return;
        }
        sender
            .up
            .carry(self.now, frame, &mut self.rng, |at, frame| {
                self.events
                    .add_frame(at, Event::Switch { from: port, frame })
            });
    }

    /// The next frame that has arrived at this port, oldest first.
    pub fn receive(&mut self, port: PortId) -> Option<Vec<u8>> {
        match &mut self.port_mut(port).behind {
            Behind::Host(_) => None,
            Behind::Station { mac: _, inbox } | Behind::Tap(inbox) => inbox.frames.pop_front(),
        }
    }

    /// The frame that [`receive`](Self::receive) would take.
    pub fn peek(&self, port: PortId) -> Option<&[u8]> {
        match &self.port(port).behind {
            Behind::Host(_) => None,
            Behind::Station { mac: _, inbox } | Behind::Tap(inbox) => {
                inbox.frames.front().map(Vec::as_slice)
            }
        }
    }

    /// When something happens next, if anything will.
    pub fn next_event(&self) -> Option<Instant> {
        self.events.next()
    }

    /// Lets everything happen up to and including this time, in order. Time never goes back: a past
    /// `time` counts as the present.
    pub fn advance_to(&mut self, time: Instant) {
        let time = time.max(self.now);
        while let Some((at, event)) = self.events.pop_until(time) {
            self.now = at;
            self.happen(event);
        }
        self.now = time;
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Send { from, frame } => self.send(from, &frame),
            Event::Switch { from, frame } => self.switch(from, &frame),
            Event::Arrive { at, frame } => self.arrive(at, frame),
            Event::HostTimer { port, timer } => self.host_timer(port, timer),
        }
    }

    fn switch(&mut self, from: PortId, frame: &[u8]) {
        let sender = self.port_mut(from);
        if !sender.plugged_in {
            sender.up.stats.unplugged += 1;
            return;
        }
        sender.up.stats.delivered += 1;
        for to in self.switch.receivers(from, frame) {
            let down = &mut self.ports[to.0 as usize].down;
            down.carry(self.now, frame, &mut self.rng, |at, frame| {
                self.events.add_frame(at, Event::Arrive { at: to, frame })
            });
        }
    }

    fn arrive(&mut self, at: PortId, frame: Vec<u8>) {
        let now = self.now;
        let port = self.port_mut(at);
        if !port.plugged_in {
            port.down.stats.unplugged += 1;
            return;
        }
        let wishes = match &mut port.behind {
            Behind::Host(resident) => resident.receive(now, &frame),
            Behind::Station { mac: _, inbox } | Behind::Tap(inbox) => {
                if !inbox.put(frame) {
                    port.down.stats.overrun += 1;
                    return;
                }
                Wishes::default()
            }
        };
        port.down.stats.delivered += 1;
        self.fulfil(at, wishes);
    }

    fn host_timer(&mut self, port: PortId, timer: Timer) {
        let Behind::Host(resident) = &mut self.ports[port.0 as usize].behind else {
            return;
        };
        let old = resident.mac();
        let wishes = resident.handle_timer(self.now, timer, &mut self.rng);
        self.switch.rename(port, old.get(), resident.mac().get());
        self.fulfil(port, wishes);
    }

    fn fulfil(&mut self, port: PortId, wishes: Wishes) {
        let Wishes { frames, timers } = wishes;
        for (at, frame) in frames {
            let frame = frame.to_vec();
            if !self.events.add_frame(at, Event::Send { from: port, frame }) {
                let stats = &mut self.port_mut(port).up.stats;
                stats.sent += 1;
                stats.overrun += 1;
            }
        }
        for (at, timer) in timers {
            self.events.add(at, Event::HostTimer { port, timer });
        }
    }

    fn port(&self, port: PortId) -> &Port {
        &self.ports[port.0 as usize]
    }

    fn port_mut(&mut self, port: PortId) -> &mut Port {
        &mut self.ports[port.0 as usize]
    }
}

/// Frames that arrived and were not yet fetched.
#[derive(Debug, Default)]
struct Inbox {
    frames: VecDeque<Vec<u8>>,
}

impl Inbox {
    fn put(&mut self, frame: Vec<u8>) -> bool {
        let room = self.frames.len() < INBOX_FRAMES;
        if room {
            self.frames.push_back(frame);
        }
        room
    }
}
