//! What would leave the TCP engine with something to say and no timer, and that it is said all the
//! same. The peer is played by hand, so that it says exactly what it takes.

use embedded_io_async::Write;
use whohas::net::{Connection, Listener, TcpError};

use super::*;
use crate::hostile::{ACK, Attack, SYN, Segment};

const OPEN: u16 = 80;
const FIN: u8 = 0x01;
/// How long nothing is acknowledged before the engine is prompted.
const PATIENCE: Duration = secs(3);
const WINDOW: u16 = 4096;

/// What we sent: when, from which byte of ours on, how many, and the flags.
type Sent = (Instant, u32, usize, u8);

/// A peer that is connected to us, and says what the test wants.
struct Peer {
    attack: Attack,
    /// The number of our first byte.
    first: u32,
}

impl Peer {
    fn connect() -> (Self, Listener<'static, 'static, Wire>, Accepted) {
        let attack = Attack::new();
        let mut listener = attack.pair.us.listen(port(OPEN), 1).unwrap();
        let mut peer = Self { attack, first: 0 };
        peer.say(SYN, 0, 0, WINDOW);
        peer.first = peer.attack.listen().expect("an answer") + 1;
        peer.acknowledge(0, WINDOW);
        let (connection, _) = peer.attack.pair.world.block_on(listener.accept());
        (peer, listener, connection)
    }

    fn say(&self, flags: u8, sequence: u32, ours: u32, window: u16) {
        self.attack.segment(&Segment {
            to: OPEN,
            sequence,
            acknowledged: self.first.wrapping_add(ours),
            flags,
            window,
            options: &[],
        });
    }

    /// Has got so many bytes, and has room for so many.
    fn acknowledge(&self, ours: u32, window: u16) {
        self.say(ACK, 1, ours, window);
    }

    fn now(&self) -> Instant {
        self.attack.pair.now()
    }

    fn sleep(&self, period: Duration) {
        self.attack.pair.sleep(period);
    }

    fn prompted(&self) -> u32 {
        self.attack.pair.us.stats().tcp.prompted
    }

    /// What we said to the peer from then on.
    fn heard_since(&self, since: Instant) -> Vec<Sent> {
        let lan = self.attack.pair.world.lan.lan();
        let from = driver(self.attack.pair.us).port();
        let ours = lan.log().frames().filter(|frame| frame.from == from);
        let segments = ours.filter(|frame| frame.bytes[12..14] == [8, 0]);
        segments
            .filter(|frame| frame.at >= since)
            .map(|frame| {
                let packet = &frame.bytes[14..];
                let number = |at: usize| packet[at..at + 4].try_into().unwrap();
                let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
                let header = 20 + usize::from(packet[32] >> 4) * 4;
                let sequence = u32::from_be_bytes(number(24)).wrapping_sub(self.first);
                (frame.at, sequence, total - header, packet[33] & (FIN | SYN))
            })
            .collect()
    }
}

type Accepted = Connection<'static, 'static, Wire>;

fn write(peer: &Peer, connection: &mut Accepted, len: usize) {
    let world = &peer.attack.pair.world;
    let written = world.block_on(connection.write(&vec![7; len]));
    assert_eq!(written, Ok(len));
    world.settle();
}

#[test]
fn data_around_which_the_window_closed_and_opened_is_sent_again() {
    let (peer, _listener, mut connection) = Peer::connect();
    write(&peer, &mut connection, 500);
    peer.sleep(millis(1));
    // The probe takes the timer, and the open window stops the probe.
    peer.acknowledge(300, 0);
    peer.acknowledge(300, WINDOW);
    let heard = peer.now();
    // Nagle's algorithm waits for what is on its way.
    write(&peer, &mut connection, 100);
    peer.sleep(secs(10));
    let sent = peer.heard_since(heard);
    assert_eq!(sent[0], (heard + PATIENCE, 300, 300, 0), "{sent:?}");
    // From then on the engine has its timer.
    let again: Vec<_> = sent.iter().map(|&(at, ..)| at - heard).collect();
    assert!(again.contains(&secs(4)), "{again:?}");
    peer.acknowledge(600, WINDOW);
    peer.attack.pair.world.block_on(connection.flush()).unwrap();
    connection.abort();
}

#[test]
fn no_keep_alive_takes_the_place_of_data_on_its_way() {
    let (peer, _listener, mut connection) = Peer::connect();
    connection.set_keep_alive(Some(secs(2)));
    write(&peer, &mut connection, 500);
    peer.sleep(millis(1));
    peer.acknowledge(300, 0);
    peer.acknowledge(300, WINDOW);
    let heard = peer.now();
    peer.sleep(secs(10));
    let sent = peer.heard_since(heard);
    assert_eq!(sent[0], (heard + secs(1), 300, 200, 0));
    assert!(sent.iter().all(|&(_, _, len, _)| len == 200), "{sent:?}");
    connection.abort();
}

