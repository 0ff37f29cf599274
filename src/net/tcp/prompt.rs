//! Connections that the TCP engine has left without a timer, and what reminds it of them.
//!
//! smoltcp 0.14 has one timer for each socket: to retransmit, to probe a window of zero, or to keep
//! alive. It takes the window that arrived last for the newest, so segments that overtake each other
//! can close a window around data that is already on its way, as a peer that shrinks its window can.
//! Then:
//!
//! - the probe takes the timer of the retransmission, and the open window stops the probe: data is on
//!   its way without a timer, and Nagle's algorithm waits for it;
//! - or the retransmission is due, has no window, and is given up: nothing is on its way, and nothing
//!   probes.
//!
//! Three duplicate acknowledgements of nothing but a FIN, and a fast retransmission for which the link
//! has no room, also end the timer and send nothing.
//!
//! The engine's timers cannot be seen from outside, so what counts is that nothing is acknowledged. It
//! is then told once more, often enough, what the peer said last. That is never wrong: the network may
//! double any segment. It makes the engine resend the first segment, whatever the window, or probe the
//! window, and both start a timer.

use core::net::SocketAddrV4;
use core::time::Duration;

use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities};
use smoltcp::socket::tcp::{Socket, State};
use smoltcp::wire::{
    IPV4_HEADER_LEN, IpProtocol, Ipv4Packet, Ipv4Repr, TCP_HEADER_LEN, TcpControl, TcpPacket,
    TcpRepr, TcpSeqNumber,
};

use super::TcpTable;
use super::slot::{TcpSlot, owes};
use crate::net::device::Segment;
use crate::net::stats::count;
use crate::time::Instant;

/// How long nothing is acknowledged before the first prompt: the engine's own first two
/// retransmissions are over then. Each wait is twice as long as the one before it.
const FIRST: Duration = Duration::from_secs(3);
/// Longer than any timer of the engine, so that the one that a prompt starts is over before the next.
const LONGEST: Duration = Duration::from_secs(120);
/// Another window, so that the engine counts duplicates from zero; this one; and three duplicates.
const SEGMENTS: usize = 5;
const LEN: usize = IPV4_HEADER_LEN + TCP_HEADER_LEN;
/// No TCP/IP header is longer.
const LONGEST_HEADER: usize = 120;

/// What the peer would number its next segment, and acknowledge in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Of the first byte of ours.
    ours: u32,
    /// Of the first byte of the peer's.
    theirs: u32,
    /// The window that was told last, once there is a connection.
    window: Option<u16>,
}

impl Numbers {
    /// A segment has come that the engine took in this state, which is another now.
    pub(super) fn learn(&mut self, segment: &Segment, before: State, after: State) {
        if matches!(before, State::Listen | State::SynSent) {
            self.theirs = segment.sequence.wrapping_add(1);
        }
        let opening = matches!(before, State::SynSent | State::SynReceived);
        if opening && matches!(after, State::Established | State::CloseWait) {
            self.ours = segment.acknowledged;
        }
        // The window of a SYN has another scale.
        if !segment.is_syn() {
            self.window = Some(segment.window);
        }
    }
}

/// Looks after what waits for an acknowledgement.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// When the engine is prompted.
    pub(super) at: Option<Instant>,
    prompts: u8,
}

impl Watch {
    fn prompted(&mut self, now: Instant) {
        self.prompts = self.prompts.saturating_add(1);
        let doubled = Duration::from_secs(FIRST.as_secs() << self.prompts.min(8));
        self.at = Some(now + doubled.min(LONGEST));
    }
}

impl<H> TcpTable<'_, H> {
    /// Begins to wait for an acknowledgement where one is due.
    pub(super) fn watch(&mut self, index: usize, now: Instant) {
        let (socket, slot) = self.both(index);
        let told = slot.numbers.window.is_some();
        if slot.failure.is_none() && told && is_connected(socket.state()) && owes(socket) {
            slot.watch.at.get_or_insert(now + first(socket));
        } else {
            slot.watch = Watch::default();
        }
    }

    /// A connection for which the engine has to be prompted.
    pub(in crate::net) fn stalled(&self, now: Instant) -> Option<usize> {
        let due = |slot: &TcpSlot<H>| slot.watch.at.is_some_and(|at| at <= now);
        self.slots.iter().position(due)
    }

    /// What to tell the engine, and the next time to look.
    pub(in crate::net) fn prompt(&mut self, index: usize, now: Instant) -> Option<Prompt> {
        count(&mut self.stats.prompted);
        let (socket, slot) = self.both(index);
        slot.watch.prompted(now);
        Prompt::new(slot, socket)
    }

    /// A FIN alone leaves only when the engine has something to send anyhow: a keep-alive, whose place
    /// it takes. Returns what `end_prompt` puts back.
    pub(in crate::net) fn begin_prompt(&mut self, index: usize) -> Option<smoltcp::time::Duration> {
        let socket = self.socket_mut(index);
        let keep_alive = socket.keep_alive();
        if socket.send_queue() == 0 {
            socket.set_keep_alive(Some(smoltcp::time::Duration::ZERO));
        }
        keep_alive
    }

    pub(in crate::net) fn end_prompt(
        &mut self,
        index: usize,
        keep_alive: Option<smoltcp::time::Duration>,
    ) {
        self.socket_mut(index).set_keep_alive(keep_alive);
    }
}

