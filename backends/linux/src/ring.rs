//! An interface as a driver: frames through shared memory in, and in batches out.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::{Context, Waker};

use embassy_net_driver::{
    Capabilities, Checksum, Driver, HardwareAddress, LinkState, RxToken, TxToken,
};

use crate::filter;
use crate::interface::Interface;
use crate::monitor::Monitor;
use crate::open::OpenError;
use crate::raw::{packet_socket, usable};
use crate::readiness::{Readiness, Waiter};
use crate::receive::Receiver;
use crate::sys::ring::{Layout, Ring, join_fanout, statistics};
use crate::sys::socket::{self, Receives};
use crate::transmit::Transmitter;

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
    /// Received, but longer than [`RingOptions::longest_frame`].
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
    reception: Reception,
    checksums: Checksums,
    segmentation: bool,
    fanout: Option<u16>,
    memory: usize,
    longest_frame: usize,
    addresses: Vec<Ipv4Addr>,
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
            fanout: None,
            memory: 16 << 20,
            longest_frame: Self::LONGEST,
            addresses: Vec::new(),
        }
    }

    /// The longest IPv4 packet with header and tag.
    const LONGEST: usize = 65_535 + 18;

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

    /// The longest frame that can be received. By default the longest there can be: the kernel joins
    /// segments before anybody sees them. With [`Reception::Prompt`] each slot has this size.
    pub fn longest_frame(mut self, bytes: usize) -> Self {
        self.longest_frame = bytes.clamp(64, Self::LONGEST);
        self
    }

    /// Our own addresses: IPv4 to others is filtered out by the kernel. With none, all IPv4 that
    /// reaches this machine comes up. See [`RingControl::set_addresses`].
    pub fn addresses(mut self, addresses: &[Ipv4Addr]) -> Self {
        self.addresses = addresses.to_vec();
        self
    }

    /// Opens the interface of that name, which must be Ethernet and up.
    pub fn open(&self, name: &str) -> Result<PacketRing, OpenError> {
        PacketRing::open(name, self)
    }

    fn layout(&self) -> Layout {
        const PAGE: usize = 4096;
        match self.reception {
            Reception::Prompt => {
                // Header, alignment and headroom.
                let size = (self.longest_frame + 128).next_multiple_of(1024);
                // As many as fill pages exactly, or nearly: blocks are made of pages.
                let per_block = (256 * PAGE / size).max(1);
                let block = (size * per_block).next_multiple_of(PAGE);
                Layout::Slots {
                    size,
                    per_block,
                    block,
                    blocks: (self.memory / block).max(1),
                }
            }
            Reception::Batched => {
                const BLOCK: usize = 64 * PAGE;
                Layout::Blocks {
                    size: BLOCK,
                    // With two the kernel has one to fill while the other is read.
                    count: (self.memory / BLOCK).max(2),
                    retire_after: 1,
                }
            }
        }
    }
}

/// An Ethernet interface as a driver.
///
/// Frames are received through memory shared with the kernel, without a system call for each; what
/// does not concern us stays in the kernel. Frames that are sent are gathered, and leave when the
/// driver is polled for the next time: at the latest when [`receive`](Driver::receive) finds nothing,
/// or [`link_state`](Driver::link_state) is asked. Until then the task is woken to come back.
///
/// A task that polls it is woken by a [`Waiter`], or by the reactor of tokio or async-io
/// ([`with_tokio`](Self::with_tokio), [`with_async_io`](Self::with_async_io)). Polling it in a loop
/// needs neither.
#[derive(Debug)]
pub struct PacketRing {
    interface: Interface,
    receiver: Receiver,
    transmitter: Transmitter,
    /// Who is to come back and have the gathered frames sent.
    waker: Waker,
    monitor: Monitor,
    /// How often the state of the link was asked for since it was looked at.
    unlooked: u32,
    readiness: Readiness,
    control: RingControl,
    checksums: Checksums,
    counters: Counters,
}

