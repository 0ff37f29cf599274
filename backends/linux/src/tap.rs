//! A TAP device as a driver: an interface of the kernel's, with us where its cable would end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken};
use rustix::fs::{Mode, OFlags};
use whohas::UnicastMac;
use whohas::link::DriverInPlace;
use whohas::wire::Transport;

use crate::interface::Interface;
use crate::monitor::Monitor;
use crate::offload::VirtioHeader;
use crate::open::OpenError;
use crate::options::{Checksums, Counters};
use crate::readiness::{Readiness, Waiter};
use crate::ring::{HEADER_LEN, TAG_LEN};
use crate::sys::tap;
use crate::transmit::{GatherToken, Outlet, Transmitter};

/// A TAP device as a driver.
///
/// What the kernel sends through the interface arrives here, and what is sent here the kernel
/// receives. The interface is the kernel's end, with the kernel's addresses; this end has a hardware
/// address of its own. The link is up when the interface is set up.
///
/// Made for tests, and for machines where an interface to the rest of the world is the kernel's
/// business. Frames are gathered as in a [`PacketRing`](crate::PacketRing).
#[derive(Debug)]
pub struct Tap {
    interface: Interface,
    mac: UnicastMac,
    device: OwnedFd,
    /// The frame that was read last, behind what is said of it.
    buffer: Box<[u8]>,
    /// How long it is with that, if it was not consumed yet.
    filled: Option<usize>,
    transmitter: Transmitter,
    monitor: Monitor,
    readiness: Readiness,
    counters: Counters,
}

/// An IPv4 packet of the greatest length with header and tag, behind what is said of it.
const BUFFER_LEN: usize = VirtioHeader::LEN + 65_535 + HEADER_LEN + TAG_LEN;

impl Tap {
    /// Opens the interface of this name, which is made if it is not there and goes away again with
    /// the driver. `tap%d` takes the first number that is free.
    ///
    /// `mac` is the hardware address of this end. It is not that of the interface.
    pub fn open(name: &str, mac: UnicastMac) -> Result<Self, OpenError> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let device = rustix::fs::open("/dev/net/tun", flags, Mode::empty()).map_err(|error| {
            OpenError::NoTapDevice {
                source: error.into(),
            }
        })?;
        let name = tap::attach(device.as_fd(), name).map_err(OpenError::permission(
            "make a TAP interface",
            "CAP_NET_ADMIN",
        ))?;
        tap::accept_offloads(device.as_fd())
            .map_err(OpenError::io("cannot accept unfinished checksums"))?;
        let interface = Interface::find(&name)?;
        let monitor =
            Monitor::new(interface.index).map_err(OpenError::io("cannot watch the interface"))?;
        let outlet = device
            .try_clone()
            .map_err(OpenError::io("cannot share the TAP device"))?;
        let transmitter = Transmitter::new(
            Outlet::Tap(outlet),
            interface.mtu as usize + HEADER_LEN + TAG_LEN,
            Checksums::Complete,
            true,
        );
        let readiness = gather(&transmitter, &monitor)
            .map_err(OpenError::io("cannot wait for the TAP device"))?;
        Ok(Self {
            interface,
            mac,
            device,
            buffer: vec![0; BUFFER_LEN].into_boxed_slice(),
            filled: None,
            transmitter,
            monitor,
            readiness,
            counters: Counters::default(),
        })
    }

    /// The kernel's end, as it was when the driver was opened.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// For a thread that sleeps until there is something to do.
    pub fn waiter(&self) -> Waiter {
        self.readiness.waiter()
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

    /// Whether there is a frame; reads one if none was left.
    fn is_filled(&mut self) -> bool {
        if self.filled.is_some() {
            return true;
        }
        // Whatever goes wrong here, an interface that is down above all, is the state of the link.
        let Ok(len) = rustix::io::read(&self.device, &mut self.buffer[..]) else {
            return false;
        };
        let Some((said, frame)) = self.buffer[..len].split_at_mut_checked(VirtioHeader::LEN) else {
            return false;
        };
        if VirtioHeader::is_partial(said)
            && let Some(transport) = Transport::find(frame)
        {
            transport.complete_checksum(frame);
        }
        self.counters.received += 1;
        self.filled = Some(len);
        true
    }

    /// Whether there is a frame; if not, the task is woken when there is one.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> bool {
        if self.is_filled() {
            return true;
        }
        self.flush();
        self.readiness.arm(context) && self.is_filled()
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> bool {
        self.transmitter
            .poll_room(context, &self.readiness, &mut self.counters)
    }
}

/// All that a TAP device waits for, behind one file descriptor.
fn gather(transmitter: &Transmitter, monitor: &Monitor) -> io::Result<Readiness> {
    let readiness = Readiness::new()?;
    // The same device as the one that is read.
    readiness.add(transmitter)?;
    readiness.add(monitor)?;
    Ok(readiness)
}

/// As the [`Waiter`]'s.
impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readiness.as_fd()
    }
}

impl Driver for Tap {
    type RxToken<'a> = TapRxToken<'a>;
    type TxToken<'a> = GatherToken<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(TapRxToken<'_>, GatherToken<'_>)> {
        if !self.poll_frame(context) || !self.poll_room(context) {
            return None;
        }
        let receive = TapRxToken {
            buffer: &mut self.buffer,
            filled: &mut self.filled,
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
        self.monitor.poll(&self.readiness, context);
        self.monitor.link_state()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = self.interface.mtu as usize + HEADER_LEN;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac.octets())
    }
}

impl DriverInPlace for Tap {
    type Draft<'a> = GatherToken<'a>;

    fn peek<T>(&mut self, context: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        if !self.poll_frame(context) {
            return None;
        }
        let len = self.filled?;
        Some(look(&self.buffer[VirtioHeader::LEN..len]))
    }

    fn receive_in_place(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(TapRxToken<'_>, GatherToken<'_>)> {
        self.receive(context)
    }

    fn draft(&mut self, context: &mut Context<'_>) -> Option<GatherToken<'_>> {
        self.transmit(context)
    }
}

/// A received frame. It stays the next one until it is consumed.
#[derive(Debug)]
pub struct TapRxToken<'a> {
    buffer: &'a mut [u8],
    filled: &'a mut Option<usize>,
}

impl RxToken for TapRxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        // A token is only made when there is a frame.
        let len = self.filled.take().unwrap_or(VirtioHeader::LEN);
        read(&mut self.buffer[VirtioHeader::LEN..len])
    }
}
