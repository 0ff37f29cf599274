//! What a shared resolver counts, beside what its cache does.

use alloc::vec::Vec;
use core::fmt;
use std::sync::atomic::Ordering::Relaxed;

use super::seat::Seat;
use super::turn::Shared;
use crate::cache::Counters;

/// What was counted since the resolver was made. Queues go on counting while it is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedCounters {
    /// What the cache counted. Its `joined` and `queries` are about the one hold that it knows of for
    /// each neighbour.
    pub cache: Counters,
    /// Frames, times and addresses that one queue left and another took care of.
    pub combined: u64,
    /// Holds that were given out while the cache was busy, and that it then refused.
    pub refused: u64,
    /// Neighbours forgotten because there was no block of addresses for them.
    pub no_block: u64,
    /// Addresses that changed, as the feed counts.
    pub changes: u64,
    /// Blocks of 262,144 addresses in memory.
    pub blocks: u32,
    /// Addresses that wait to be looked at.
    pub listed: usize,
    /// Each queue that has a reader.
    pub queues: Vec<QueueCounters>,
}

/// What one queue counted since the resolver was made, its earlier readers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueCounters {
    /// The number of the queue.
    pub queue: usize,
    /// Times that another queue had the token.
    pub contended: u64,
    /// Frames in its outbox now.
    pub outbox: usize,
    /// The most that there were.
    pub outbox_deepest: u64,
    /// Frames that found no room there, and that the queue kept.
    pub outbox_full: u64,
    /// Times that it was so far behind the changes that it had to look at all that it holds.
    pub laps: u64,
}

impl SharedCounters {
    pub(super) fn of(shared: &Shared) -> Self {
        let (cache, tally) = shared.command(|owner| (owner.cache.counters(), owner.tally));
        let seats = shared.seats.iter().enumerate();
        Self {
            cache,
            combined: tally.combined,
            refused: tally.refused,
            no_block: tally.no_block,
            changes: shared.feed.count(),
            blocks: shared.published.blocks(),
            listed: shared.list.len(),
            queues: seats
                .filter(|(_, seat)| seat.is_taken())
                .map(|(number, seat)| QueueCounters::of(number, seat))
                .collect(),
        }
    }
}

impl QueueCounters {
    fn of(queue: usize, seat: &Seat) -> Self {
        let tally = &seat.tally;
        Self {
            queue,
            contended: tally.contended.load(Relaxed),
            outbox: seat.outbox.len(),
            outbox_deepest: tally.outbox_deepest.load(Relaxed),
            outbox_full: tally.outbox_full.load(Relaxed),
            laps: tally.laps.load(Relaxed),
        }
    }
}

/// A summary and a line for each queue.
impl fmt::Display for SharedCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cache,
            combined,
            refused,
            no_block,
            changes,
            blocks,
            listed,
            queues,
        } = self;
        let asked = cache.broadcast_requests + cache.unicast_requests;
        write!(
            f,
            "{} resolved, {} moved, {} unreachable; {asked} requests, {} replies; {} frames received, \
             {} of them dropped",
            cache.resolved,
            cache.moved,
            cache.unreachable,
            cache.replies,
            cache.received,
            cache.dropped.total(),
        )?;
        write!(
            f,
            "\n{changes} changes, {combined} times work of another queue, {listed} addresses to look \
             at, {refused} holds refused, {no_block} neighbours without a block, {blocks} blocks",
        )?;
        for queue in queues {
            write!(f, "\n{queue}")?;
        }
        Ok(())
    }
}

impl fmt::Display for QueueCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            queue,
            contended,
            outbox,
            outbox_deepest,
            outbox_full,
            laps,
        } = self;
        write!(
            f,
            "queue {queue}: token taken by others {contended} times, outbox {outbox} (at most \
             {outbox_deepest}, full {outbox_full} times), overtaken {laps} times",
        )
    }
}