#[test]
fn a_retransmission_without_a_window_ends_in_a_probe() {
    let (peer, _listener, mut connection) = Peer::connect();
    let began = peer.now();
    write(&peer, &mut connection, 500);
    peer.acknowledge(0, 0);
    peer.sleep(secs(4));
    assert_eq!(peer.prompted(), 1);
    // The window is asked after as late as the next retransmission would be.
    peer.sleep(secs(2));
    let sent = peer.heard_since(began + millis(1));
    assert_eq!(sent, [(began + PATIENCE + secs(2), 0, 1, 0)]);
    let opened = peer.now();
    peer.acknowledge(1, WINDOW);
    assert_eq!(peer.heard_since(opened), [(opened, 1, 499, 0)]);
    peer.acknowledge(500, WINDOW);
    peer.attack.pair.world.block_on(connection.flush()).unwrap();
    assert_eq!(peer.prompted(), 1);
    connection.abort();
}

#[test]
fn a_fin_that_duplicates_took_the_timer_from_is_sent_again_and_nothing_in_its_place() {
    let (peer, listener, mut connection) = Peer::connect();
    let began = peer.now();
    connection.shut_down().unwrap();
    peer.attack.pair.world.settle();
    for _ in 0..3 {
        peer.acknowledge(0, WINDOW);
    }
    peer.sleep(secs(3));
    let sent = peer.heard_since(began);
    let fin = |at| (at, 0, 0, FIN);
    assert_eq!(sent, [fin(began), fin(began + PATIENCE)]);
    peer.acknowledge(1, WINDOW);
    peer.say(ACK | FIN, 1, 1, WINDOW);
    peer.attack.pair.world.block_on(connection.close()).unwrap();
    drop(listener);
    peer.attack.finish();
}

#[test]
fn a_peer_that_has_said_its_end_opens_its_window_for_ours() {
    let (peer, listener, mut connection) = Peer::connect();
    write(&peer, &mut connection, 300);
    write(&peer, &mut connection, 500);
    peer.acknowledge(300, 0);
    peer.say(ACK | FIN, 1, 300, 0);
    drop(connection);
    peer.sleep(millis(20));
    let opened = peer.now();
    // In LAST-ACK the engine would not hear of it.
    peer.say(ACK, 2, 300, WINDOW);
    let sent = peer.heard_since(opened);
    assert_eq!(sent, [(opened, 300, 500, 0)]);
    peer.say(ACK, 2, 800, WINDOW);
    assert_eq!(peer.heard_since(opened)[1..], [(opened, 800, 0, FIN)]);
    peer.say(ACK, 2, 801, WINDOW);
    assert_eq!(peer.prompted(), 0);
    drop(listener);
    peer.attack.finish();
}

#[test]
fn after_the_end_was_said_nothing_more_is_taken_although_it_has_yet_to_leave() {
    let (peer, _listener, mut connection) = Peer::connect();
    let world = &peer.attack.pair.world;
    write(&peer, &mut connection, 300);
    peer.say(ACK | FIN, 1, 0, WINDOW);
    connection.shut_down().unwrap();
    let refused = world.block_on(connection.write(b"more"));
    assert_eq!(refused, Err(TcpError::Closed));
    let mut closed = std::pin::pin!(connection.close());
    let until_now = world::until(world, peer.now() + millis(500), closed.as_mut());
    assert!(world.block_on(until_now).is_none());
    peer.say(ACK, 2, 300, WINDOW);
    let until_now = world::until(world, peer.now() + millis(500), closed.as_mut());
    assert!(world.block_on(until_now).is_none(), "the end is on its way");
    peer.say(ACK, 2, 301, WINDOW);
    world.block_on(closed).unwrap();
}

#[test]
fn a_peer_that_has_no_room_for_long_is_asked_and_the_rest_arrives() {
    let (peer, _listener, mut connection) = Peer::connect();
    write(&peer, &mut connection, 300);
    peer.acknowledge(300, 0);
    write(&peer, &mut connection, 500);
    let began = peer.now();
    let mut asked = 0;
    while peer.now() < began + secs(150) {
        peer.sleep(millis(500));
        // It is still there.
        peer.attack.listen();
        let sent = peer.heard_since(began).len();
        if sent > asked {
            asked = sent;
            peer.acknowledge(300, 0);
        }
    }
    assert!((5..30).contains(&asked), "{asked} probes in 150 s");
    peer.acknowledge(300, WINDOW);
    let sent = peer.heard_since(peer.now());
    assert!(matches!(sent[..], [(_, 300, 500, 0)]), "{sent:?}");
    connection.abort();
}

#[test]
fn a_driver_without_room_does_not_keep_the_stack_busy() {
    let (peer, _listener, mut connection) = Peer::connect();
    write(&peer, &mut connection, 500);
    let driver = driver(peer.attack.pair.us);
    driver.set_room(Some(0));
    // Long after a prompt is due, which needs room. A stack that waits for nothing never comes back.
    peer.sleep(secs(30));
    let stats = peer.attack.pair.us.stats();
    assert_eq!(stats.tcp.prompted, 0);
    let tries = stats.packets.postponed;
    assert!((1..=300).contains(&tries), "{tries} in 30 s");
    let opened = peer.now();
    driver.set_room(None);
    peer.sleep(millis(100));
    let sent = peer.heard_since(opened);
    assert!(!sent.is_empty());
    let again = (opened, 0, 500, 0);
    assert!(sent.iter().all(|sent| *sent == again), "{sent:?}");
    peer.acknowledge(500, WINDOW);
    peer.attack.pair.world.block_on(connection.flush()).unwrap();
    connection.abort();
}
