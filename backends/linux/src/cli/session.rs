//! One run of a verb: the interface, the socket on it, the capture, and the loop that drives a
//! [`Machine`] over them.
//!
//! What needs rights or names is opened here, in this order: the capture with the caller's own
//! rights, the socket with the one capability for it; then there are no rights left, and only then is
//! the first frame looked at.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use whohas::Instant;
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, HardwareTypes, MacAddr};

use crate::{Protocols, RawSocket};

use super::args::Common;
use super::capture::Capture;
use super::failure::Failure;
use super::interface::{Chosen, open_failure};
use super::privilege;
use super::signals::Signals;

/// An ARP packet as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard<'f> {
    pub(super) packet: ArpPacket,
    /// Who sent the frame, as its Ethernet header says.
    pub(super) source: MacAddr,
    /// All of it.
    pub(super) frame: &'f [u8],
}

/// What a verb does: takes packets and the time, gives frames and a deadline.
pub(super) trait Machine {
    /// A packet came.
    fn receive(&mut self, now: Instant, heard: &Heard<'_>) -> Result<(), Failure>;
    /// The frame to send now, if there is one. It will be sent, if not at once.
    fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<usize>;
    /// Time has passed.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), Failure>;
    /// When to call [`handle_timeout`](Self::handle_timeout) and
    /// [`poll_transmit`](Self::poll_transmit) next.
    fn poll_timeout(&self) -> Option<Instant>;
    /// Whether all is said.
    fn is_done(&self) -> bool;

    /// The link takes frames more slowly than they are offered.
    fn choked(&mut self, _now: Instant) {}
    /// The link went down; whether to wait for it.
    fn waits_for_link(&mut self) -> bool {
        false
    }
    /// What else to wait for.
    fn also(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    /// A signal came first.
    Interrupted,
}

/// An open interface.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) interface: Chosen,
    socket: RawSocket,
    capture: Option<Capture>,
    signals: Signals,
    epoch: std::time::Instant,
    unsent: Option<Unsent>,
}

/// A frame that the device had no room for.
#[derive(Debug)]
struct Unsent {
    frame: [u8; ARP_FRAME_LEN],
    again_at: Instant,
}

/// Between two looks at what has arrived.
const SENT_AT_ONCE: usize = 64;
/// Room for the answers to some thousand requests, where the system allows it.
const RECEIVE_BUFFER: usize = 4 << 20;
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(1);

impl Session {
    pub(super) fn open(common: &Common, targets: &[Ipv4Addr]) -> Result<Self, Failure> {
        privilege::refuse_set_user_id()?;
        let capture = common.pcap.as_deref().map(Capture::create).transpose()?;
        let signals =
            Signals::catch().map_err(|error| Failure::device("cannot listen to signals", error))?;
        let interface = Chosen::find(common.interface.as_deref(), targets)?;
        let socket = privilege::with_raw_sockets(|| open_socket(&interface.name))?;
        Ok(Self {
            interface,
            socket,
            capture,
            signals,
            epoch: std::time::Instant::now(),
            unsent: None,
        })
    }

    /// The time, for machines.
    pub(super) fn now(&self) -> Instant {
        Instant::ZERO + self.epoch.elapsed()
    }

    /// Drives the machine until it is done or a signal comes.
    pub(super) fn run(&mut self, machine: &mut impl Machine) -> Result<End, Failure> {
        let end = self.drive(machine);
        if let Some(capture) = &mut self.capture {
            capture.flush()?;
        }
        end
    }

    fn drive(&mut self, machine: &mut impl Machine) -> Result<End, Failure> {
        loop {
            machine.handle_timeout(self.now())?;
            self.send_all(machine)?;
            self.receive_all(machine)?;
            if machine.is_done() && self.unsent.is_none() {
                return Ok(End::Done);
            }
            if self.signals.raised() {
                return Ok(End::Interrupted);
            }
            self.sleep(machine)?;
        }
    }

