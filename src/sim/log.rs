//! The sniffer: what was put on the wire, by whom and when.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::{PortId, arp_in, pcapng};
use crate::time::Instant;
use crate::wire::{ArpPacket, Operation};

/// How many frames a log keeps unless told otherwise.
pub const LOG_FRAMES: usize = 65_536;

/// A frame as its sender put it on the wire, before any link did anything to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedFrame {
    /// When it was sent.
    pub at: Instant,
    /// By whom.
    pub from: PortId,
    /// All of it, from the destination address on.
    pub bytes: Vec<u8>,
}

impl LoggedFrame {
    /// The ARP packet in it, if that is what the frame carries.
    pub fn arp(&self) -> Option<ArpPacket> {
        arp_in(&self.bytes).map(|(_header, packet)| packet)
    }
}

/// The frames sent on a LAN, oldest first: the newest are kept, the others counted.
///
/// It stands at the senders' end of the cables, so a test that wants "one request on the wire" asks
/// here what was really sent, whatever was lost later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameLog {
    frames: VecDeque<LoggedFrame>,
    bound: usize,
    dropped: u64,
}

impl FrameLog {
    pub(super) const fn new(bound: usize) -> Self {
        Self {
            frames: VecDeque::new(),
            bound,
            dropped: 0,
        }
    }

    pub(super) fn record(&mut self, at: Instant, from: PortId, frame: &[u8]) {
        if self.frames.len() == self.bound {
            self.dropped += 1;
            if self.frames.pop_front().is_none() {
                return; // a log of zero frames
            }
        }
        let bytes = frame.to_vec();
        self.frames.push_back(LoggedFrame { at, from, bytes });
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.dropped = 0;
    }

    /// The frames that are still here, oldest first.
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &LoggedFrame> + ExactSizeIterator {
        self.frames.iter()
    }

    /// How many older frames are gone.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The ARP packets among the frames, each with its frame.
    pub fn arp(&self) -> impl DoubleEndedIterator<Item = (&LoggedFrame, ArpPacket)> {
        self.frames()
            .filter_map(|frame| Some((frame, frame.arp()?)))
    }

    /// How many requests for this address were sent, probes included, announcements not.
    ///
    /// # Panics
    ///
    /// If older frames were dropped: the count would be that of a part. Give the LAN a longer log
    /// ([`Lan::with_log_bound`](super::Lan::with_log_bound)) or
    /// [clear](super::Lan::clear_log) it in between.
    #[track_caller]
    pub fn requests_for(&self, ip: Ipv4Addr) -> usize {
        self.count(|packet| {
            packet.operation == Operation::Request
                && packet.target_ip == ip
                && !packet.is_gratuitous()
        })
    }

    /// How many replies were sent that say where this address is.
    ///
    /// # Panics
    ///
    /// As [`requests_for`](Self::requests_for).
    #[track_caller]
    pub fn replies_for(&self, ip: Ipv4Addr) -> usize {
        self.count(|packet| packet.operation == Operation::Reply && packet.sender_ip == ip)
    }

    #[track_caller]
    fn count(&self, wanted: impl Fn(&ArpPacket) -> bool) -> usize {
        assert_eq!(
            self.dropped, 0,
            "{} frames have left the log of {}: nothing in it can be counted any more",
            self.dropped, self.bound
        );
        self.arp().filter(|(_frame, packet)| wanted(packet)).count()
    }

    /// The log as a capture file.
    pub fn to_pcapng(&self) -> Vec<u8> {
        let mut out = Vec::new();
        pcapng::header(&mut out);
        for frame in self.frames() {
            pcapng::frame(&mut out, frame.at, &frame.bytes);
        }
        out
    }
}
