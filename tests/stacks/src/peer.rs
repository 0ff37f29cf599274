//! A live peer: a whole stack of its own that accepts on one port and says back what it hears.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};
use whohas::link::phy::Phy;
use whohas::sim::{LanDriver, SharedLan};
use whohas::{Instant, UnicastMac};

use crate::{PORT, ip, mac};

/// One of them.
pub struct Peer {
    device: Phy<LanDriver>,
    interface: Interface,
    sockets: SocketSet<'static>,
    listener: SocketHandle,
}

impl Peer {
    /// 10.0.0.n at 02:00:00:00:00:n.
    pub fn new(lan: &SharedLan, n: u8) -> Self {
        let mut device = Phy::new(lan.add_driver(mac(n)));
        let config = Config::new(hardware(mac(n)));
        let mut interface = Interface::new(config, &mut device, smoltcp_time(lan.now()));
        interface.update_ip_addrs(|ips| {
            let address = IpCidr::new(ip(n).into(), 24);
            ips.push(address).expect("room for one address");
        });
        let buffer = || tcp::SocketBuffer::new(vec![0; 4096]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.listen(PORT).expect("a port to listen on");
        let mut sockets = SocketSet::new(Vec::new());
        let listener = sockets.add(socket);
        Self {
            device,
            interface,
            sockets,
            listener,
        }
    }

    /// Has another MAC address from now on, and tells nobody.
    pub fn move_to(&mut self, new: UnicastMac) {
        self.device.driver().set_mac(new);
        self.interface.set_hardware_addr(hardware(new));
    }

    /// Does what can be done now; when it wants to be called next.
    pub fn poll(&mut self, now: Instant) -> Option<Instant> {
        let now = smoltcp_time(now);
        loop {
            self.interface
                .poll(now, &mut self.device, &mut self.sockets);
            if !self.echo() {
                break;
            }
        }
        let next = self.interface.poll_at(now, &self.sockets)?;
        Some(Instant::from_micros(next.total_micros().unsigned_abs()))
    }

    /// Whether anything was said back.
    fn echo(&mut self) -> bool {
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(self.listener);
        if !socket.can_recv() || !socket.can_send() {
            return false;
        }
        let heard = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
        let heard = heard.expect("there is something to receive");
        socket.send_slice(&heard).is_ok()
    }
}

/// The address as smoltcp has it.
pub fn hardware(mac: UnicastMac) -> HardwareAddress {
    HardwareAddress::Ethernet(EthernetAddress(mac.octets()))
}

/// The time as smoltcp has it.
pub fn smoltcp_time(now: Instant) -> smoltcp::time::Instant {
    let micros = i64::try_from(now.as_micros()).expect("tests end within 292,000 years");
    smoltcp::time::Instant::from_micros(micros)
}
