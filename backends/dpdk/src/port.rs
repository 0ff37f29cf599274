//! [`Port`]: a card or a virtual device, opened with its queues.

use std::fmt;
use std::sync::Arc;

use whohas::UnicastMac;
use whohas::link::HEADROOM;

use crate::handover::{Fabric, QueueCounters};
use crate::queue::Queue;
use crate::steering::{Steering, SteeringError};
use crate::sys::Failure;
use crate::sys::device::{Device, LinkStatus, PortInfo, PortStats, Rule, Setup, Spread, Started};
use crate::sys::eal::Eal;
use crate::sys::failure::{in_a_line, take_log};
use crate::sys::mbuf::BURST;
use crate::sys::pool::{KEPT, Pool};

/// The length of an Ethernet header.
const HEADER_LEN: usize = 14;
/// How long the key is by which most cards spread flows.
const CUSTOMARY_KEY_LEN: usize = 40;
/// What a card wants to have at least for a frame that it receives.
const LEAST_ROOM: usize = 2048;

/// How a port is opened.
///
/// ```no_run
/// use whohas_dpdk::{EalOptions, PortOptions};
///
/// let eal = EalOptions::without_hardware(64)
///     .device("net_af_packet0,iface=eth0,qpairs=2")
///     .start()?;
/// let (port, queues) = PortOptions::new().queues(2).open(&eal, "net_af_packet0")?;
/// println!("{port:?}: {} queues", queues.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PortOptions {
    queues: u16,
    descriptors: (u16, u16),
    frames: Option<u32>,
    mtu: Option<u16>,
    mac: Option<UnicastMac>,
    key: Option<Vec<u8>>,
    inbox: usize,
    hands_over: bool,
    offloads_sums: bool,
    promiscuous: bool,
}

impl Default for PortOptions {
    fn default() -> Self {
        Self {
            queues: 1,
            descriptors: (512, 512),
            frames: None,
            mtu: None,
            mac: None,
            key: None,
            inbox: 256,
            hands_over: true,
            offloads_sums: false,
            promiscuous: false,
        }
    }
}

impl PortOptions {
    /// One queue, and everything else as the port has it.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many queues, for receiving and for sending.
    pub fn queues(mut self, queues: u16) -> Self {
        self.queues = queues;
        self
    }

    /// How many frames each queue keeps room for, for receiving and for sending: 512 each.
    pub fn descriptors(mut self, receive: u16, transmit: u16) -> Self {
        self.descriptors = (receive, transmit);
        self
    }

    /// How many frames each queue's pool has: enough for its descriptors and what is on its way, if
    /// nothing is said.
    pub fn frames(mut self, frames: u32) -> Self {
        self.frames = Some(frames);
        self
    }

    /// The longest packet.
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Our hardware address, where the port's own is not wanted or it has none.
    pub fn mac(mut self, mac: UnicastMac) -> Self {
        self.mac = Some(mac);
        self
    }

    /// The key by which the card spreads flows over queues, where it can be set: for instance
    /// [`SYMMETRIC_KEY`](crate::steering::SYMMETRIC_KEY).
    pub fn spread_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// How many frames of other queues wait for each queue: 256. More are lost, and counted.
    pub fn inbox(mut self, frames: usize) -> Self {
        self.inbox = frames;
        self
    }

    /// Leaves every frame on the queue where it arrived, for programs whose queues open no flows of
    /// their own.
    pub fn without_hand_over(mut self) -> Self {
        self.hands_over = false;
        self
    }

    /// Leaves the checksums of TCP and UDP to the card, where it
    /// [checks](PortInfo::checks_sums) and [fills in](PortInfo::fills_in_sums) both. What it has not
    /// looked at is looked at here, and what is wrong is dropped and counted: the stack need do nothing.
    pub fn offload_sums(mut self) -> Self {
        self.offloads_sums = true;
        self
    }

    /// Receives frames for other stations too.
    pub fn promiscuous(mut self) -> Self {
        self.promiscuous = true;
        self
    }

    pub(crate) fn queue_count(&self) -> u16 {
        self.queues
    }

    /// Opens a port by its name: a device's address, as `0000:01:00.0`, or what a virtual device was
    /// called. It is stopped when the [`Port`] and its queues are dropped, and cannot be opened again.
    pub fn open(&self, eal: &Eal, name: &str) -> Result<(Port, Vec<Queue>), OpenError> {
        let list = Device::list(eal);
        let found = list.iter().find(|(_, known)| known == name);
        let Some((number, name)) = found else {
            let names = list.into_iter().map(|(_, name)| name).collect();
            return Err(OpenError::NoPort {
                name: name.to_owned(),
                names,
                log: take_log(),
            });
        };
        let device = Device::claim(eal, *number, name);
        self.open_device(eal, device.ok_or_else(|| OpenError::Taken(name.clone()))?)
    }

