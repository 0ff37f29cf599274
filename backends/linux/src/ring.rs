//! An interface as a driver: frames through shared memory in, and in batches out.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::task::Context;

use embassy_net_driver::{Capabilities, Checksum, Driver, HardwareAddress, LinkState, RxToken};
use rustix::net::sockopt;
use whohas::link::DriverInPlace;

use crate::filter;
use crate::interface::Interface;
use crate::monitor::Monitor;
use crate::open::OpenError;
use crate::options::{Checksums, Counters, LONGEST, RingOptions};
use crate::raw::{packet_socket, usable};
use crate::readiness::{Readiness, Waiter};
use crate::receive::Receiver;
use crate::sys::ring::{Ring, join_fanout, statistics};
use crate::sys::socket::{self, Receives};
use crate::transmit::{GatherToken, Outlet, Transmitter};

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
    monitor: Monitor,
    readiness: Readiness,
    control: RingControl,
    checksums: Checksums,
    counters: Counters,
}

impl PacketRing {
    pub(crate) fn open(name: &str, options: &RingOptions) -> Result<Self, OpenError> {
        let interface = usable(name)?;
        let receiving = packet_socket()?;
        set_filter(receiving.as_fd(), &options.addresses)?;
        let control = receiving
            .try_clone()
            .map_err(OpenError::io("cannot share the packet socket"))?;
        // With a tag or without: it may be taken off already.
        let frame_len = interface.mtu as usize + HEADER_LEN;
        let ring = Ring::new(receiving, options.layout(frame_len + TAG_LEN)).map_err(
            OpenError::io("cannot make the receive ring, perhaps it wants less memory"),
        )?;
        socket::bind(ring.as_fd(), interface.index, Receives::All)
            .map_err(OpenError::io("cannot bind the packet socket"))?;
        if let Some(group) = options.fanout {
            join_fanout(ring.as_fd(), group)
                .map_err(OpenError::io("cannot join the fanout group"))?;
        }
        let longest = if options.joined { LONGEST } else { frame_len };
        let monitor =
            Monitor::new(interface.index).map_err(OpenError::io("cannot watch the interface"))?;
        let transmitter = Transmitter::new(
            Outlet::Socket(sending_socket(&interface)?),
            frame_len + TAG_LEN,
            options.checksums,
            options.segmentation,
        );
        let readiness = gather(&ring, &transmitter, &monitor)
            .map_err(OpenError::io("cannot wait for the packet socket"))?;
        Ok(Self {
            receiver: Receiver::new(ring, options.checksums, longest),
            transmitter,
            monitor,
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
        Counters {
            received: self.receiver.received(),
            ..self.counters
        }
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
        self.transmitter
            .poll_room(context, &self.readiness, &mut self.counters)
    }
}

/// The length of an Ethernet header.
pub(crate) const HEADER_LEN: usize = 14;
pub(crate) const TAG_LEN: usize = 4;

/// A socket of its own for sending: it receives nothing, and begins every frame with what is said of
/// it to the kernel.
fn sending_socket(interface: &Interface) -> Result<OwnedFd, OpenError> {
    let socket = packet_socket()?;
    socket::enable_virtio_header(socket.as_fd())
        .map_err(OpenError::io("cannot ask for segmentation"))?;
    socket::bind(socket.as_fd(), interface.index, Receives::Nothing)
        .map_err(OpenError::io("cannot bind the packet socket"))?;
    // A few long packets in flight. What cannot be had is not needed to work.
    let _ = sockopt::set_socket_send_buffer_size(&socket, 4 << 20);
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

/// As the [`Waiter`]'s.
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
    type TxToken<'a> = GatherToken<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(RingRxToken<'_>, GatherToken<'_>)> {
        // Whoever takes a frame may answer it.
        if !self.poll_frame(context) || !self.poll_room(context) {
            return None;
        }
        let receive = RingRxToken {
            receiver: &mut self.receiver,
        };
        let transmit = GatherToken {
            transmitter: &mut self.transmitter,
            readiness: &self.readiness,
            counters: &mut self.counters,
        };
        Some((receive, transmit))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<GatherToken<'_>> {
        if !self.poll_room(context) {
            return None;
        }
        Some(GatherToken {
            transmitter: &mut self.transmitter,
            readiness: &self.readiness,
            counters: &mut self.counters,
        })
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.flush();
        let news = self.monitor.poll(&self.readiness, context);
        let state = self.monitor.link_state();
        if news || state == LinkState::Down {
            // The sockets report that they are down too, once each and a little later. Left there,
            // it would wake us for ever.
            let _ = sockopt::socket_error(&self.transmitter);
            let _ = sockopt::socket_error(&self.receiver);
        }
        state
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

impl DriverInPlace for PacketRing {
    type Draft<'a> = GatherToken<'a>;

    fn peek<T>(&mut self, context: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.poll_frame(context)
            .then(|| look(self.receiver.frame()))
    }

    fn receive_in_place(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(RingRxToken<'_>, GatherToken<'_>)> {
        self.receive(context)
    }

    fn draft(&mut self, context: &mut Context<'_>) -> Option<GatherToken<'_>> {
        self.transmit(context)
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
