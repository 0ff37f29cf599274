//! V12 and V14: a server takes no memory for what it has done with, however long it serves.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::env;
use std::net::Ipv4Addr;

use whohas::dhcp::server::{Binding, Event, Growable, Plan, Policy, Server};
use whohas::wire::dhcp::{DhcpHeader, Message, MessageBuilder, MessageType, OptionCode};
use whohas::{Instant, UnicastMac};

use super::corpus::{OWN, hear, serve, subnet};
use crate::exhibits;

/// The system's allocator, and what this thread has of it.
struct Counting;

thread_local! {
    static LIVE: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

fn count(allocations: i64, bytes: usize) {
    // A thread that ends gives back the rest uncounted.
    let _ = LIVE.try_with(|live| {
        let (count, size) = live.get();
        live.set((count + allocations, size + allocations * bytes as i64));
    });
}

// SAFETY: every call goes to the system's allocator as it came, and what comes back is handed on.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size());
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-1, layout.size());
        // SAFETY: the caller keeps the same promises to us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Ten million with `WHOHAS_LONG=1`.
const CYCLES: u32 = 30_000;

fn message(kind: MessageType, number: u32, wish: Option<Ipv4Addr>) -> Vec<u8> {
    let [_, b, c, d] = number.to_be_bytes();
    let mac = UnicastMac::new([2, 0, 1, b, c, d]).expect("a station's");
    let header = DhcpHeader::request(number, mac);
    let mut buffer = [0; 400];
    let mut message = MessageBuilder::new(&mut buffer, &header, kind).expect("there is room");
    let mut option = |code, value: &[u8]| {
        message
            .option(OptionCode(code), value)
            .expect("there is room");
    };
    option(61, &[0, 1, b, c, d]);
    option(12, b"box");
    if let Some(wish) = wish {
        option(50, &wish.octets());
        option(54, &OWN.octets());
    }
    let len = message.finish();
    buffer[..len].to_vec()
}

#[test]
fn v12_v14_leases_declines_and_nonsense_leave_no_memory_behind() {
    let cycles = match env::var("WHOHAS_LONG") {
        Ok(value) if value == "1" => 10_000_000,
        _ => CYCLES,
    };
    let subnets = [subnet()];
    let plan = Plan::new(&subnets, &[]).expect("a plan");
    let nonsense: Vec<_> = exhibits::read().into_iter().map(|e| e.message).collect();
    // No more of them than there are addresses, so that strangers are forgotten for newcomers.
    let policy = Policy {
        probe: None,
        ..Policy::DEFAULT
    };
    let mut server = Server::new(policy, Growable::new(200).with_parking(8), 3);
    let mut now = Instant::from_secs(1_000_000_000);
    let mut after_a_while = None;
    let (mut leased, mut declined) = (0, 0);
    for cycle in 0..cycles {
        let mut say = |bytes: &[u8]| {
            let mut told = None;
            hear(&mut server, &plan, now, bytes);
            serve(&mut server, &plan, now, |reply| {
                let reply = Message::parse(reply).expect("a legal message");
                told = Some(reply.header().your_ip);
            });
            told
        };
        let offered = say(&message(MessageType::Discover, cycle, None));
        let acked = say(&message(MessageType::Request, cycle, offered));
        assert!(acked.is_some() && acked == offered, "{cycle}: {acked:?}");
        if cycle % 10 == 0 {
            say(&message(MessageType::Decline, cycle, offered));
        }
        say(&nonsense[cycle as usize % nonsense.len()]);
        while let Some(event) = server.poll_event() {
            match event {
                Event::Leased { .. } => leased += 1,
                Event::Declined { .. } => declined += 1,
                _others => {}
            }
        }
        now += std::time::Duration::from_secs(7);
        server.handle_timeout(now, &plan);
        if cycle == cycles / 3 {
            after_a_while = Some(live(&server));
        }
    }
    assert!(
        leased >= cycles && declined >= cycles / 20,
        "{leased} {declined}"
    );
    let (before, after) = (after_a_while.expect("it was counted"), live(&server));
    assert_eq!(before, after, "live allocations");
    assert!(LIVE.get().1 < 250_000, "{:?}", LIVE.get());
}

/// How many allocations there are beside the texts of those who are known.
fn live(server: &Server<Growable>) -> i64 {
    let has_text = |known: &Binding<'_>| known.client_id.is_some() || known.host_name.is_some();
    LIVE.get().0 - server.bindings().filter(has_text).count() as i64
}
