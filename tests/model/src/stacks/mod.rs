//! Two stacks on a LAN, and somebody in between who drops, doubles, swaps, damages and forges their
//! frames as a script says. In virtual time: the same script is the same run.
//!
//! Whatever is done to the frames, nothing panics or runs for ever, every frame is counted in one
//! place, and in the end nobody is held any more. Unless frames were forged, what arrives is what was
//! sent; and when nothing worse than two lost frames has happened, all of it arrives.

mod between;
mod programs;
mod script;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use embassy_futures::join::join;
use embassy_futures::select::select;
use whohas::cache::Fixed;
use whohas::link::Link;
use whohas::net::{Config, Net, Pools};
use whohas::sim::{Lan, LanClock, SharedLan};
use whohas::time::Timer;
use whohas::{Instant, LocalResolver, Policy, Prefix, UnicastMac};

use between::Between;
use programs::Notes;
use script::{Harm, Script};

type Neighbours = LocalResolver<Fixed<4>>;
type Wire<'w> = Link<Between<'w>, &'w Neighbours, LanClock, 1500, 4, 4096>;
type Stack<'a, 'w> = Net<'a, Wire<'w>>;
type Sockets<'a, 'w> = Pools<'a, Wire<'w>, 3, 1024, 1024, 2, 1024>;

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

/// When whoever has not finished is told to stop.
const END: Instant = Instant::from_secs(150);
/// How long connections and holds may outlive their users.
const AFTERMATH: Duration = Duration::from_secs(120);
/// What two stacks say to each other in that time at the very most, however they are lied to.
const FRAMES: u64 = 20_000;
/// So many lost frames leave no excuse: there are three ARP requests.
const EXCUSED: u32 = 2;

/// What the two want from each other.
struct Plan {
    text: Vec<u8>,
    datagrams: Vec<Vec<u8>>,
    /// When we lose interest in the answer, if ever.
    patience: Option<Duration>,
}

impl Plan {
    fn read(script: &mut Script<'_>) -> Self {
        let len = usize::from(script.byte()) * 24;
        let number = script.byte() % 8;
        let patience = match script.byte() {
            byte @ 0..0x40 => Some(Duration::from_millis(u64::from(byte) * 20)),
            _ => None,
        };
        Self {
            text: (0..len).map(|n| (n * 31 + n / 251) as u8).collect(),
            // Each is told from the others by its length and its bytes.
            datagrams: (0..number)
                .map(|n| vec![n + 1; usize::from(n) * 40])
                .collect(),
            patience,
        }
    }
}

/// Runs the script, and panics where something is wrong.
pub(crate) fn play(bytes: &[u8]) {
    let _ = record(bytes, 0);
}

/// [`play`], on a LAN that logs so many frames.
fn record(bytes: &[u8], frames: usize) -> SharedLan {
    let mut script = Script::new(bytes);
    let plan = Plan::read(&mut script);
    let script = Rc::new(RefCell::new(script));
    let lan = SharedLan::new(Lan::with_log_bound(1, frames));
    let [ours, theirs] = [(); 2].map(|()| Neighbours::new(Policy::STRICT, Fixed::new()));
    let [mut near, mut far] = [Sockets::new(), Sockets::new()];
    let link = |number, ip, neighbours| plug(&lan, number, ip, neighbours, script.clone());
    let us = Net::new(link(1, US, &ours), &mut near, config(1));
    let peer = Net::new(link(2, PEER, &theirs), &mut far, config(2));

    let (clock, notes) = (lan.clock(), Notes::default());
    {
        let server = join(programs::echo(&peer, &notes), programs::mirror(&peer));
        let client = join(
            programs::talk(&us, &plan, &clock, &notes),
            programs::throw(&us, &plan, &notes),
        );
        let mut users = pin!(join(server, client));
        run(&lan, &us, &peer, END, users.as_mut());
    }
    run(
        &lan,
        &us,
        &peer,
        lan.now() + AFTERMATH,
        core::future::pending::<()>(),
    );

    let harm = script.borrow().harm;
    notes.check(&plan, harm);
    check(&lan, &us, &ours);
    check(&lan, &peer, &theirs);
    drop((us, peer));
    lan
}