impl PacketRing {
    fn open(name: &str, options: &RingOptions) -> Result<Self, OpenError> {
        let interface = usable(name)?;
        let receiving = packet_socket()?;
        set_filter(receiving.as_fd(), &options.addresses)?;
        let control = receiving
            .try_clone()
            .map_err(OpenError::io("cannot share the packet socket"))?;
        let ring = Ring::new(receiving, options.layout())
            .map_err(OpenError::io("cannot make the receive ring"))?;
        socket::bind(ring.as_fd(), interface.index, Receives::All)
            .map_err(OpenError::io("cannot bind the packet socket"))?;
        if let Some(group) = options.fanout {
            join_fanout(ring.as_fd(), group)
                .map_err(OpenError::io("cannot join the fanout group"))?;
        }
        let monitor =
            Monitor::new(interface.index).map_err(OpenError::io("cannot watch the interface"))?;
        let transmitter = Transmitter::new(
            sending_socket(&interface)?,
            interface.mtu as usize + HEADER_LEN + TAG_LEN,
            options.checksums,
            options.segmentation,
        );
        let readiness = gather(&ring, &transmitter, &monitor)
            .map_err(OpenError::io("cannot wait for the packet socket"))?;
        Ok(Self {
            receiver: Receiver::new(ring, options.checksums),
            transmitter,
            waker: Waker::noop().clone(),
            monitor,
            unlooked: 0,
            control: RingControl {
                socket: Arc::new(control),
                waiter: readiness.waiter(),
            },
            readiness,
            checksums: options.checksums,
            counters: Counters::default(),
            interface,
        })
    }

    /// The interface, as it was when the ring was opened.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What was counted so far.
    pub fn counters(&mut self) -> Counters {
        // The kernel counts from zero after each question. It has an answer for every ring.
        if let Ok([_, overrun]) = statistics(self.receiver.as_fd()) {
            self.counters.overrun += u64::from(overrun);
        }
        self.counters
    }

    /// For a thread that sleeps until there is something to do.
    pub fn waiter(&self) -> Waiter {
        self.readiness.waiter()
    }

    /// What can be done to the ring when a link has it.
    pub fn control(&self) -> RingControl {
        self.control.clone()
    }

    /// Sends what was gathered now, rather than when the driver is polled again.
    pub fn flush(&mut self) {
        self.transmitter.flush(&self.readiness, &mut self.counters);
    }

    /// Has tasks woken by the reactor of the tokio runtime that this is called in.
    #[cfg(feature = "tokio")]
    pub fn with_tokio(mut self) -> io::Result<Self> {
        self.readiness.use_tokio()?;
        Ok(self)
    }

    /// Has tasks woken by async-io's reactor.
    #[cfg(feature = "async-io")]
    pub fn with_async_io(mut self) -> io::Result<Self> {
        self.readiness.use_async_io()?;
        Ok(self)
    }

    /// Whether there is a frame; if not, the task is woken when there is one.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> bool {
        if self.receiver.is_ready(&mut self.counters) {
            return true;
        }
        // The end of a burst: the time to answer it.
        self.flush();
        self.readiness.arm(context) && self.receiver.is_ready(&mut self.counters)
    }

    /// Whether a frame can be gathered; if not, the task is woken when one can.
    fn poll_room(&mut self, context: &mut Context<'_>) -> bool {
        self.waker.clone_from(context.waker());
        if self.transmitter.has_room() {
            return true;
        }
        self.flush();
        if !self.transmitter.has_room() && self.readiness.arm(context) {
            self.flush();
        }
        self.transmitter.has_room()
    }

    /// Takes in what became of the interface.
    fn look_at_link(&mut self) {
        // A busy loop has nobody who tells it that there is something to see, and a system call each
        // time would cost more than the rest of the loop.
        const BUSY_ROUNDS: u32 = 64;
        self.unlooked += 1;
        if !self.readiness.take_stirred() && self.unlooked < BUSY_ROUNDS {
            return;
        }
        self.unlooked = 0;
        if self.monitor.refresh() {
            // What went wrong with the sockets is the state of the link, and known by now. Left
            // there, it would wake us for ever.
            let _ = self.transmitter.clear_error();
            let _ = rustix::net::sockopt::socket_error(&self.receiver);
        }
    }
}

/// The length of an Ethernet header.
const HEADER_LEN: usize = 14;
const TAG_LEN: usize = 4;

