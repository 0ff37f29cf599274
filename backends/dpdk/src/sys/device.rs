//! Ports: found, looked at, started, and their queues.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::eal::Eal;
use super::failure::Failure;
use super::ffi::{self, RteFlow, RteMempool};
use super::mbuf::Burst;
use super::pool::Pool;
use super::ring::Ring;

/// `RTE_ETH_NAME_MAX_LEN`.
const NAME_LEN: usize = 64;

/// The ports that somebody has.
static CLAIMED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// `struct whohas_info`.
#[repr(C)]
pub(super) struct RawInfo {
    rx_offloads: u64,
    tx_offloads: u64,
    rss_functions: u64,
    max_rx_queues: u16,
    max_tx_queues: u16,
    min_mtu: u16,
    max_mtu: u16,
    mtu: u16,
    rss_table_len: u16,
    rss_key_len: u8,
    mac: [u8; 6],
    driver: [c_char; NAME_LEN],
}

/// `struct whohas_setup`.
#[repr(C)]
pub(super) struct RawSetup {
    pools: *const *mut RteMempool,
    rss_key: *const u8,
    rss_functions: u64,
    rx_offloads: u64,
    tx_offloads: u64,
    queues: u16,
    rx_descriptors: u16,
    tx_descriptors: u16,
    mtu: u16,
    rss_key_len: u8,
    promiscuous: bool,
}

/// `struct whohas_link`.
#[repr(C)]
pub(super) struct RawLink {
    mbit_per_s: u32,
    up: bool,
    full_duplex: bool,
}

/// `struct whohas_stats`.
#[repr(C)]
pub(super) struct RawStats {
    rx_frames: u64,
    tx_frames: u64,
    rx_bytes: u64,
    tx_bytes: u64,
    rx_missed: u64,
    rx_errors: u64,
    tx_errors: u64,
    rx_no_mbuf: u64,
}

/// What a port is and can do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortInfo {
    /// The name of its driver, as `net_af_packet`.
    pub driver: String,
    /// Its hardware address; ports made of rings have none but zeros.
    pub mac: [u8; 6],
    /// How many queues it can have, for receiving and for sending.
    pub max_queues: (u16, u16),
    /// The longest packet, and the bounds within which that can be changed.
    pub mtu: u16,
    /// The least and the greatest MTU.
    pub mtu_bounds: (u16, u16),
    /// It looks at received checksums of TCP and UDP.
    pub checks_sums: bool,
    /// It fills in sent checksums of TCP and UDP.
    pub fills_in_sums: bool,
    /// It spreads flows of TCP over its queues by their addresses and ports.
    pub spreads_tcp: bool,
    /// It spreads flows over its queues by their addresses.
    pub spreads_ip: bool,
    /// The length of the key with which it does; zero if that is nobody's business.
    pub key_len: usize,
    /// The length of the table by which it does; zero if that is nobody's business.
    pub table_len: usize,
}

/// The state of a port's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatus {
    /// There is a carrier.
    pub up: bool,
    /// Millions of bits in a second.
    pub mbit_per_s: u32,
    /// Both sides may speak at once.
    pub full_duplex: bool,
}

/// What a port has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortStats {
    /// Frames received.
    pub rx_frames: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Frames that came when nobody had fetched those before them.
    pub rx_missed: u64,
    /// Frames that were received wrong.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
    /// Frames that came when the pool was empty.
    pub rx_no_mbuf: u64,
}

/// A port, and nobody else's.
pub(crate) struct Device {
    port: u16,
    name: String,
    /// What the port is made of, if it is made of rings.
    _rings: Vec<Arc<Ring>>,
    /// It is closed in the end, and then it is no more.
    closes: bool,
    /// After the rings: frames that are in them may be of these.
    pools: Vec<Pool>,
    _eal: Eal,
}

/// How a port is to be started.
pub(crate) struct Setup<'a> {
    /// One for each queue.
    pub(crate) pools: &'a [Pool],
    pub(crate) descriptors: (u16, u16),
    pub(crate) mtu: Option<u16>,
    pub(crate) spread: Option<Spread<'a>>,
    pub(crate) sums: bool,
    pub(crate) promiscuous: bool,
}

/// How a card is to spread flows over queues.
pub(crate) struct Spread<'a> {
    /// The card's own, if none is said.
    pub(crate) key: Option<&'a [u8]>,
    /// By addresses and ports where both are TCP's or else by addresses.
    pub(crate) by_ports: bool,
    pub(crate) by_addresses: bool,
}

