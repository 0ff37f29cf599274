//! As much of a DHCP server as a client needs: it offers and grants one address to everybody.

use core::future::poll_fn;
use core::net::Ipv4Addr;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;

use embassy_net_driver::{Driver, RxToken, TxToken};
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr};
use whohas::sim::LanDriver;
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, EthernetHeader, Fragment, HardwareTypes,
    IpProtocol, Ipv4Header, Ipv4Packet, MacAddr, Operation, UDP_HEADER_LEN, UdpChecksum,
    UdpDatagram, UdpHeader,
};

use crate::world::World;
use crate::{US, ip, mac};

/// What is granted: 10.0.0.1/24, and a gateway.
pub const GATEWAY: u8 = 254;
const SERVER: u8 = 253;

/// What clients have said: each message's type and the whole frame.
pub type Heard = Rc<RefCell<Vec<(DhcpMessageType, Vec<u8>)>>>;

/// Serves at 10.0.0.253, where it can be asked for by ARP.
pub fn serve(world: &mut World) -> Heard {
    let heard = Heard::default();
    let mut driver = world.lan.add_driver(mac(SERVER));
    let log = heard.clone();
    world.spawn(async move {
        loop {
            let frame = next_frame(&mut driver).await;
            if let Some(reply) = say_where(&frame) {
                send(&mut driver, &reply);
            } else if let Some((kind, reply)) = answer(&frame) {
                log.borrow_mut().push((kind, frame));
                send(&mut driver, &reply);
            }
        }
    });
    heard
}

async fn next_frame(driver: &mut LanDriver) -> Vec<u8> {
    poll_fn(|context| match driver.receive(context) {
        Some((frame, _room)) => Poll::Ready(frame.consume(|bytes| bytes.to_vec())),
        None => Poll::Pending,
    })
    .await
}

fn send(driver: &mut LanDriver, frame: &[u8]) {
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    if let Some(room) = driver.transmit(&mut context) {
        room.consume(frame.len(), |bytes| bytes.copy_from_slice(frame));
    }
}

/// The answer to who asks for the server's address.
fn say_where(frame: &[u8]) -> Option<[u8; ARP_FRAME_LEN]> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ethertype != EtherType::ARP {
        return None;
    }
    let asked = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()?;
    if asked.operation != Operation::Request || asked.target_ip != ip(SERVER) {
        return None;
    }
    let mut reply = [0; ARP_FRAME_LEN];
    asked
        .answered_by(mac(SERVER))
        .emit_frame(frame.header.source, None, &mut reply)
        .expect("a frame's length");
    Some(reply)
}

/// What the client wants, and the frame that gives it.
fn answer(frame: &[u8]) -> Option<(DhcpMessageType, Vec<u8>)> {
    let frame = EthernetFrame::parse(frame).ok()?;
    if frame.header.ethertype != EtherType::IPV4 {
        return None;
    }
    let packet = Ipv4Packet::parse(frame.payload).ok()?;
    let (source, destination) = (packet.header.source, packet.header.destination);
    let udp = UdpDatagram::parse(packet.payload, source, destination, UdpChecksum::Verify).ok()?;
    if udp.header.destination_port != 67 {
        return None;
    }
    let message = DhcpPacket::new_checked(udp.payload).ok()?;
    let asked = DhcpRepr::parse(&message).ok()?;
    let kind = asked.message_type;
    let message_type = match kind {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Request => DhcpMessageType::Ack,
        _ => return None,
    };
    let reply = DhcpRepr {
        message_type,
        transaction_id: asked.transaction_id,
        secs: 0,
        client_hardware_address: asked.client_hardware_address,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: ip(US),
        server_ip: ip(SERVER),
        router: Some(ip(GATEWAY)),
        subnet_mask: Some(Ipv4Addr::new(255, 255, 255, 0)),
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: true,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(ip(SERVER)),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        renew_duration: None,
        rebind_duration: None,
        lease_duration: Some(3_600),
        additional_options: &[],
    };
    let mut content = vec![0; reply.buffer_len()];
    reply
        .emit(&mut DhcpPacket::new_unchecked(&mut content[..]))
        .ok()?;
    // RFC 2131 section 4.1: to a client that has its address, and to everybody else.
    let to = match asked.client_ip {
        Ipv4Addr::UNSPECIFIED => (MacAddr::BROADCAST, Ipv4Addr::BROADCAST),
        known => (frame.header.source, known),
    };
    Some((kind, addressed(to, &content)))
}

/// The message in a datagram in a packet in a frame.
fn addressed((mac_of, ip_of): (MacAddr, Ipv4Addr), message: &[u8]) -> Vec<u8> {
    let ethernet = EthernetHeader {
        destination: mac_of,
        source: mac(SERVER).get(),
        tag: None,
        ethertype: EtherType::IPV4,
    };
    let header = Ipv4Header {
        source: ip(SERVER),
        destination: ip_of,
        protocol: IpProtocol::UDP,
        ttl: 64,
        service: 0,
        identification: 0,
        fragment: Fragment::Whole {
            dont_fragment: false,
        },
    };
    let udp = UdpHeader {
        source_port: 67,
        destination_port: 68,
    };
    let mut datagram = vec![0; UDP_HEADER_LEN + message.len()];
    datagram[UDP_HEADER_LEN..].copy_from_slice(message);
    udp.emit(header.source, header.destination, &mut datagram)
        .expect("there is room");
    let mut frame = vec![0; 14 + 20 + datagram.len()];
    let rest = ethernet.emit(&mut frame).expect("there is room");
    let rest = header.emit(rest, datagram.len()).expect("there is room");
    rest.copy_from_slice(&datagram);
    frame
}
