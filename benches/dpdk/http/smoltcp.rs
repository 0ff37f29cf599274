//! smoltcp 0.14 on DPDK's queues as one uses it without us: an interface with a neighbour cache of its own
//! on every queue, and the loop of its examples.
//!
//! All sockets are made beforehand, as one is needed for every SYN that may come, and smoltcp looks at
//! each of them for every frame. The HTTP is the least that does for wrk and its like.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant as Time};

use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use whohas::link::phy::Phy;
use whohas_dpdk::{EalOptions, PortOptions, Queue};

use super::contender::{NEAR, NEAR_IP, PORT, PREFIX_LEN, serve_until_told, set_up_near_end};
use super::http::{Answer, Body};
use super::load::CONNECTIONS;
use super::site;

pub(crate) const WHO: &str = "smoltcp on DPDK";

/// All connections of the load, and some that are being closed meanwhile.
const SOCKETS: usize = CONNECTIONS + 32;
/// What each connection can receive and send: as much as the others'.
const WINDOW: usize = 65_536;
/// A queue sleeps like ours do.
const IDLE_POLLS: u32 = 8;
const NAP: Duration = Duration::from_micros(50);

pub(crate) fn serve(queues: u16) {
    set_up_near_end();
    let eal = EalOptions::without_hardware(32 + 16 * u32::from(queues))
        .device(&format!("net_af_packet0,iface={NEAR},qpairs={queues}"))
        .start()
        .expect("DPDK starts");
    let options = PortOptions::new().queues(queues).without_hand_over();
    let (port, queues) = options.open(&eal, "net_af_packet0").expect("a port");
    let stop = Arc::new(AtomicBool::new(false));
    let mac = port.mac().octets();
    let threads: Vec<_> = queues
        .into_iter()
        .map(|queue| {
            let stop = stop.clone();
            thread::spawn(move || Server::new(queue, mac).run(&stop))
        })
        .collect();
    serve_until_told();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("it does not panic");
    }
}

struct Server {
    device: Phy<Queue>,
    interface: Interface,
    sockets: SocketSet<'static>,
    connections: Vec<Connection>,
    epoch: Time,
}

/// A socket, and what could not be written to it yet.
struct Connection {
    handle: SocketHandle,
    output: VecDeque<u8>,
}

impl Server {
    fn new(queue: Queue, mac: [u8; 6]) -> Self {
        let mut device = Phy::new(queue);
        let config = Config::new(EthernetAddress(mac).into());
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let own = IpCidr::new(NEAR_IP.into(), PREFIX_LEN);
            addresses.push(own).expect("room for one address");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let connections = (0..SOCKETS).map(|_| {
            let buffer = || tcp::SocketBuffer::new(vec![0; WINDOW]);
            let mut socket = tcp::Socket::new(buffer(), buffer());
            socket.set_nagle_enabled(false);
            Connection {
                handle: sockets.add(socket),
                output: VecDeque::new(),
            }
        });
        let connections = connections.collect();
        Self {
            device,
            interface,
            sockets,
            connections,
            epoch: Time::now(),
        }
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut idle = 0;
        while !stop.load(Ordering::Relaxed) {
            let now = Instant::from_micros(self.epoch.elapsed().as_micros() as i64);
            let polled = self
                .interface
                .poll(now, &mut self.device, &mut self.sockets);
            let mut is_busy = polled == PollResult::SocketStateChanged;
            for connection in &mut self.connections {
                is_busy |= connection.serve(&mut self.sockets);
            }
            idle = if is_busy { 0 } else { idle + 1 };
            if idle > IDLE_POLLS {
                thread::park_timeout(NAP);
            }
        }
    }
}

impl Connection {
    /// Answers what has come; true if something had.
    fn serve(&mut self, sockets: &mut SocketSet<'_>) -> bool {
        let socket = sockets.get_mut::<tcp::Socket<'_>>(self.handle);
        if !socket.is_open() {
            self.output.clear();
            socket.listen(PORT).expect("a legal port");
            return true;
        }
        let mut is_busy = false;
        while socket.can_recv() && self.output.is_empty() {
            let output = &mut self.output;
            let taken = socket.recv(|bytes| {
                let taken = answer(bytes, output);
                (taken, taken)
            });
            if taken.unwrap_or(0) == 0 {
                break;
            }
            is_busy = true;
        }
        while !self.output.is_empty() && socket.can_send() {
            let (front, _) = self.output.as_slices();
            let sent = socket.send_slice(front).expect("it can send");
            self.output.drain(..sent);
            is_busy = true;
        }
        // The peer has ended, and we have nothing more to say.
        if self.output.is_empty() && socket.state() == tcp::State::CloseWait {
            socket.close();
            is_busy = true;
        }
        is_busy
    }
}

/// Answers the request at the beginning, if all of it is here: how long it was.
fn answer(bytes: &[u8], output: &mut VecDeque<u8>) -> usize {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let Ok(httparse::Status::Complete(len)) = request.parse(bytes) else {
        return 0;
    };
    let found = site::answer(request.path.unwrap_or(""), String::new);
    let (status, kind, body) = match &found {
        Some(Answer {
            kind,
            body: Body::Fixed(body),
        }) => ("200 OK", *kind, *body),
        _ => ("404 Not Found", "text/plain", &b""[..]),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    output.extend(head.as_bytes());
    output.extend(body);
    len
}