impl Device {
    /// All ports that there are: their numbers and names.
    pub(crate) fn list(_eal: &Eal) -> Vec<(u16, String)> {
        let mut found = Vec::new();
        let mut next = 0;
        // SAFETY: DPDK runs, as there is an `Eal`; the function takes any number. Nobody is zero.
        while let port @ ..0xffff = unsafe { ffi::rte_eth_find_next_owned_by(next, 0) } {
            // SAFETY: a constant.
            if port >= u64::from(unsafe { ffi::whohas_max_ports }) {
                break;
            }
            let port = port as u16;
            let mut name = [0; NAME_LEN];
            // SAFETY: it writes a string of at most `RTE_ETH_NAME_MAX_LEN` bytes.
            if unsafe { ffi::rte_eth_dev_get_name_by_port(port, name.as_mut_ptr()) } == 0 {
                found.push((port, text(&name)));
            }
            next = port + 1;
        }
        found
    }

    /// Takes a port, if nobody has it.
    pub(crate) fn claim(eal: &Eal, port: u16, name: &str) -> Option<Self> {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.insert(port).then(|| Self {
            port,
            name: name.to_owned(),
            _rings: Vec::new(),
            closes: false,
            pools: Vec::new(),
            _eal: eal.clone(),
        })
    }

    /// Makes a port of these rings, which are there for as long as it is, and it no longer than this.
    pub(super) fn make(
        eal: &Eal,
        rings: Vec<Arc<Ring>>,
        make: impl FnOnce() -> Result<u16, Failure>,
    ) -> Result<Self, Failure> {
        // Nobody may have it before us.
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        let port = make()?;
        claimed.insert(port);
        drop(claimed);
        let named = Self::list(eal)
            .into_iter()
            .find(|(number, _)| *number == port);
        Ok(Self {
            port,
            name: named.map(|(_, name)| name).unwrap_or_default(),
            _rings: rings,
            closes: true,
            pools: Vec::new(),
            _eal: eal.clone(),
        })
    }

    /// Keeps the pool of frames that others send to the port.
    pub(crate) fn keep_pool(mut self, pool: &Pool) -> Self {
        self.pools.push(pool.clone());
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn info(&self) -> Result<PortInfo, Failure> {
        let mut info = std::mem::MaybeUninit::<RawInfo>::zeroed();
        // SAFETY: it fills in the structure, which is the shim's own.
        let code = unsafe { ffi::whohas_info(self.port, info.as_mut_ptr()) };
        check("rte_eth_dev_info_get", code)?;
        // SAFETY: a structure of numbers, for which zeros would have done too.
        let info = unsafe { info.assume_init() };
        // SAFETY: constants.
        let (rx, tx, tcp, ip) = unsafe {
            (
                ffi::whohas_rx_tcp_sum | ffi::whohas_rx_udp_sum,
                ffi::whohas_tx_tcp_sum | ffi::whohas_tx_udp_sum,
                ffi::whohas_rss_tcp,
                ffi::whohas_rss_ip,
            )
        };
        Ok(PortInfo {
            driver: text(&info.driver),
            mac: info.mac,
            max_queues: (info.max_rx_queues, info.max_tx_queues),
            mtu: info.mtu,
            mtu_bounds: (info.min_mtu, info.max_mtu),
            checks_sums: info.rx_offloads & rx == rx,
            fills_in_sums: info.tx_offloads & tx == tx,
            spreads_tcp: info.rss_functions & tcp != 0,
            spreads_ip: info.rss_functions & ip != 0,
            key_len: usize::from(info.rss_key_len),
            table_len: usize::from(info.rss_table_len),
        })
    }

    /// Sets the port up and starts it.
    pub(crate) fn start(mut self, setup: &Setup<'_>) -> Result<(Arc<Started>, Vec<Pair>), Failure> {
        let pools: Vec<_> = setup.pools.iter().map(Pool::as_ptr).collect();
        // SAFETY: constants.
        let functions = |spread: &Spread<'_>| unsafe {
            let tcp = if spread.by_ports {
                ffi::whohas_rss_tcp
            } else {
                0
            };
            let ip = if spread.by_addresses {
                ffi::whohas_rss_ip
            } else {
                0
            };
            tcp | ip
        };
        let key = setup.spread.as_ref().and_then(|spread| spread.key);
        let (rx_offloads, tx_offloads) = match setup.sums {
            // SAFETY: constants.
            true => unsafe {
                (
                    ffi::whohas_rx_tcp_sum | ffi::whohas_rx_udp_sum,
                    ffi::whohas_tx_tcp_sum | ffi::whohas_tx_udp_sum,
                )
            },
            false => (0, 0),
        };
        let raw = RawSetup {
            pools: pools.as_ptr(),
            rss_key: key.map_or(ptr::null(), <[u8]>::as_ptr),
            rss_functions: setup.spread.as_ref().map_or(0, functions),
            rx_offloads,
            tx_offloads,
            queues: pools.len() as u16,
            rx_descriptors: setup.descriptors.0,
            tx_descriptors: setup.descriptors.1,
            mtu: setup.mtu.unwrap_or(0),
            rss_key_len: key.map_or(0, <[u8]>::len) as u8,
            promiscuous: setup.promiscuous,
        };
        let mut call = c"rte_eth_dev_configure".as_ptr();
        // SAFETY: the structure is the shim's own, with as many pools as queues; pools and key outlive
        // the call, and the pools the port, which keeps them.
        let code = unsafe { ffi::whohas_start(self.port, &raw const raw, &raw mut call) };
        // SAFETY: a constant string.
        let call = unsafe { CStr::from_ptr(call) };
        check(&call.to_string_lossy(), code)?;
        self.closes = true;
        let started = Arc::new(Started {
            device: self,
            pools: setup.pools.to_vec(),
            asking: Mutex::new(()),
        });
        let pair = |queue| Pair {
            port: started.device.port,
            queue,
            started: started.clone(),
        };
        let pairs = (0..raw.queues).map(pair).collect();
        Ok((started, pairs))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let mut claimed = CLAIMED.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closes {
            // SAFETY: it is ours and does not run: `Started` has stopped it, if there was one.
            unsafe { ffi::rte_eth_dev_close(self.port) };
        }
        claimed.remove(&self.port);
    }
}