fn config(seed: u64) -> Config {
    let mut config = Config::new(seed);
    config.silence = Duration::from_secs(60);
    // Two lost frames and an engine that has to be reminded, one after the other, take their time.
    config.linger = Duration::from_secs(60);
    config
}

fn plug<'w>(
    lan: &SharedLan,
    number: u8,
    ip: Ipv4Addr,
    neighbours: &'w Neighbours,
    script: Rc<RefCell<Script<'w>>>,
) -> Wire<'w> {
    let mac = UnicastMac::new([2, 0, 0, 0, 0, number]).expect("the group bit is clear");
    let driver = Between::new(lan.add_driver(mac), script);
    let mut link = Wire::new(driver, neighbours, lan.clock());
    let own = Prefix::new(ip, 24).expect("24 bits");
    link.set_addresses(&[own]).expect("a legal address");
    link
}

/// Runs both stacks and these users until then.
fn run(
    lan: &SharedLan,
    us: &Stack<'_, '_>,
    peer: &Stack<'_, '_>,
    until: Instant,
    users: impl Future,
) {
    let clock = lan.clock();
    let stacks = join(us.run(&clock), peer.run(&clock));
    let end = clock.wait_until(until);
    lan.run(select(join(stacks, users), end));
}

/// Everything is counted once, and nothing is left.
fn check(lan: &SharedLan, stack: &Stack<'_, '_>, neighbours: &Neighbours) {
    let (link, parked, port) =
        stack.with_link(|link| (*link.counters(), link.parked(), link.driver().port()));
    assert_eq!(
        link.received,
        link.handed_up + link.arp + link.rx_dropped(),
        "frames in: {link:?}"
    );
    assert_eq!(parked, 0, "packets that wait for nobody");
    assert_eq!(
        link.accepted,
        link.sent + link.tx_dropped(),
        "packets out: {link:?}"
    );
    let stats = stack.stats();
    assert_eq!(u64::from(stats.packets.received), link.handed_up);
    assert_eq!(u64::from(stats.packets.sent), link.accepted);
    let cache = neighbours.counters();
    assert_eq!(cache.received, link.arp);
    for host in 0..=255 {
        let entry = neighbours.entry(Ipv4Addr::new(10, 0, 0, host));
        assert_eq!(entry.map_or(0, |entry| entry.holds), 0, "{entry:?}");
    }
    let sent = lan.lan().uplink_stats(port).sent;
    assert!(sent < FRAMES, "{sent} frames");
}

const fn at(ip: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(ip, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Length, datagrams, patience; then one deed for each frame.
    const SCRIPTS: [&[u8]; 4] = [
        b"\x20\x03\xff",
        b"\xff\x07\xff\x08\x18\x28\xf9\x39\x4a\x06\x20\x8a\x06\xf9\xf9\x08",
        b"\xff\x07\x20\x10\x0d\x00\x2f\x11\x20\x0d\x00\x1d\x80\x0e\x03abc\x0f\x04ABCD",
        b"\x80\x02\xff\x20\x0b\x01\x02\x0c\x28\x30\x0b\x00\x10\x16\x06\x06\x06",
    ];

    #[test]
    fn the_same_script_is_the_same_run() {
        for script in SCRIPTS {
            let [one, two] = [(); 2].map(|()| record(script, 10_000));
            let (one, two) = (one.lan(), two.lan());
            assert!(one.log().frames().len() > 10);
            assert!(one.log().frames().eq(two.log().frames()), "{script:02x?}");
        }
    }

    #[test]
    fn the_whole_text_is_told_in_spite_of_all_that_is_excused() {
        let text = SCRIPTS[1];
        let lan = record(text, 10_000);
        let lan = lan.lan();
        let tcp = |bytes: &[u8]| bytes.get(12..14) == Some(&[8, 0]) && bytes.get(23) == Some(&6);
        let carried: usize = lan
            .log()
            .frames()
            .filter(|frame| tcp(&frame.bytes))
            .map(|frame| frame.bytes.len().saturating_sub(54))
            .sum();
        // There and back.
        assert!(carried >= 2 * 255 * 24, "{carried}");
    }
}
