//! The published words of 262,144 neighbouring addresses, and the claims on them.
//!
//! An address has the same cell for as long as its block lives, and a block's number never changes:
//! whatever a reader finds in a cell is about the address that it looked for.

use alloc::boxed::Box;
use core::fmt;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use super::sync::{AtomicU32, AtomicU64, zeros};
use super::word::{Address, Claims, Known, Word};
use crate::cache::{HoldError, Status};

/// How many bits of an address are its place in its block.
const BLOCK_BITS: u32 = if cfg!(loom) { 1 } else { 18 };
const CELLS: usize = 1 << BLOCK_BITS;
/// Cells that are looked through together, or not at all.
const CHUNK: usize = if cfg!(loom) { 2 } else { 256 };
const CHUNKS: usize = CELLS / CHUNK;
/// Words of a bitmap of chunks.
const MAPS: usize = CHUNKS.div_ceil(64);

/// The number of the block that an address is in.
#[inline]
pub(super) const fn block_of(address: Address) -> u32 {
    (address.bits() >> BLOCK_BITS) as u32
}

#[inline]
const fn place_of(address: Address) -> usize {
    address.bits() as usize % CELLS
}

/// Two arrays, so that those who only look up touch nothing but the words. They are zeros that the
/// system lends: a network of 256 hosts uses two or three pages of the six megabytes.
pub(super) struct Block {
    number: u32,
    words: Box<[AtomicU64; CELLS]>,
    cells: Box<[Cell; CELLS]>,
    /// How many cells are claimed, or were until lately; and whether the block is closed, for ever.
    live: AtomicU32,
    /// In how many cells something is known. Only the owner's business.
    known: AtomicU32,
    /// The chunks that were ever in use.
    touched: [AtomicU64; MAPS],
}

/// What only those who hold an address, and the owner, look at.
#[cfg_attr(not(loom), derive(zerocopy::FromZeros))]
#[cfg_attr(loom, derive(Default))]
pub(super) struct Cell {
    claims: AtomicU64,
    /// At which number of the change feed the word changed last.
    changed: AtomicU64,
}

const CLOSED: u32 = 1 << 31;

/// Why an address could not be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimError {
    /// The block was taken out of the table: look there again.
    Closed,
    /// The counter is at its end.
    Full,
}

/// A claim that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claimed {
    pub(super) generation: u32,
    /// The owner must be told of the address.
    pub(super) tell: bool,
}

/// How it stands with those who claimed an address in one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Status(Status),
    /// They could not have it.
    Refused(HoldError),
}