    pub(crate) fn open_device(
        &self,
        eal: &Eal,
        device: Device,
    ) -> Result<(Port, Vec<Queue>), OpenError> {
        let info = device.info()?;
        self.check(&info)?;
        let mtu = self.mtu.unwrap_or(info.mtu);
        let longest = usize::from(mtu) + HEADER_LEN;
        let room = LEAST_ROOM.max(longest + HEADROOM).next_multiple_of(64);
        let pools = (0..self.queues).map(|_| Pool::new(eal, self.frames_for_queue(), room));
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        let spreads = self.queues > 1 && (info.spreads_tcp || info.spreads_ip);
        let sums = self.offloads_sums && info.checks_sums && info.fills_in_sums;
        let setup = Setup {
            pools: &pools,
            descriptors: self.descriptors,
            mtu: self.mtu,
            spread: spreads.then_some(Spread {
                key: self.key.as_deref(),
                by_ports: info.spreads_tcp,
                by_addresses: info.spreads_ip,
            }),
            sums,
            promiscuous: self.promiscuous,
        };
        let (started, pairs) = device.start(&setup)?;
        let mac = self.set_mac(&started, &info)?;
        let steering = steering(&started, &info, spreads, self.queues)?;
        let hands_over = self.hands_over && self.queues > 1;
        let fabric = Arc::new(Fabric::new(
            self.queues,
            self.inbox,
            steering,
            (hands_over, sums),
        ));
        fabric.link().refresh(&started);
        let queues = pairs
            .into_iter()
            .map(|pair| Queue::new(&started, pair, &fabric, mac.octets(), longest))
            .collect();
        let port = Port {
            fabric,
            started,
            mac,
        };
        Ok((port, queues))
    }

    fn check(&self, info: &PortInfo) -> Result<(), OpenError> {
        let (receive, transmit) = info.max_queues;
        let most = receive.min(transmit);
        if !(1..=most).contains(&self.queues) {
            return Err(OpenError::Queues {
                queues: self.queues,
                most,
            });
        }
        if let Some(key) = &self.key {
            let wanted = key_len(info);
            if key.len() != wanted {
                return Err(OpenError::SpreadKey {
                    len: key.len(),
                    wanted,
                });
            }
        }
        let (least, greatest) = info.mtu_bounds;
        match self.mtu {
            Some(mtu) if !(least..=greatest).contains(&mtu) => Err(OpenError::Mtu {
                mtu,
                least,
                greatest,
            }),
            _ => Ok(()),
        }
    }

    /// Enough for what the card has, what a queue has, what other queues have of it, and what their
    /// threads keep for themselves.
    fn frames_for_queue(&self) -> u32 {
        let (receive, transmit) = self.descriptors;
        let ours = u32::from(receive) + u32::from(transmit) + 4 * BURST as u32;
        let inbox = u32::try_from(self.inbox).unwrap_or(u32::MAX);
        let others = u32::from(self.queues).saturating_sub(1);
        let theirs = inbox.saturating_add(KEPT).saturating_mul(others);
        // A power of two less one is what DPDK's rings have room for.
        let enough = ours.saturating_add(theirs).checked_next_power_of_two();
        self.frames
            .unwrap_or_else(|| enough.map_or(u32::MAX, |enough| enough - 1))
    }