/// Before a keep-alive, whose byte the engine would put in the place of the last one on its way: a peer
/// that has not got that one would take it for ours.
fn first(socket: &Socket<'_>) -> Duration {
    let keep_alive = socket.keep_alive().map(Duration::from);
    keep_alive.map_or(FIRST, |period| FIRST.min(period / 2))
}

/// Both have heard of each other, and our end is not acknowledged.
fn is_connected(state: State) -> bool {
    match state {
        State::CloseWait | State::Closing | State::Established | State::FinWait1 => true,
        // Only the FIN is on its way in LAST-ACK, see `TcpTable::end`: its timer runs, as the engine
        // passes over duplicates there.
        State::Closed
        | State::FinWait2
        | State::LastAck
        | State::Listen
        | State::SynReceived
        | State::SynSent
        | State::TimeWait => false,
    }
}

/// The peer's last words once more, as a device from which the engine receives them.
pub(in crate::net) struct Prompt {
    local: SocketAddrV4,
    remote: SocketAddrV4,
    sequence: u32,
    acknowledged: u32,
    window: u16,
    told: usize,
    packet: [u8; LEN],
}

impl Prompt {
    fn new<H>(slot: &TcpSlot<H>, socket: &Socket<'_>) -> Option<Self> {
        let Numbers {
            ours,
            theirs,
            window,
        } = slot.numbers;
        let acknowledged = slot.written.wrapping_sub(socket.send_queue() as u64);
        let received = slot.read.wrapping_add(socket.recv_queue() as u64);
        let ended = matches!(socket.state(), State::CloseWait | State::Closing);
        Some(Self {
            local: slot.local,
            remote: slot.remote?,
            // Numbers wrap as they do on the wire.
            sequence: theirs
                .wrapping_add(received as u32)
                .wrapping_add(ended.into()),
            acknowledged: ours.wrapping_add(acknowledged as u32),
            window: window?,
            told: 0,
            packet: [0; LEN],
        })
    }

    fn emit(&mut self, window: u16) {
        let (source, destination) = (*self.remote.ip(), *self.local.ip());
        let checksums = ChecksumCapabilities::default();
        let ip = Ipv4Repr {
            src_addr: source,
            dst_addr: destination,
            next_header: IpProtocol::Tcp,
            payload_len: TCP_HEADER_LEN,
            hop_limit: 64,
        };
        let tcp = TcpRepr {
            src_port: self.remote.port(),
            dst_port: self.local.port(),
            control: TcpControl::None,
            seq_number: TcpSeqNumber(self.sequence.cast_signed()),
            ack_number: Some(TcpSeqNumber(self.acknowledged.cast_signed())),
            window_len: window,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let (header, segment) = self.packet.split_at_mut(IPV4_HEADER_LEN);
        ip.emit(&mut Ipv4Packet::new_unchecked(header), &checksums);
        let mut segment = TcpPacket::new_unchecked(segment);
        tcp.emit(
            &mut segment,
            &source.into(),
            &destination.into(),
            &checksums,
        );
    }
}

impl phy::Device for Prompt {
    type RxToken<'t> = Told<'t>;
    type TxToken<'t> = Unsaid;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Told<'_>, Unsaid)> {
        let window = match self.told {
            0 => self.window ^ 1,
            1..SEGMENTS => self.window,
            _ => return None,
        };
        self.told += 1;
        self.emit(window);
        Some((Told(&self.packet), Unsaid))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Unsaid> {
        None
    }

    /// The engine has asked the link for its own.
    fn capabilities(&self) -> DeviceCapabilities {
        DeviceCapabilities::default()
    }
}

/// One of the segments.
pub(in crate::net) struct Told<'t>(&'t [u8]);

impl phy::RxToken for Told<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Where an answer to what nobody said goes.
pub(in crate::net) struct Unsaid;

impl phy::TxToken for Unsaid {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // An acknowledgement is all that there can be.
        f(&mut [0; LONGEST_HEADER][..len])
    }
}
