//! smoltcp's whole interface: its cache of neighbours cannot be reached without it.
//!
//! So what is measured is `Interface::poll` from the frame at the device to the answer at the
//! device, with no socket. Its table is built for 1,024 neighbours, the most that it offers, and
//! filled as far as the case says; it searches those that are there, one after the other.

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use whohas::wire::ARP_FRAME_LEN;

use super::{Frame, PREFIX_LEN, Receiver, US, mac_of, neighbour};

pub(crate) struct Smoltcp {
    interface: Interface,
    sockets: SocketSet<'static>,
    device: OneFrame,
    now: i64,
}

impl Smoltcp {
    /// Knows `n` neighbours.
    pub(crate) fn new(n: u32) -> Self {
        let mut device = OneFrame {
            received: None,
            sent: [0; ARP_FRAME_LEN],
            sent_len: 0,
        };
        let mac = EthernetAddress(mac_of(US).octets());
        let now = Instant::from_micros(1);
        let mut interface = Interface::new(Config::new(mac.into()), &mut device, now);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(US.into(), PREFIX_LEN);
            addresses.push(own).expect("room for one address");
        });
        let mut peer = Self {
            interface,
            sockets: SocketSet::new([]),
            device,
            now: 1,
        };
        let mut reply = Frame::reply();
        for ip in (0..n).map(neighbour) {
            peer.receive(reply.from(ip));
        }
        peer
    }
}

impl Receiver for Smoltcp {
    fn receive(&mut self, frame: &[u8]) -> usize {
        self.now += 1;
        self.device.received = frame.try_into().ok();
        self.device.sent_len = 0;
        let now = Instant::from_micros(self.now);
        self.interface
            .poll(now, &mut self.device, &mut self.sockets);
        self.device.sent_len
    }
}

/// A device with one frame to give, and room for one to take.
struct OneFrame {
    received: Option<[u8; ARP_FRAME_LEN]>,
    sent: [u8; ARP_FRAME_LEN],
    sent_len: usize,
}

impl Device for OneFrame {
    type RxToken<'a> = Received;
    type TxToken<'a> = Send<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Send<'_>)> {
        let frame = self.received.take()?;
        Some((
            Received(frame),
            Send {
                buffer: &mut self.sent,
                len: &mut self.sent_len,
            },
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Send<'_>> {
        Some(Send {
            buffer: &mut self.sent,
            len: &mut self.sent_len,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }
}

struct Received([u8; ARP_FRAME_LEN]);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

struct Send<'a> {
    buffer: &'a mut [u8; ARP_FRAME_LEN],
    len: &'a mut usize,
}

impl TxToken for Send<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        *self.len = len;
        fill(&mut self.buffer[..len])
    }
}