    fn set_mac(&self, port: &Started, info: &PortInfo) -> Result<UnicastMac, OpenError> {
        let Some(mac) = self.mac else {
            return UnicastMac::new(info.mac).map_err(|_| OpenError::NoMac(port.name().to_owned()));
        };
        match port.set_mac(mac.octets()) {
            Ok(()) => Ok(mac),
            // It has none to set, so it receives whatever there is.
            Err(failure) if failure.is_unsupported() => Ok(mac),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// By whom flows are spread: by the card, where it says how and each queue can reach everybody, or else
/// as we like it.
fn steering(
    port: &Started,
    info: &PortInfo,
    spreads: bool,
    queues: u16,
) -> Result<Steering, SteeringError> {
    match spreads.then(|| of_card(port, info, queues)).flatten() {
        Some(steering) => Ok(steering),
        None => Steering::by_software(queues),
    }
}

/// How long the key is. A driver that does not say takes as much as most cards have.
fn key_len(info: &PortInfo) -> usize {
    match info.key_len {
        0 => CUSTOMARY_KEY_LEN,
        len => len,
    }
}

fn of_card(port: &Started, info: &PortInfo, queues: u16) -> Option<Steering> {
    let (key, by_ports) = port.spread_key(key_len(info)).ok()?;
    if key.iter().all(|&byte| byte == 0) {
        // One that leaves everything as it was has told nothing.
        return None;
    }
    let even: Vec<_> = (0..info.table_len)
        .map(|entry| entry as u16 % queues)
        .collect();
    // A card that does not let it be set has one of its own.
    let _ = port.set_spread_table(&even);
    let table = port.spread_table(info.table_len).ok()?;
    by_ports
        .then(|| Steering::of_card(&key, &table, queues, by_ports).ok())
        .flatten()
}

/// A card or a virtual device that runs.
///
/// What can be asked of it while its [`Queue`]s are at work on their threads.
pub struct Port {
    // Before what its frames are of.
    fabric: Arc<Fabric>,
    started: Arc<Started>,
    mac: UnicastMac,
}

impl Port {
    /// The names of all ports that DPDK has found.
    pub fn names(eal: &Eal) -> Vec<String> {
        let list = Device::list(eal).into_iter();
        list.map(|(_, name)| name).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.started.name()
    }

    /// Our hardware address on it.
    pub fn mac(&self) -> UnicastMac {
        self.mac
    }

    /// What it is and can do.
    pub fn info(&self) -> Result<PortInfo, Failure> {
        self.started.info()
    }

    /// The state of its link.
    pub fn link(&self) -> Result<LinkStatus, Failure> {
        self.started.link()
    }

    /// What it has counted.
    pub fn stats(&self) -> Result<PortStats, Failure> {
        self.started.stats()
    }

    /// What each of its queues has counted.
    pub fn queue_counters(&self) -> Vec<QueueCounters> {
        self.fabric.counters()
    }

    /// Which flows belong to which queue.
    pub fn steering(&self) -> &Steering {
        self.fabric.steering()
    }

    /// How many frames of all pools somebody has, the port included.
    pub fn frames_in_use(&self) -> u32 {
        self.started.pools().iter().map(Pool::in_use).sum()
    }

    /// The pools of its queues.
    pub fn pools(&self) -> &[Pool] {
        self.started.pools()
    }

    /// Has the card put all ARP on one queue, where it can, as long as the rule lives. Nothing needs
    /// it: ARP may arrive anywhere.
    pub fn steer_arp(&self, queue: u16) -> Result<ArpRule, Failure> {
        self.started.steer_arp(queue).map(ArpRule)
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("name", &self.name())
            .field("mac", &self.mac)
            .field("steering", self.steering())
            .finish_non_exhaustive()
    }
}

/// A rule of the card's that puts all ARP on one queue, until it is dropped.
#[must_use = "dropped, the rule is no more"]
pub struct ArpRule(
    // Held for what its end does.
    #[expect(dead_code)] Rule,
);

impl fmt::Debug for ArpRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArpRule").finish_non_exhaustive()
    }
}

/// Why a port was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// DPDK would not.
    #[error("DPDK does not open the port: {0}")]
    Dpdk(#[from] Failure),
    /// The port cannot have such an MTU.
    #[error("an MTU of {mtu} is not between {least} and {greatest}")]
    Mtu {
        /// What was asked for.
        mtu: u16,
        /// The least that it can have.
        least: u16,
        /// The greatest that it can have.
        greatest: u16,
    },
    /// It has no address of its own.
    #[error("{0} has no hardware address of its own: give it one with `PortOptions::mac`")]
    NoMac(String),
    /// No port has this name.
    #[error(
        "no port is called {name}; there are: {}{}",
        list(names),
        in_a_line(log)
    )]
    NoPort {
        /// The name.
        name: String,
        /// Those of all ports.
        names: Vec<String>,
        /// What DPDK has logged: it starts without a device that it cannot have.
        log: String,
    },
    /// The port cannot have as many queues.
    #[error("{queues} queues are not between 1 and {most}, which is what the port can have")]
    Queues {
        /// How many were asked for.
        queues: u16,
        /// How many it can have.
        most: u16,
    },
    /// Flows cannot be steered to so many queues.
    #[error(transparent)]
    Steering(#[from] SteeringError),
    /// The card spreads flows by a key of another length.
    #[error("the card spreads flows by a key of {wanted} bytes, and not of {len}")]
    SpreadKey {
        /// How long the key is that was given.
        len: usize,
        /// How long it must be.
        wanted: usize,
    },
    /// Somebody has it.
    #[error("{0} is open already: a port is opened once")]
    Taken(String),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none: was DPDK started with a device?".to_owned(),
        names => names.join(", "),
    }
}
