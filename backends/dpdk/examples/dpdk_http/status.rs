//! What the server tells of itself, as JSON: a board that queues and a watcher write on.
//!
//! Queues leave what they have counted, and never wait for anybody to read it. All else is asked for on a
//! thread beside them, so that a page costs a queue no more than any other.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};
use whohas::Instant;
use whohas::link::{LinkCounters, RxDrop, TxDrop};
use whohas::net::Stats;
use whohas::resolver::shared::SharedResolver;
use whohas_dpdk::run::LoopCounters;
use whohas_dpdk::{Eal, Failure, Port, QueueCounters};

/// How old what is told may be, about.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// So many neighbours are told of at most.
const NEIGHBOURS: usize = 100;

/// What is told of the server.
pub(crate) struct Board<'s> {
    eal: &'s Eal,
    port: &'s Port,
    resolver: &'s SharedResolver,
    /// What each queue has left.
    seen: Box<[Mutex<Option<Seen>>]>,
    text: Mutex<String>,
}

/// What a queue has counted, beside what its port knows.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) link: LinkCounters,
    pub(crate) stats: Stats,
    pub(crate) turns: LoopCounters,
    pub(crate) requests: u64,
}

impl<'s> Board<'s> {
    pub(crate) fn new(eal: &'s Eal, port: &'s Port, resolver: &'s SharedResolver) -> Self {
        let queues = port.queue_counters().len();
        Self {
            eal,
            port,
            resolver,
            seen: (0..queues).map(|_| Mutex::default()).collect(),
            text: Mutex::default(),
        }
    }

    /// Left by a queue. If it is being read just now, there will be more later.
    pub(crate) fn publish(&self, queue: u16, seen: Seen) {
        if let Ok(mut slot) = self.seen[usize::from(queue)].try_lock() {
            *slot = Some(seen);
        }
    }

    /// All of it, as it was not long ago.
    pub(crate) fn text(&self) -> String {
        unpoisoned(&self.text).clone()
    }

    /// Writes it anew.
    pub(crate) fn refresh(&self, now: Instant) {
        let status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "dpdk": self.eal.version(),
            "uptime_s": now.since(Instant::ZERO).as_secs_f64(),
            "port": self.port().unwrap_or_else(|failure| json!(failure.to_string())),
            "steering": self.port.steering().to_string(),
            "queues": self.queues(),
            "neighbours": self.neighbours(),
            "resolver": self.resolver(),
        });
        let text = format!("{status:#}\n");
        *unpoisoned(&self.text) = text;
    }

    fn port(&self) -> Result<Value, Failure> {
        let (info, link, stats) = (self.port.info()?, self.port.link()?, self.port.stats()?);
        Ok(json!({
            "name": self.port.name(),
            "driver": info.driver,
            "mac": self.port.mac().to_string(),
            "mtu": info.mtu,
            "link": {
                "up": link.up,
                "mbit_per_s": link.mbit_per_s,
                "full_duplex": link.full_duplex,
            },
            "frames_in_use": self.port.frames_in_use(),
            "stats": {
                "rx_frames": stats.rx_frames,
                "rx_bytes": stats.rx_bytes,
                "rx_missed": stats.rx_missed,
                "rx_errors": stats.rx_errors,
                "rx_no_mbuf": stats.rx_no_mbuf,
                "tx_frames": stats.tx_frames,
                "tx_bytes": stats.tx_bytes,
                "tx_errors": stats.tx_errors,
            },
        }))
    }

    fn queues(&self) -> Value {
        let counters = self.port.queue_counters().into_iter();
        let queues = counters.zip(&self.seen).enumerate();
        let told =
            queues.map(|(number, (counters, seen))| queue(number, &counters, *unpoisoned(seen)));
        told.collect()
    }

    fn neighbours(&self) -> Value {
        let mut total = 0_usize;
        let mut list = Vec::new();
        for (key, mac) in self.resolver.snapshot() {
            total += 1;
            if list.len() < NEIGHBOURS {
                let holds = self.resolver.holds(key);
                list.push(json!({
                    "address": key.to_string(),
                    "mac": mac.to_string(),
                    "holds": holds,
                }));
            }
        }
        json!({ "total": total, "list": list })
    }

    fn resolver(&self) -> Value {
        let counters = self.resolver.counters();
        let cache = &counters.cache;
        json!({
            "received": cache.received,
            "accepted": cache.accepted,
            "dropped": cache.dropped.total(),
            "requests": cache.broadcast_requests + cache.unicast_requests,
            "replies": cache.replies,
            "queries": cache.queries,
            "resolved": cache.resolved,
            "unreachable": cache.unreachable,
            "moved": cache.moved,
            "evicted": cache.evicted,
            "conflicts": cache.conflicts,
            "combined": counters.combined,
            "changes": counters.changes,
        })
    }
}

fn queue(number: usize, counters: &QueueCounters, seen: Option<Seen>) -> Value {
    let frames: Map<_, _> = named(counters.named());
    // None before its first turn.
    let Some(Seen {
        link,
        stats,
        turns,
        requests,
    }) = seen
    else {
        return json!({ "queue": number, "frames": frames });
    };
    let rx_drops = RxDrop::ALL.map(|reason| (reason.name(), link.rx(reason)));
    let tx_drops = TxDrop::ALL.map(|reason| (reason.name(), link.tx(reason)));
    let happened = |drops: &(_, u64)| drops.1 > 0;
    json!({
        "queue": number,
        "requests": requests,
        "frames": frames,
        "link": {
            "received": link.received,
            "handed_up": link.handed_up,
            "arp": link.arp,
            "accepted": link.accepted,
            "sent": link.sent,
            "arp_sent": link.arp_sent,
            "waited": link.waited,
            "rx_dropped": named(rx_drops.into_iter().filter(happened)),
            "tx_dropped": named(tx_drops.into_iter().filter(happened)),
        },
        "packets": {
            "received": stats.packets.received,
            "malformed": stats.packets.malformed,
            "sent": stats.packets.sent,
            "postponed": stats.packets.postponed,
        },
        "tcp": {
            "accepted": stats.tcp.accepted,
            "backlog_full": stats.tcp.backlog_full,
            "out_of_sockets": stats.tcp.out_of_sockets,
            "unheld": stats.tcp.unheld,
            "reset": stats.tcp.reset,
            "timed_out": stats.tcp.timed_out,
        },
        "loop": {
            "turns": turns.turns,
            "idle": turns.idle,
            "slept": turns.slept,
            "polled": turns.polled,
        },
    })
}

fn named(counters: impl Iterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    counters
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// What is behind a lock is whole, whatever became of who had it.
fn unpoisoned<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
