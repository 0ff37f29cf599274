//! Starting cold, beside the dead, and under questions: where stacks that limit ARP for a whole
//! interface make everybody wait for each other.

use std::cell::RefCell;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use embedded_io_async::{Read, Write};
use tokio::task::JoinSet;

use whohas::net::TcpError;
use whohas::wire::{ArpPacket, MacAddr};
use whohas_linux::Protocols;

use crate::kernel;
use crate::support::cable::{OUR_IP, THEIR_IP, THEM, listen, mac};
use crate::support::run;
use crate::us::{Conn, Sniffer, Us, play};
use crate::wire_test;

/// As many addresses of the kernel's.
const CROWD: u8 = 100;
/// Nobody has this one.
const DEAD: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 250);

fn one_of_the_crowd(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 100 + number)
}

/// Gives them all to the kernel. Returns a port that is open on each.
fn gather_crowd() -> u16 {
    for number in 0..CROWD {
        let address = format!("{}/24", one_of_the_crowd(number));
        run("ip", &["addr", "add", &address, "dev", THEM]);
    }
    let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = everywhere.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        let accepted = everywhere
            .incoming()
            .map(|stream| stream.expect("we connect"));
        accepted.take(CROWD.into()).collect::<Vec<_>>()
    });
    port
}

wire_test! {
    fn a_hundred_cold_neighbours_dialled_at_once_are_all_connected_with_one_question_each() {
        play(|us| async move {
            let port = gather_crowd();
            let mut sniffer = Sniffer::start();
            let mut dials = JoinSet::new();
            for number in 0..CROWD {
                dials.spawn_local(us.dial_at(one_of_the_crowd(number), port));
            }
            // Nobody hangs up before all are there.
            let connected = dials.join_all().await;
            for (number, dialled) in connected.iter().enumerate() {
                assert!(dialled.is_ok(), "{number}: {dialled:?}");
            }
            for number in 0..CROWD {
                let ip = one_of_the_crowd(number);
                assert_eq!(sniffer.requests(ip), 1, "{ip}");
                assert_eq!(us.neighbours.entry(ip).map(|entry| entry.holds), Some(1));
            }
        });
    }
}

wire_test! {
    fn a_dead_host_dialled_first_does_not_delay_a_live_one() {
        play(|us| async move {
            let (port, kernel) = kernel::serve(1, kernel::echo);
            let mut sniffer = Sniffer::start();
            let order = RefCell::new(Vec::new());
            let dead = async {
                assert_eq!(us.dial_at(DEAD, port).await.err(), Some(TcpError::Unreachable));
                order.borrow_mut().push("dead");
            };
            let live = async {
                let mut conn = us.dial(port).await.expect("connected");
                order.borrow_mut().push("live");
                echoed(&mut conn, b"alive").await;
                order.borrow_mut().push("used");
            };
            tokio::join!(dead, live);
            // The dead one is given up after three questions, a second apart.
            assert_eq!(order.into_inner(), ["live", "used", "dead"]);
            assert_eq!((sniffer.requests(DEAD), sniffer.requests(THEIR_IP)), (3, 1));
            kernel::ended(kernel).await;
        });
    }
}

/// Something is sent and comes back.
pub async fn echoed(conn: &mut Conn, word: &[u8]) {
    conn.write_all(word).await.expect("written");
    let mut echo = vec![0; word.len()];
    conn.read_exact(&mut echo).await.expect("the echo");
    assert_eq!(echo, word);
}

wire_test! {
    fn eight_strangers_who_ask_for_us_do_not_push_out_whom_we_talk_to() {
        play(|us| asked_by(us, 8));
    }
}

wire_test! {
    fn nor_do_a_thousand() {
        play(|us| asked_by(us, 1_000));
    }
}

/// As many strangers ask for us while we are connected; after each eight of them something is sent
/// and comes back.
async fn asked_by(us: Us, strangers: u32) {
    let (port, kernel) = kernel::serve(1, kernel::echo);
    let mut sniffer = Sniffer::start();
    let mut conn = us.dial(port).await.expect("connected");
    let wire = listen(THEM, Protocols::Arp);
    for stranger in 0..strangers {
        wire.send(&question_of(stranger)).expect("sent");
        if stranger % 8 == 7 {
            echoed(&mut conn, &stranger.to_le_bytes()).await;
        }
    }
    let counters = us.neighbours.counters();
    let answered = u64::from(strangers);
    assert!(
        counters.received > answered,
        "each was looked at: {counters:?}"
    );
    assert_eq!(
        sniffer.requests(THEIR_IP),
        1,
        "nobody had to be asked for again"
    );
    assert_eq!(us.holds(), 1);
    conn.close().await.expect("closed");
    kernel::ended(kernel).await;
}

/// A request for us from somebody we have never heard of.
fn question_of(stranger: u32) -> Vec<u8> {
    let [_, _, high, low] = stranger.to_be_bytes();
    let mac = mac(&format!("02:00:00:01:{high:02x}:{low:02x}"));
    let ip = Ipv4Addr::new(10, 0, 0, 3 + (stranger % 90) as u8);
    let mut frame = [0; 64];
    let request = ArpPacket::request(mac, ip, OUR_IP);
    let len = request.emit_frame(MacAddr::BROADCAST, None, &mut frame);
    frame[..len.expect("64 bytes are enough")].to_vec()
}