/// A socket of its own for sending: it receives nothing, and begins every frame with what is said of
/// it to the kernel.
fn sending_socket(interface: &Interface) -> Result<OwnedFd, OpenError> {
    let socket = packet_socket()?;
    socket::enable_virtio_header(socket.as_fd())
        .map_err(OpenError::io("cannot ask for segmentation"))?;
    socket::bind(socket.as_fd(), interface.index, Receives::Nothing)
        .map_err(OpenError::io("cannot bind the packet socket"))?;
    // A few long packets in flight. What cannot be had is not needed to work.
    let _ = rustix::net::sockopt::set_socket_send_buffer_size(&socket, 4 << 20);
    Ok(socket)
}

/// All that a ring waits for, behind one file descriptor.
fn gather(ring: &Ring, transmitter: &Transmitter, monitor: &Monitor) -> io::Result<Readiness> {
    let readiness = Readiness::new()?;
    readiness.add(ring)?;
    readiness.add(monitor)?;
    readiness.add_idle(transmitter)?;
    Ok(readiness)
}

fn set_filter(socket: BorrowedFd<'_>, addresses: &[Ipv4Addr]) -> Result<(), OpenError> {
    socket::attach_filter(socket, &filter::host(addresses))
        .map_err(OpenError::io("cannot attach the packet filter"))
}

/// Readable when there is something to do.
impl AsFd for PacketRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.waiter.as_fd()
    }
}

/// What can be done to a [`PacketRing`] when a link has it.
#[derive(Clone, Debug)]
pub struct RingControl {
    socket: Arc<OwnedFd>,
    waiter: Waiter,
}

impl RingControl {
    /// Our own addresses are these now: IPv4 to others is filtered out by the kernel. With none, all
    /// IPv4 that reaches this machine comes up.
    pub fn set_addresses(&self, addresses: &[Ipv4Addr]) -> io::Result<()> {
        socket::attach_filter(self.socket.as_fd(), &filter::host(addresses))
    }

    /// For a thread that sleeps until there is something to do.
    pub fn waiter(&self) -> &Waiter {
        &self.waiter
    }
}

impl Driver for PacketRing {
    type RxToken<'a> = RingRxToken<'a>;
    type TxToken<'a> = RingTxToken<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(RingRxToken<'_>, RingTxToken<'_>)> {
        // Whoever takes a frame may answer it.
        if !self.poll_frame(context) || !self.poll_room(context) {
            return None;
        }
        let receive = RingRxToken {
            receiver: &mut self.receiver,
        };
        let transmit = RingTxToken {
            transmitter: &mut self.transmitter,
            readiness: &self.readiness,
            waker: &self.waker,
            counters: &mut self.counters,
        };
        Some((receive, transmit))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<RingTxToken<'_>> {
        if !self.poll_room(context) {
            return None;
        }
        Some(RingTxToken {
            transmitter: &mut self.transmitter,
            readiness: &self.readiness,
            waker: &self.waker,
            counters: &mut self.counters,
        })
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.flush();
        self.look_at_link();
        if self.readiness.arm(context) {
            self.look_at_link();
        }
        match self.monitor.state().running {
            true => LinkState::Up,
            false => LinkState::Down,
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.interface.mtu as usize + HEADER_LEN;
        if self.checksums == Checksums::Offloaded {
            capabilities.checksum.tcp = Checksum::None;
            capabilities.checksum.udp = Checksum::None;
        }
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.monitor.state().mac.octets())
    }
}

/// A received frame. It stays the next one until it is consumed.
#[derive(Debug)]
pub struct RingRxToken<'a> {
    receiver: &'a mut Receiver,
}

impl RxToken for RingRxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        let result = read(self.receiver.frame());
        self.receiver.release();
        result
    }
}

/// Room for a frame to send.
#[derive(Debug)]
pub struct RingTxToken<'a> {
    transmitter: &'a mut Transmitter,
    readiness: &'a Readiness,
    waker: &'a Waker,
    counters: &'a mut Counters,
}

impl TxToken for RingTxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, write: F) -> R {
        let first = self.transmitter.is_empty();
        let result = self.transmitter.push(len, self.counters, write);
        if first && !self.transmitter.is_empty() {
            self.readiness.set_unsent(true);
            self.waker.wake_by_ref();
        }
        result
    }
}
