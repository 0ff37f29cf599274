//! Where the blocks are: runs of block numbers, one for each prefix, found by subtraction.
//!
//! The directory is replaced when the prefixes change; blocks live on in the next one. Readers keep a
//! [`View`] of it, in which a known neighbour is found without a look at the directory at all: a cell
//! that speaks of a neighbour is always the right one, only one that says nothing may be outdated.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use std::sync::atomic::Ordering::{Acquire, Release};

use crossbeam_utils::CachePadded;

use super::block::{Block, block_of};
use super::sync::{ArcSwap, ArcSwapOption, AtomicU64};
use super::word::Address;
use crate::cache::{Addresses, HoldError, Key, Prefix};
use crate::wire::UnicastMac;

/// The published table, with its directory.
#[derive(Debug)]
pub(super) struct Published {
    directory: ArcSwap<Directory>,
    /// Counts the changes that may make a [`View`] miss what is there.
    epoch: CachePadded<AtomicU64>,
    /// How many blocks there may be.
    limit: u32,
}

/// The blocks at one time.
#[derive(Debug)]
pub(super) struct Directory {
    addresses: Addresses,
    /// Ascending, disjoint.
    runs: Box<[Run]>,
}

/// Blocks with successive numbers.
#[derive(Debug)]
struct Run {
    first: u32,
    blocks: Box<[ArcSwapOption<Block>]>,
}

/// There are as many blocks as may be, or there is no memory for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoBlock;

impl Published {
    pub(super) fn new(limit: u32) -> Self {
        let directory = Directory {
            addresses: Addresses::new(),
            runs: Box::new([]),
        };
        Self {
            directory: ArcSwap::from_pointee(directory),
            epoch: CachePadded::new(AtomicU64::new(0)),
            limit: limit.max(1),
        }
    }

    /// How many blocks there are. Looked at rather than counted: a counter would be wrong for a moment
    /// whenever two make the same block or one is taken out, and somebody be refused for that.
    pub(super) fn blocks(&self) -> u32 {
        let directory = self.load();
        let open = directory.blocks().filter(|block| !block.is_closed());
        open.count() as u32
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Acquire)
    }

    pub(super) fn load(&self) -> Arc<Directory> {
        self.directory.load_full()
    }

    /// The block with this number, if there is one.
    pub(super) fn block(&self, number: u32) -> Option<Arc<Block>> {
        self.load().slot(number)?.load_full()
    }

    /// The same; if need be it is made. Only within the runs.
    pub(super) fn block_or_new(&self, number: u32) -> Result<Arc<Block>, NoBlock> {
        let directory = self.load();
        let slot = directory.slot(number).ok_or(NoBlock)?;
        let block = loop {
            let block = slot.load_full();
            if let Some(block) = block.as_ref().filter(|block| !block.is_closed()) {
                break block.clone();
            }
            if !self.has_room() {
                // Unless the last room went to this very block.
                if is_same(&slot.load_full(), &block) {
                    return Err(NoBlock);
                }
                continue;
            }
            let new = Arc::new(Block::new(number).ok_or(NoBlock)?);
            if is_same(&slot.compare_and_swap(&block, Some(new.clone())), &block) {
                break new;
            }
            // Somebody was quicker.
        };
        // By whoever finds it too: its maker may not have come so far, and the owner must see it in
        // its picture when it hears of a claim there.
        self.epoch.fetch_add(1, Release);
        Ok(block)
    }

    /// Whether there may be another block.
    pub(super) fn has_room(&self) -> bool {
        self.blocks() < self.limit
    }

    // --- For whoever has the token ----------------------------------------------------------

    /// Whether a block with this number would be found.
    pub(super) fn has_run(&self, number: u32) -> bool {
        self.load().slot(number).is_some()
    }

    /// Closes blocks in which nothing is in use and takes them out; whether there were any.
    pub(super) fn reclaim(&self) -> bool {
        let mut any = false;
        for slot in self.load().slots() {
            if let Some(block) = slot.load_full()
                && block.close_idle()
            {
                // Unless a reader has put a new one in its place.
                slot.compare_and_swap(&Some(block), None);
                any = true;
            }
        }
        if any {
            self.epoch.fetch_add(1, Release);
        }
        any
    }

    /// Publishes a directory for these addresses and for `extra`, a block outside of all prefixes.
    /// Blocks in use stay, wherever they are.
    pub(super) fn redraw(&self, addresses: &Addresses, extra: Option<u32>) {
        let old = self.load();
        let mut wanted: Vec<RangeInclusive<u32>> = addresses.prefixes().map(blocks_of).collect();
        wanted.extend(extra.map(|number| number..=number));
        let covered = |number| wanted.iter().any(|range| range.contains(&number));
        let mut kept = Vec::new();
        for block in old.slots().filter_map(ArcSwapOption::load_full) {
            if covered(block.number()) || !block.close_idle() {
                kept.push(block);
            }
        }
        let outside = kept.iter().map(|block| block.number());
        let outside: Vec<_> = outside.filter(|&number| !covered(number)).collect();
        wanted.extend(outside.into_iter().map(|number| number..=number));
        let runs = merged(wanted).into_iter().map(Run::new).collect();
        let new = Directory {
            addresses: addresses.clone(),
            runs,
        };
        for block in kept {
            if let Some(slot) = new.slot(block.number()) {
                slot.compare_and_swap(&None::<Arc<Block>>, Some(block));
            }
        }
        self.directory.store(Arc::new(new));
        self.epoch.fetch_add(1, Release);
    }
}

fn is_same(a: &Option<Arc<Block>>, b: &Option<Arc<Block>>) -> bool {
    a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr)
}

impl Directory {
    /// Whether an address is that of a neighbour.
    pub(super) fn check_neighbour(&self, key: Key) -> Result<(), HoldError> {
        self.addresses.check_neighbour(key)
    }

