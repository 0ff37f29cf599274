//! State machines of the user's, driven by the LAN.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Lan, PortId};
use crate::time::Instant;

/// How much one station may do at one instant before the LAN takes it for one that never rests.
pub const MAX_STEPS: u32 = 250_000;

/// Something that can be plugged into a [`Lan`]: a state machine that does no I/O itself.
///
/// After each input ([`receive`](Self::receive), [`handle_timeout`](Self::handle_timeout)) the LAN
/// drains [`poll_transmit`](Self::poll_transmit), then it asks
/// [`poll_timeout`](Self::poll_timeout) when to come back.
///
/// ```
/// use core::net::Ipv4Addr;
/// use core::time::Duration;
/// use whohas::sim::{Host, Lan, Station};
/// use whohas::wire::{ArpPacket, MacAddr, UnicastMac};
/// use whohas::Instant;
///
/// struct Listener {
///     heard: u32,
/// }
///
/// impl Station for Listener {
///     fn receive(&mut self, _now: Instant, _frame: &[u8]) {
///         self.heard += 1;
///     }
///     fn handle_timeout(&mut self, _now: Instant) {}
///     fn poll_transmit(&mut self, _now: Instant) -> Option<Vec<u8>> {
///         None
///     }
///     fn poll_timeout(&mut self) -> Option<Instant> {
///         None
///     }
/// }
///
/// let [us, chatterbox] = [1, 2].map(|n| UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap());
/// let ip = Ipv4Addr::new(10, 0, 0, 2);
/// let announcement = ArpPacket::announcement(chatterbox, ip);
/// let every = Duration::from_millis(100);
///
/// let mut lan = Lan::new(42);
/// let port = lan.add_port(us);
/// lan.add_host(Host::new(ip, chatterbox).repeats(announcement, MacAddr::BROADCAST, every));
///
/// let mut listener = Listener { heard: 0 };
/// lan.run_for(Duration::from_secs(1), &mut [(port, &mut listener)]);
/// assert_eq!(listener.heard, 10);
/// ```
pub trait Station {
    /// A frame arrived.
    fn receive(&mut self, now: Instant, frame: &[u8]);

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    fn handle_timeout(&mut self, now: Instant);

    /// The next frame to send, if there is one.
    fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>>;

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, if ever.
    fn poll_timeout(&mut self) -> Option<Instant>;
}

impl Lan {
    /// Runs the LAN and these stations, each behind its port, up to and including this time.
    ///
    /// At one instant frames that arrived come before time-outs that are due, and stations take
    /// turns in the order of the list. Ports that are not in the list keep their frames for
    /// [`receive`](Self::receive).
    ///
    /// # Panics
    ///
    /// If a station does more than [`MAX_STEPS`] things at one instant: it has asked for a time-out
    /// in the past again and again, or transmits without end.
    pub fn run_until(&mut self, deadline: Instant, stations: &mut [(PortId, &mut dyn Station)]) {
        loop {
            self.settle(stations);
            let timeouts = stations
                .iter_mut()
                .map(|(_, station)| station.poll_timeout());
            let next = timeouts.chain([self.next_event()]).flatten().min();
            match next {
                Some(next) if next <= deadline => self.advance_to(next),
                Some(_) | None => return self.advance_to(deadline),
            }
        }
    }

    /// [Runs](Self::run_until) for this long from now on.
    ///
    /// # Panics
    ///
    /// As [`run_until`](Self::run_until).
    pub fn run_for(&mut self, duration: Duration, stations: &mut [(PortId, &mut dyn Station)]) {
        self.run_until(self.now() + duration, stations);
    }

    /// Does all that is to be done now, what follows from it included: on links without delay an
    /// answer arrives at the instant of its question.
    fn settle(&mut self, stations: &mut [(PortId, &mut dyn Station)]) {
        let mut turns: Vec<Turn> = stations.iter().map(|&(port, _)| Turn::new(port)).collect();
        loop {
            self.advance_to(self.now());
            let mut busy = false;
            for (turn, (_, station)) in turns.iter_mut().zip(&mut *stations) {
                busy |= turn.take(self, *station);
            }
            if !busy {
                return;
            }
        }
    }
}

/// One station's doings at one instant.
struct Turn {
    port: PortId,
    steps: u32,
}

impl Turn {
    const fn new(port: PortId) -> Self {
        Self { port, steps: 0 }
    }

    /// Lets the station do all that it can; whether that was anything at all.
    fn take(&mut self, lan: &mut Lan, station: &mut dyn Station) -> bool {
        let before = self.steps;
        // Calls of the user's since the last run may have left something to send.
        self.drain(lan, station);
        while let Some(frame) = lan.receive(self.port) {
            station.receive(lan.now(), &frame);
            self.count(lan, "received frames");
            self.drain(lan, station);
        }
        while station.poll_timeout().is_some_and(|due| due <= lan.now()) {
            station.handle_timeout(lan.now());
            self.count(lan, "asked for a time-out that is already due");
            self.drain(lan, station);
        }
        self.steps != before
    }

    fn drain(&mut self, lan: &mut Lan, station: &mut dyn Station) {
        while let Some(frame) = station.poll_transmit(lan.now()) {
            lan.send(self.port, &frame);
            self.count(lan, "transmitted");
        }
    }

    fn count(&mut self, lan: &Lan, last: &str) {
        self.steps += 1;
        assert!(
            self.steps <= MAX_STEPS,
            "the station behind {} never rests: {MAX_STEPS} steps at {}, the last time it {last}",
            self.port,
            lan.now(),
        );
    }
}