/// A port that runs. It stops when nobody has it or one of its queues any more.
pub(crate) struct Started {
    device: Device,
    pools: Vec<Pool>,
    /// Held by whoever asks the port for something: drivers expect one at a time.
    asking: Mutex<()>,
}

impl Started {
    pub(crate) fn name(&self) -> &str {
        self.device.name()
    }

    pub(crate) fn pools(&self) -> &[Pool] {
        &self.pools
    }

    fn ask(&self) -> MutexGuard<'_, ()> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn info(&self) -> Result<PortInfo, Failure> {
        let _asking = self.ask();
        self.device.info()
    }

    pub(crate) fn link(&self) -> Result<LinkStatus, Failure> {
        let _asking = self.ask();
        let mut link = RawLink {
            mbit_per_s: 0,
            up: false,
            full_duplex: false,
        };
        // SAFETY: it fills in the structure, which is the shim's own.
        let code = unsafe { ffi::whohas_link(self.device.port, &raw mut link) };
        check("rte_eth_link_get_nowait", code)?;
        let RawLink {
            mbit_per_s,
            up,
            full_duplex,
        } = link;
        Ok(LinkStatus {
            up,
            mbit_per_s,
            full_duplex,
        })
    }

    pub(crate) fn stats(&self) -> Result<PortStats, Failure> {
        let _asking = self.ask();
        let mut stats = std::mem::MaybeUninit::<RawStats>::zeroed();
        // SAFETY: it fills in the structure, which is the shim's own.
        let code = unsafe { ffi::whohas_stats(self.device.port, stats.as_mut_ptr()) };
        check("rte_eth_stats_get", code)?;
        // SAFETY: a structure of numbers, for which zeros would have done too.
        let RawStats {
            rx_frames,
            tx_frames,
            rx_bytes,
            tx_bytes,
            rx_missed,
            rx_errors,
            tx_errors,
            rx_no_mbuf,
        } = unsafe { stats.assume_init() };
        Ok(PortStats {
            rx_frames,
            tx_frames,
            rx_bytes,
            tx_bytes,
            rx_missed,
            rx_errors,
            tx_errors,
            rx_no_mbuf,
        })
    }

    pub(crate) fn set_mac(&self, mac: [u8; 6]) -> Result<(), Failure> {
        let _asking = self.ask();
        // SAFETY: it reads six bytes.
        let code = unsafe { ffi::whohas_set_mac(self.device.port, mac.as_ptr()) };
        check("rte_eth_dev_default_mac_addr_set", code)
    }

    /// The key with which the card spreads flows, and whether by ports of TCP too.
    pub(crate) fn spread_key(&self, len: usize) -> Result<(Vec<u8>, bool), Failure> {
        let _asking = self.ask();
        // There are drivers that write 40 bytes whatever they are told, and say that they have none.
        let mut key = vec![0; usize::from(u8::MAX)];
        let mut functions = 0;
        let len = u8::try_from(len).unwrap_or(u8::MAX);
        // SAFETY: there is room for the longest key that can be said.
        let code = unsafe {
            ffi::whohas_rss_key(self.device.port, key.as_mut_ptr(), len, &raw mut functions)
        };
        check("rte_eth_dev_rss_hash_conf_get", code)?;
        key.truncate(len.into());
        // SAFETY: a constant.
        let by_ports = functions & unsafe { ffi::whohas_rss_tcp } != 0;
        Ok((key, by_ports))
    }

    /// The table by which the card spreads flows: a queue for each remainder of their hash.
    pub(crate) fn spread_table(&self, len: usize) -> Result<Vec<u16>, Failure> {
        let _asking = self.ask();
        let mut table = vec![0; len];
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        // SAFETY: it writes no more than the length that it is told.
        let code = unsafe { ffi::whohas_rss_table(self.device.port, table.as_mut_ptr(), len) };
        check("rte_eth_dev_rss_reta_query", code)?;
        Ok(table)
    }

    pub(crate) fn set_spread_table(&self, table: &[u16]) -> Result<(), Failure> {
        let _asking = self.ask();
        let len = u16::try_from(table.len()).unwrap_or(u16::MAX);
        let port = self.device.port;
        // SAFETY: it reads no more than the length that it is told.
        let code = unsafe { ffi::whohas_set_rss_table(port, table.as_ptr(), len) };
        check("rte_eth_dev_rss_reta_update", code)
    }

    /// Has the card put all ARP on one queue, as long as the rule lives.
    pub(crate) fn steer_arp(self: &Arc<Self>, queue: u16) -> Result<Rule, Failure> {
        let _asking = self.ask();
        const CALL: &str = "rte_flow_create";
        let mut message = [0; 256];
        let port = self.device.port;
        // SAFETY: it writes a string of at most the length that it is told.
        let flow =
            unsafe { ffi::whohas_steer_arp(port, queue, message.as_mut_ptr(), message.len()) };
        match NonNull::new(flow) {
            Some(flow) => Ok(Rule {
                flow,
                started: self.clone(),
            }),
            None => match text(&message) {
                message if message.is_empty() => Err(Failure::last(CALL)),
                message => Err(Failure::because(CALL, Failure::last(CALL).code(), &message)),
            },
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // SAFETY: it runs, and all that called it is gone: queues and rules have clones of this.
        unsafe { ffi::rte_eth_dev_stop(self.device.port) };
    }
}