    /// All blocks.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Arc<Block>> {
        self.slots().filter_map(ArcSwapOption::load_full)
    }

    fn slots(&self) -> impl Iterator<Item = &ArcSwapOption<Block>> {
        self.runs.iter().flat_map(|run| &run.blocks)
    }

    fn slot(&self, number: u32) -> Option<&ArcSwapOption<Block>> {
        let run = &self.runs[self.run_at(number)?];
        run.blocks.get((number - run.first) as usize)
    }

    /// Which run a block would be in.
    fn run_at(&self, number: u32) -> Option<usize> {
        let after = self.runs.partition_point(|run| run.first <= number);
        after.checked_sub(1)
    }

    /// The run of the first own address.
    fn main(&self) -> Option<usize> {
        let first = self.addresses.prefixes().next()?;
        self.run_at(*blocks_of(first).start())
    }
}

impl Run {
    fn new(numbers: RangeInclusive<u32>) -> Self {
        Self {
            first: *numbers.start(),
            blocks: numbers.map(|_| ArcSwapOption::new(None)).collect(),
        }
    }
}

/// The blocks that a prefix lies in.
fn blocks_of(prefix: Prefix) -> RangeInclusive<u32> {
    let block = |ip| {
        let vlan = prefix.vlan();
        block_of(Address::new(Key { vlan, ip }))
    };
    block(prefix.first())..=block(prefix.last())
}

/// The same numbers in ascending, disjoint ranges.
fn merged(mut ranges: Vec<RangeInclusive<u32>>) -> Vec<RangeInclusive<u32>> {
    ranges.sort_by_key(|range| *range.start());
    let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                let end = *last.end().max(range.end());
                *last = *last.start()..=end;
            }
            Some(_) | None => merged.push(range),
        }
    }
    merged
}

/// A reader's own picture of the directory.
#[derive(Debug)]
pub(super) struct View {
    epoch: u64,
    /// The number of the only block in the main run, and the block; a number that no block has if
    /// there are none or several.
    home: u32,
    home_block: Arc<Block>,
    directory: Arc<Directory>,
    /// The run of our first address, then the others. A host has few: none is searched for.
    main: Seen,
    others: Vec<Seen>,
}

/// The blocks of a run.
#[derive(Debug, Default)]
struct Seen {
    first: u32,
    blocks: Vec<Option<Arc<Block>>>,
}

const NOWHERE: u32 = u32::MAX;

impl View {
    /// As it is now. `nowhere` stands for a home where there is none.
    pub(super) fn new(published: &Published, nowhere: Arc<Block>) -> Self {
        let mut view = Self {
            epoch: published.epoch(),
            home: NOWHERE,
            home_block: nowhere,
            directory: published.load(),
            main: Seen::default(),
            others: Vec::new(),
        };
        view.redraw(published);
        view
    }

    /// Where a neighbour is. If it is known this is two comparisons and a look at the word.
    #[inline]
    pub(super) fn mac(&mut self, published: &Published, address: Address) -> Option<UnicastMac> {
        let number = block_of(address);
        if number == self.home
            && let Some(mac) = self.home_block.word(address).mac()
        {
            return Some(mac);
        }
        if let Some(block) = self.main.block(number)
            && let Some(mac) = block.word(address).mac()
        {
            return Some(mac);
        }
        self.mac_elsewhere(published, address)
    }

    /// The same where it is not known, or not in the main run.
    #[inline(never)]
    fn mac_elsewhere(&mut self, published: &Published, address: Address) -> Option<UnicastMac> {
        self.block(published, block_of(address))?
            .word(address)
            .mac()
    }

    /// The block with this number, if there is one.
    #[inline]
    pub(super) fn block(&mut self, published: &Published, number: u32) -> Option<&Arc<Block>> {
        self.refresh(published);
        let others = || self.others.iter().find_map(|seen| seen.block(number));
        self.main.block(number).or_else(others)
    }

    /// The same; if need be it is made. Only within the runs.
    pub(super) fn block_or_new(
        &mut self,
        published: &Published,
        number: u32,
    ) -> Result<&Arc<Block>, NoBlock> {
        let known = self.block(published, number);
        if known.is_none_or(|block| block.is_closed()) {
            published.block_or_new(number)?;
        }
        self.block(published, number).ok_or(NoBlock)
    }

    /// The latest directory.
    pub(super) fn directory(&mut self, published: &Published) -> &Directory {
        self.refresh(published);
        &self.directory
    }

    #[inline]
    fn refresh(&mut self, published: &Published) {
        if self.epoch != published.epoch() {
            self.redraw(published);
        }
    }

    #[inline(never)]
    fn redraw(&mut self, published: &Published) {
        // The number before what it counts: a change in between is noticed once more.
        self.epoch = published.epoch();
        self.directory = published.load();
        let mut seen: Vec<_> = self.directory.runs.iter().map(Seen::of).collect();
        let main = self.directory.main().map(|main| seen.swap_remove(main));
        self.main = main.unwrap_or_default();
        self.others = seen;
        self.home = NOWHERE;
        let mut blocks = self.main.blocks.iter().flatten();
        if let (Some(only), None) = (blocks.next(), blocks.next()) {
            self.home = only.number();
            self.home_block = only.clone();
        }
    }
}

impl Seen {
    fn of(run: &Run) -> Self {
        let blocks = run.blocks.iter();
        Self {
            first: run.first,
            blocks: blocks.map(ArcSwapOption::load_full).collect(),
        }
    }

    #[inline]
    fn block(&self, number: u32) -> Option<&Arc<Block>> {
        let block = self.blocks.get(number.wrapping_sub(self.first) as usize)?;
        block.as_ref()
    }
}
