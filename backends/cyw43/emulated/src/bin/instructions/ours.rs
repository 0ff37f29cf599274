//! whohas: the resolver, the link, and the whole stack.

use core::future::Future;
use core::net::SocketAddr;
use core::pin::pin;
use core::sync::atomic::{AtomicU32, Ordering};
use core::task::{Context, Poll, Waker};

use embassy_net_driver::{Driver, RxToken, TxToken};
use embedded_nal_async::{ConnectedUdp, UdpStack};
use static_cell::ConstStaticCell;
use whohas::cache::{Fixed, Small, Strict};
use whohas::link::{IpLink, Link};
use whohas::net::{Config, Net, Pools};
use whohas::resolver::LocalHold;
use whohas::wire::IPV4_HEADER_LEN;
use whohas::{Instant, LocalResolver, Prefix};
use whohas_emulated::program::fail;

use crate::count::{instructions, row};
use crate::frames::{header, ip, mac, reply, request};
use crate::memory::Memory;

const WHO: &str = "whohas";
/// The table is full of neighbours that are held: from 2 on.
const NEIGHBOURS: usize = 16;
const LAST: u8 = 17;
/// Neither a neighbour that we know, nor us.
const STRANGER: u8 = 200;

type Neighbours = LocalResolver<Fixed<NEIGHBOURS, Small>, Strict, 2>;
type Wire = Link<Memory, &'static Neighbours, fn() -> Instant>;
type Sockets = Pools<'static, Wire, 2, 1024, 1024, 2, 1600>;

static RESOLVER: Neighbours = LocalResolver::new(Strict, Fixed::new());
static SECONDS: AtomicU32 = AtomicU32::new(0);

fn now() -> Instant {
    Instant::from_secs(SECONDS.load(Ordering::Relaxed).into())
}

/// Until no limit of a second ago counts any more.
fn pass_time() {
    SECONDS.fetch_add(1, Ordering::Relaxed);
}

pub fn measure() {
    let mut context = Context::from_waker(Waker::noop());
    let mut link: Wire = Link::new(Memory::new(), &RESOLVER, now);
    let own = Prefix::new(ip(1), 24).unwrap_or_else(|error| fail(format_args!("{error}")));
    if let Err(error) = link.set_addresses(&[own]) {
        fail(format_args!("{error}"));
    }
    link.poll(now(), &mut context);
    let _held = resolve_all(&mut link, &mut context);
    lookups();
    frames(&mut link, &mut context);
    packets(&mut link, &mut context);
    stack(link, &mut context);
}

/// Has every place of the table taken by a neighbour that answered, and counts for the last of them.
fn resolve_all(
    link: &mut Wire,
    context: &mut Context<'_>,
) -> [LocalHold<'static, Fixed<NEIGHBOURS, Small>, Strict, 2>; NEIGHBOURS] {
    let mut next = 2;
    let mut held = [const { None }; NEIGHBOURS];
    for place in &mut held {
        let hold = RESOLVER.hold(ip(next));
        *place = Some(hold.unwrap_or_else(|error| fail(format_args!("{error}"))));
        pass_time();
        link.poll(now(), context);
        link.driver_mut().put(&reply(next));
        let taken = instructions(|| link.receive(context).is_some());
        if RESOLVER.lookup(ip(next)) != Some(mac(next)) {
            fail(format_args!("{next} is not resolved"));
        }
        if next == LAST {
            row("ARP frame received/the answer to a question", WHO, || taken);
        }
        next += 1;
    }
    held.map(|hold| hold.unwrap_or_else(|| fail(format_args!("each has one"))))
}

fn lookups() {
    row("lookup/hit, 16 neighbours", WHO, || {
        instructions(|| RESOLVER.lookup(ip(LAST)))
    });
    row("lookup/miss, 16 neighbours", WHO, || {
        instructions(|| RESOLVER.lookup(ip(STRANGER)))
    });
}