/// A rule of a card's.
pub(crate) struct Rule {
    flow: NonNull<RteFlow>,
    started: Arc<Started>,
}

// SAFETY: it is used once more, to remove it, from wherever that is.
unsafe impl Send for Rule {}

impl Drop for Rule {
    fn drop(&mut self) {
        let _asking = self.started.ask();
        // SAFETY: the rule is this port's, and the port runs.
        unsafe { ffi::whohas_forget_flow(self.started.device.port, self.flow.as_ptr()) };
    }
}

/// A receive queue and a transmit queue, and nobody else's.
pub(crate) struct Pair {
    port: u16,
    queue: u16,
    started: Arc<Started>,
}

impl Pair {
    pub(crate) fn queue(&self) -> u16 {
        self.queue
    }

    /// Receives into what room there is. Returns how many frames were refused: those in pieces that do
    /// not fit into one, and those that somebody else has too.
    #[inline]
    pub(crate) fn receive(&mut self, burst: &mut Burst) -> u16 {
        let (port, queue) = (self.port, self.queue);
        let pool = self.started.pools[usize::from(queue)].as_ptr();
        let mut refused = 0;
        // SAFETY: the port runs, and this is the only way to its queue. The shim writes no more than
        // `count` frames, each of one piece, unshared and no longer the port's.
        unsafe {
            burst.fill(|frames, count| {
                ffi::whohas_receive(port, queue, pool, frames, count, &raw mut refused)
            });
        }
        refused
    }

    /// Sends of the first `most` as many as there is room for; returns how many.
    #[inline]
    pub(crate) fn send(&mut self, burst: &mut Burst, most: usize) -> usize {
        let (port, queue) = (self.port, self.queue);
        let most = u16::try_from(most).unwrap_or(u16::MAX);
        // SAFETY: the port runs, and this is the only way to its queue, which has the frames that it
        // says it has taken.
        unsafe {
            burst.take(|frames, count| ffi::whohas_send(port, queue, frames, count.min(most)))
        }
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("port", &self.port)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

fn check(call: &str, code: c_int) -> Result<(), Failure> {
    if code < 0 {
        return Err(Failure::of(call, -code));
    }
    Ok(())
}

/// A string that ends with a zero, or with the array.
fn text(bytes: &[c_char]) -> String {
    let bytes: Vec<u8> = bytes.iter().map(|&byte| byte as u8).collect();
    let text = CStr::from_bytes_until_nul(&bytes);
    text.map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}
