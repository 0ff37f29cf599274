//! smoltcp with the same frames, as an interface with Ethernet.

use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, IpEndpoint};
use whohas::link::phy::Phy;
use whohas_emulated::program::fail;

use crate::count::{instructions, row};
use crate::frames::{OUR_MAC, ip, reply, request};
use crate::memory::Memory;

const WHO: &str = "smoltcp";
const PEER: u8 = 17;
const STRANGER: u8 = 200;
/// What its socket has room for.
const PACKETS: usize = 1;
const BYTES: usize = 1600;

pub fn measure() {
    let mut device = Phy::new(Memory::new());
    let mut seconds = 1;
    let mut pass_time = || {
        seconds += 1;
        Instant::from_secs(seconds)
    };
    let config = Config::new(HardwareAddress::Ethernet(EthernetAddress(OUR_MAC)));
    let mut engine = Interface::new(config, &mut device, Instant::from_secs(1));
    engine.update_ip_addrs(|addresses| {
        // There is room for two by default.
        let _ = addresses.push(IpCidr::new(ip(1).into(), 24));
    });
    let (mut receive, mut send) = (
        [udp::PacketMetadata::EMPTY; PACKETS],
        [udp::PacketMetadata::EMPTY; PACKETS],
    );
    let (mut received, mut to_send) = ([0; BYTES], [0; BYTES]);
    let mut socket = udp::Socket::new(
        udp::PacketBuffer::new(&mut receive[..], &mut received[..]),
        udp::PacketBuffer::new(&mut send[..], &mut to_send[..]),
    );
    if let Err(error) = socket.bind(50_000) {
        fail(format_args!("{error}"));
    }
    let mut storage = [SocketStorage::EMPTY; 1];
    let mut sockets = SocketSet::new(&mut storage[..]);
    let handle = sockets.add(socket);
    let peer = IpEndpoint::new(ip(PEER).into(), 9);

    let send = |sockets: &mut SocketSet<'_>, len: usize| {
        let socket = sockets.get_mut::<udp::Socket>(handle);
        if let Err(error) = socket.send_slice(&[0; 1500][..len], peer) {
            fail(format_args!("{error}"));
        }
    };
    // It asks who the peer is, and learns it when that is measured.
    send(&mut sockets, 36);
    engine.poll(pass_time(), &mut device, &mut sockets);
    let mut now = pass_time();
    row(
        "ARP frame received/the answer to a question, the whole stack",
        WHO,
        || {
            device.driver_mut().put(&reply(PEER));
            instructions(|| engine.poll(now, &mut device, &mut sockets))
        },
    );
    row("poll/nothing to do, the whole stack", WHO, || {
        instructions(|| engine.poll(now, &mut device, &mut sockets))
    });
    for (case, len) in [
        ("packet sent/64 B of UDP, the whole stack", 64 - 28),
        ("packet sent/1500 B of UDP, the whole stack", 1500 - 28),
    ] {
        row(case, WHO, || {
            device.driver_mut().sent();
            let taken = instructions(|| {
                send(&mut sockets, len);
                engine.poll(now, &mut device, &mut sockets)
            });
            expect(&mut device, 1);
            taken
        });
    }
    row(
        "ARP frame received/a question for us, answered, the whole stack",
        WHO,
        || {
            now = pass_time();
            engine.poll(now, &mut device, &mut sockets);
            device.driver_mut().put(&request(STRANGER, 1));
            device.driver_mut().sent();
            let taken = instructions(|| engine.poll(now, &mut device, &mut sockets));
            expect(&mut device, 1);
            taken
        },
    );
}

fn expect(device: &mut Phy<Memory>, frames: u32) {
    let sent = device.driver_mut().sent();
    if sent != frames {
        fail(format_args!("{sent} frames were sent, not {frames}"));
    }
}