fn frames(link: &mut Wire, context: &mut Context<'_>) {
    for (case, frame, answers) in [
        (
            "ARP frame received/a question for us, answered",
            request(STRANGER, 1),
            1,
        ),
        (
            "ARP frame received/a question for another",
            request(STRANGER, STRANGER + 1),
            0,
        ),
    ] {
        row(case, WHO, || {
            pass_time();
            link.poll(now(), context);
            link.driver_mut().put(&frame);
            link.driver_mut().sent();
            let taken = instructions(|| link.receive(context).is_some());
            expect(link, answers);
            taken
        });
    }
}

fn packets(link: &mut Wire, context: &mut Context<'_>) {
    for (case, len) in [
        ("packet sent/64 B, the link", 64),
        ("packet sent/1500 B, the link", 1500),
    ] {
        let header = header(1, LAST, len);
        row(case, WHO, || {
            link.driver_mut().sent();
            let taken = instructions(|| {
                if let Some(room) = link.transmit(context) {
                    room.consume(len, |packet| {
                        packet[..IPV4_HEADER_LEN].copy_from_slice(&header)
                    });
                }
            });
            expect(link, 1);
            taken
        });
    }
    for (case, len) in [
        ("packet received/64 B, the link", 64),
        ("packet received/1500 B, the link", 1500),
    ] {
        let mut frame = [0; 1514];
        frame[..6].copy_from_slice(&mac(1).octets());
        frame[6..12].copy_from_slice(&mac(LAST).octets());
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14..14 + IPV4_HEADER_LEN].copy_from_slice(&header(LAST, 1, len));
        row(case, WHO, || {
            link.driver_mut().put(&frame[..14 + len]);
            let mut packet = None;
            let taken = instructions(|| {
                packet = link
                    .receive(context)
                    .map(|(token, _)| token.consume(|bytes| bytes.len()));
            });
            if packet != Some(len) {
                fail(format_args!(
                    "{packet:?} instead of {len} bytes were received"
                ));
            }
            taken
        });
    }
}

fn stack(link: Wire, context: &mut Context<'_>) {
    static SOCKETS: ConstStaticCell<Sockets> = ConstStaticCell::new(Pools::new());
    let net = Net::new(link, SOCKETS.take(), Config::new(1));
    let peer = SocketAddr::from((ip(LAST), 9));
    let connected = at_once(net.udp().connect(peer));
    let (_, mut socket) = connected.unwrap_or_else(|error| fail(format_args!("{error}")));
    net.poll(now(), context);
    row("poll/nothing to do, the whole stack", WHO, || {
        instructions(|| net.poll(now(), context))
    });
    for (case, len) in [
        ("packet sent/64 B of UDP, the whole stack", 64 - 28),
        ("packet sent/1500 B of UDP, the whole stack", 1500 - 28),
    ] {
        row(case, WHO, || {
            net.with_link(|link| link.driver_mut().sent());
            let taken = instructions(|| {
                let sent = at_once(socket.send(&[0; 1500][..len]));
                net.poll(now(), context);
                sent.is_ok()
            });
            net.with_link(|link| expect(link, 1));
            taken
        });
    }
    row(
        "ARP frame received/a question for us, answered, the whole stack",
        WHO,
        || {
            pass_time();
            net.poll(now(), context);
            net.with_link(|link| link.driver_mut().put(&request(STRANGER, 1)));
            net.with_link(|link| link.driver_mut().sent());
            let taken = instructions(|| net.poll(now(), context));
            net.with_link(|link| expect(link, 1));
            taken
        },
    );
}

fn expect(link: &mut Wire, frames: u32) {
    let sent = link.driver_mut().sent();
    if sent != frames {
        fail(format_args!("{sent} frames were sent, not {frames}"));
    }
}

/// What this comes to without waiting.
fn at_once<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => fail(format_args!("it waits")),
    }
}
