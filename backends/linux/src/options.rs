//! How a driver is opened, and what it counts.

use std::net::Ipv4Addr;

use crate::open::OpenError;
use crate::ring::{HEADER_LEN, PacketRing, TAG_LEN};
use crate::sys::ring::Layout;

/// The longest IPv4 packet with header and tag.
pub(crate) const LONGEST: usize = 65_535 + HEADER_LEN + TAG_LEN;

/// When received frames become visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reception {
    /// Many at a time (TPACKET_V3): when a block of memory is full of them, or a millisecond after
    /// the first. Takes the highest rates and the least memory; every answer comes a millisecond
    /// late.
    Batched,
    /// Each as soon as it is there (TPACKET_V2).
    #[default]
    Prompt,
}

/// Who computes and verifies the checksums of TCP and UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checksums {
    /// The stack. Where the peer is on this machine and has left a checksum to a card that is not
    /// there, it is completed before the stack sees it.
    #[default]
    Complete,
    /// The card, or nobody where the peer is on this machine. The stack is told to neither compute
    /// nor verify; what nobody else has verified is verified here.
    Offloaded,
}

/// What was counted since a ring was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames handed up.
    pub received: u64,
    /// Frames given to the kernel.
    pub sent: u64,
    /// Received with a wrong checksum of TCP or UDP, where that is not the stack's to find.
    pub corrupt: u64,
    /// Received, but longer than the interface's MTU and no TCP that could be cut apart; or too many
    /// joined segments at once.
    pub truncated: u64,
    /// Not sent because the kernel would not have them: its queue was full, or the interface down.
    pub refused: u64,
    /// Not sent because they were longer than the interface can send.
    pub too_long: u64,
    /// Lost because the ring was full. As of the last [`PacketRing::counters`].
    pub overrun: u64,
}

/// How a [`PacketRing`] is opened.
#[derive(Clone, Debug)]
pub struct RingOptions {
    pub(crate) reception: Reception,
    pub(crate) checksums: Checksums,
    pub(crate) segmentation: bool,
    pub(crate) joined: bool,
    pub(crate) fanout: Option<u16>,
    memory: usize,
    in_ring: Option<usize>,
    pub(crate) addresses: Vec<Ipv4Addr>,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RingOptions {
    /// Prompt reception, checksums completed, segments of a stream sent as one, 16 MiB of memory.
    pub fn new() -> Self {
        Self {
            reception: Reception::default(),
            checksums: Checksums::default(),
            segmentation: true,
            joined: false,
            fanout: None,
            memory: 16 << 20,
            in_ring: None,
            addresses: Vec::new(),
        }
    }

    /// When received frames become visible.
    pub fn reception(mut self, reception: Reception) -> Self {
        self.reception = reception;
        self
    }

    /// Who computes and verifies the checksums of TCP and UDP.
    pub fn checksums(mut self, checksums: Checksums) -> Self {
        self.checksums = checksums;
        self
    }

    /// Whether consecutive segments of a TCP stream are given to the kernel as one, for the card or
    /// the peer's kernel to cut up, if anybody has to. On by default.
    pub fn segmentation(mut self, segmentation: bool) -> Self {
        self.segmentation = segmentation;
        self
    }

    /// Whether TCP segments that the card or the peer's kernel has joined are handed up as they are, in
    /// packets of up to 64 KiB. For stacks and links that take packets longer than they may send, such
    /// as [`InPlace`](whohas::link::InPlace), or a [`Link`](whohas::link::Link) with an MTU of 65,535: a
    /// bulk transfer then costs a fraction. Off by default: they are cut apart again.
    pub fn joined_segments(mut self, joined: bool) -> Self {
        self.joined = joined;
        self
    }

    /// Shares the interface's frames with all rings of the same group, flow by flow. ARP reaches one
    /// of them, and not always the first: give all of them to the shared resolver.
    pub fn fanout(mut self, group: u16) -> Self {
        self.fanout = Some(group);
        self
    }

    /// How much memory the receive ring may take, at least one block.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// The longest frame that is received through the ring with [`Reception::Prompt`], where each has a
    /// slot of this size; by default what the MTU allows. Longer ones, which are joined segments, cost
    /// a system call each.
    pub fn longest_in_ring(mut self, bytes: usize) -> Self {
        self.in_ring = Some(bytes.clamp(64, LONGEST));
        self
    }

    /// Our own addresses: IPv4 to others is filtered out by the kernel. With none, all IPv4 that
    /// reaches this machine comes up. See [`RingControl::set_addresses`](crate::RingControl::set_addresses).
    pub fn addresses(mut self, addresses: &[Ipv4Addr]) -> Self {
        self.addresses = addresses.to_vec();
        self
    }

    /// Opens the interface of that name, which must be Ethernet and up.
    pub fn open(&self, name: &str) -> Result<PacketRing, OpenError> {
        PacketRing::open(name, self)
    }

    /// For frames of up to `longest` bytes, if nothing else was said.
    pub(crate) fn layout(&self, longest: usize) -> Layout {
        // Blocks are made of pages, and about so long.
        const BLOCK: usize = 1 << 20;
        let page = rustix::param::page_size();
        match self.reception {
            Reception::Prompt => {
                // Header, alignment and headroom.
                let longest = self.in_ring.unwrap_or(longest);
                let size = (longest + 128).next_multiple_of(1024);
                let per_block = (BLOCK / size).max(1);
                let block = (size * per_block).next_multiple_of(page);
                Layout::Slots {
                    size,
                    per_block,
                    block,
                    blocks: (self.memory / block).max(1),
                }
            }
            Reception::Batched => {
                let size = (BLOCK / 4).next_multiple_of(page);
                Layout::Blocks {
                    size,
                    // With two the kernel has one to fill while the other is read.
                    count: (self.memory / size).max(2),
                    retire_after: 1,
                }
            }
        }
    }
}