impl Block {
    /// A block in which nothing is known; `None` when there is no memory for it.
    pub(super) fn new(number: u32) -> Option<Self> {
        Some(Self {
            number,
            words: zeros()?,
            cells: zeros()?,
            live: AtomicU32::new(0),
            known: AtomicU32::new(0),
            touched: core::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// Stands for a block where there is none.
    pub(super) fn nowhere() -> Self {
        Self::new(u32::MAX).expect("a system that lends no zeros runs no programs")
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    // --- For everybody ----------------------------------------------------------------------

    /// What is known of an address, for a packet that leaves now.
    #[inline]
    pub(super) fn word(&self, address: Address) -> Word {
        Word::from_bits(self.words[place_of(address)].load(Acquire))
    }

    /// At which number of the change feed the word changed last: after it was read, so that it is not
    /// older than the word.
    pub(super) fn changed(&self, address: Address) -> u64 {
        self.cells[place_of(address)].changed.load(Relaxed)
    }

    pub(super) fn claims(&self, address: Address) -> Claims {
        Claims::from_bits(self.cells[place_of(address)].claims.load(Acquire))
    }

    /// How it stands with those who claimed the address in `generation`.
    pub(super) fn standing(&self, address: Address, generation: u32) -> Standing {
        // In this order: if the generation has not ended after the word was read, the word was not
        // one of a later generation; that it is not one of an earlier, its tag says.
        let word = self.word(address);
        let claims = self.claims(address);
        let status = match word.known() {
            Known::Refused(error) if word.is_of(generation) => return Standing::Refused(error),
            _any if claims.generation() != generation => Status::Gone,
            _any if !word.is_of(generation) => Status::Pending,
            Known::At(mac) => Status::Resolved(mac),
            Known::Unreachable => Status::Unreachable,
            Known::Nothing | Known::Refused(_) => Status::Pending,
        };
        Standing::Status(status)
    }

    /// Claims an address.
    pub(super) fn claim(&self, address: Address) -> Result<Claimed, ClaimError> {
        let cell = &self.cells[place_of(address)].claims;
        let mut now = self.claims(address);
        let mut entered = false;
        let result = loop {
            // Counted before it is used, so that the block cannot go in between.
            if !now.is_live() && !entered {
                self.enter(address)?;
                entered = true;
            }
            let Some(next) = now.joined() else {
                break Err(ClaimError::Full);
            };
            match cell.compare_exchange_weak(now.bits(), next.bits(), AcqRel, Acquire) {
                Ok(_) => {
                    break Ok(Claimed {
                        generation: next.generation(),
                        tell: next.is_queued() && !now.is_queued(),
                    });
                }
                Err(other) => now = Claims::from_bits(other),
            }
        };
        if entered && now.is_live() {
            // Somebody else has counted the cell.
            self.leave();
        }
        result
    }

    /// Gives a claim back; whether the owner must be told. If its generation has ended, nothing
    /// happens.
    pub(super) fn release(&self, address: Address, generation: u32) -> bool {
        let cell = &self.cells[place_of(address)].claims;
        let mut now = self.claims(address);
        while let Some(next) = now.left(generation) {
            match cell.compare_exchange_weak(now.bits(), next.bits(), AcqRel, Acquire) {
                Ok(_) => return next.is_queued() && !now.is_queued(),
                Err(other) => now = Claims::from_bits(other),
            }
        }
        false
    }

    /// Ends the claims on an address, if there are none: whoever claims it afterwards is of a new
    /// generation. False if somebody was quicker.
    pub(super) fn win_from_zero(&self, address: Address) -> bool {
        self.end(address, |now| now.count() == 0)
    }

    /// Counts a cell that is about to be used.
    fn enter(&self, address: Address) -> Result<(), ClaimError> {
        if self.live.fetch_add(1, AcqRel) & CLOSED != 0 {
            self.leave();
            return Err(ClaimError::Closed);
        }
        self.touch(address);
        Ok(())
    }

    fn touch(&self, address: Address) {
        let chunk = place_of(address) / CHUNK;
        let (map, bit) = (&self.touched[chunk / 64], 1 << (chunk % 64));
        if map.load(Relaxed) & bit == 0 {
            map.fetch_or(bit, AcqRel);
        }
    }

    fn leave(&self) {
        self.live.fetch_sub(1, AcqRel);
    }

    fn end(&self, address: Address, may_end: impl Fn(Claims) -> bool) -> bool {
        let cell = &self.cells[place_of(address)].claims;
        let mut now = self.claims(address);
        while may_end(now) {
            match cell.compare_exchange_weak(now.bits(), now.ended().bits(), AcqRel, Acquire) {
                Ok(_) => return true,
                Err(other) => now = Claims::from_bits(other),
            }
        }
        false
    }

    /// Whether anything is known or claimed here, or was until lately.
    pub(super) fn is_used(&self, address: Address) -> bool {
        self.word(address) != Word::NOTHING || self.claims(address).is_live()
    }

    /// The addresses of cells that were ever in use, and of others near them.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> + use<> {
        let touched: [u64; MAPS] = core::array::from_fn(|map| self.touched[map].load(Acquire));
        let first = u64::from(self.number) << BLOCK_BITS;
        (0..CHUNKS)
            .filter(move |chunk| touched[chunk / 64] >> (chunk % 64) & 1 != 0)
            .flat_map(|chunk| chunk * CHUNK..(chunk + 1) * CHUNK)
            .map(move |place| Address::from_bits(first | place as u64))
    }

    // --- For whoever has the token ----------------------------------------------------------

    /// Takes the address off the list of those that the owner must look at, and says who claims it.
    /// Whatever changes from here on puts it there again.
    pub(super) fn look_at(&self, address: Address) -> Claims {
        let cell = &self.cells[place_of(address)].claims;
        let mut now = self.claims(address);
        loop {
            let next = now.looked_at();
            match cell.compare_exchange_weak(now.bits(), next.bits(), AcqRel, Acquire) {
                Ok(_) => return next,
                Err(other) => now = Claims::from_bits(other),
            }
        }
    }

    /// Publishes what is known of an address, as number `change` of the feed, if it will be told
    /// there.
    pub(super) fn publish(&self, address: Address, known: Known, change: Option<u64>) {
        self.touch(address);
        if let Some(change) = change {
            let cell = &self.cells[place_of(address)];
            cell.changed.store(change, Relaxed);
        }
        // Only we end generations, so this one is not ending.
        let generation = self.claims(address).generation();
        self.put(address, Word::new(known, generation));
    }

    fn put(&self, address: Address, word: Word) {
        let was = self.word(address);
        let known = self.known.load(Relaxed) - u32::from(was.is_of_use());
        self.known
            .store(known + u32::from(word.is_of_use()), Relaxed);
        // Release: who sees the word sees the number of its change, or a later one.
        self.words[place_of(address)].store(word.bits(), Release);
    }

    /// Ends the claims on an address whose entry is gone, except where the owner is about to look
    /// again anyway.
    pub(super) fn abort(&self, address: Address) -> bool {
        self.end(address, |now| now.count() > 0 && !now.is_queued())
    }

    /// Ends the claims on an address.
    pub(super) fn end_all(&self, address: Address) {
        self.end(address, |_| true);
    }

    /// Ends the claims on an address, and says why to those who had them.
    pub(super) fn refuse(&self, address: Address, error: HoldError) {
        // The reason first: who finds the generation ended looks for it.
        let word = Word::new(Known::Refused(error), self.claims(address).generation());
        self.put(address, word);
        self.end_all(address);
    }

    /// Counts the cell out, if nobody claims it.
    pub(super) fn leave_idle(&self, address: Address) {
        let cell = &self.cells[place_of(address)].claims;
        let mut now = self.claims(address);
        while now.is_live() && now.is_idle() {
            let next = now.counted_out();
            match cell.compare_exchange_weak(now.bits(), next.bits(), AcqRel, Acquire) {
                Ok(_) => return self.leave(),
                Err(other) => now = Claims::from_bits(other),
            }
        }
    }

    /// Closes the block, if nothing is known or claimed here: nobody can claim anything any more.
    pub(super) fn close_idle(&self) -> bool {
        self.known.load(Relaxed) == 0
            && self
                .live
                .compare_exchange(0, CLOSED, AcqRel, Acquire)
                .is_ok()
    }

    /// Closes the block, whoever is in it.
    pub(super) fn close(&self) {
        self.live.fetch_or(CLOSED, AcqRel);
    }

    /// In how many cells something is known.
    pub(super) fn known(&self) -> u32 {
        self.known.load(Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.live.load(Acquire) & CLOSED != 0
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("number", &self.number)
            .field("claimed", &(self.live.load(Relaxed) & !CLOSED))
            .field("known", &self.known.load(Relaxed))
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