    fn send_all(&mut self, machine: &mut impl Machine) -> Result<(), Failure> {
        loop {
            for _ in 0..SENT_AT_ONCE {
                if !self.send_next(machine)? {
                    return Ok(());
                }
            }
            // Answers to a burst must not find the buffer full.
            self.receive_all(machine)?;
        }
    }

    /// Sends a frame; false if there is none, or no room for it.
    fn send_next(&mut self, machine: &mut impl Machine) -> Result<bool, Failure> {
        let now = self.now();
        let frame = match &self.unsent {
            Some(unsent) if unsent.again_at > now => return Ok(false),
            Some(unsent) => unsent.frame,
            None => {
                let mut frame = [0; ARP_FRAME_LEN];
                match machine.poll_transmit(now, &mut frame) {
                    Some(_) => frame,
                    None => return Ok(false),
                }
            }
        };
        match self.socket.send(&frame) {
            Ok(()) => {
                self.unsent = None;
                self.record(&frame)?;
                Ok(true)
            }
            Err(error) if is_no_room(&error) => {
                machine.choked(now);
                let again_at = now + TRY_AGAIN_AFTER;
                self.unsent = Some(Unsent { frame, again_at });
                Ok(false)
            }
            Err(error) if is_link_down(&error) && machine.waits_for_link() => Ok(false),
            Err(error) => Err(self.device_failure("send", error)),
        }
    }

    fn receive_all(&mut self, machine: &mut impl Machine) -> Result<(), Failure> {
        let mut buffer = [0; 2_048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(Some(len)) => {
                    let frame = buffer.get(..len).unwrap_or_default();
                    self.record(frame)?;
                    if let Some(heard) = hear(frame) {
                        machine.receive(self.now(), &heard)?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) if is_link_down(&error) && machine.waits_for_link() => return Ok(()),
                Err(error) => return Err(self.device_failure("receive", error)),
            }
        }
    }

    fn record(&mut self, frame: &[u8]) -> Result<(), Failure> {
        match &mut self.capture {
            Some(capture) => capture.record(frame),
            None => Ok(()),
        }
    }

    /// Waits for a frame, a signal, what the machine waits for, or the next deadline.
    fn sleep(&self, machine: &impl Machine) -> Result<(), Failure> {
        let again = self.unsent.as_ref().map(|unsent| unsent.again_at);
        let deadline = match again {
            Some(again) => Some(again),
            None => machine.poll_timeout(),
        };
        let timeout = deadline.map(|deadline| deadline - self.now());
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let signals = self.signals.as_fd();
        let mut fds = vec![
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
        ];
        let also = machine.also();
        if let Some(also) = &also {
            fds.push(PollFd::new(also, PollFlags::IN));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(self.device_failure("wait", error.into())),
        }
    }

    fn device_failure(&self, what: &str, error: io::Error) -> Failure {
        Failure::device(format!("cannot {what} on {}", self.interface.name), error)
    }
}

fn open_socket(name: &str) -> Result<RawSocket, Failure> {
    let socket = RawSocket::open(name, Protocols::Arp).map_err(open_failure)?;
    // Beyond the system's limit only with the right to it; what there is then has to do.
    if set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
        let _ = set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER);
    }
    Ok(socket)
}

/// The ARP packet in a frame, if it is one for Ethernet and IPv4.
fn hear(frame: &[u8]) -> Option<Heard<'_>> {
    let EthernetFrame { header, payload } = EthernetFrame::parse(frame).ok()?;
    // Another VLAN than that of the interface is another network.
    let tagged = header.tag.is_some_and(|tag| tag.id.is_some());
    if header.ethertype != EtherType::ARP || tagged {
        return None;
    }
    let packet = ArpPacket::parse(payload, HardwareTypes::EthernetOrIeee802).ok()?;
    Some(Heard {
        packet,
        source: header.source,
        frame,
    })
}

/// No room in the socket's buffer, or none in the queue behind it.
fn is_no_room(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}

fn is_link_down(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NetworkDown
}
