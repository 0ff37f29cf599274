//! Four queues of one network card, as threads, share one resolver on a simulated LAN.
//!
//! `cargo run --release --example queues --features std,sim`

use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use whohas::resolver::shared::{Reader, Shape, SharedResolver};
use whohas::sim::{Host, Lan, PortId};
use whohas::{Hold, Instant, Policy, Prefix, UnicastMac};

const QUEUES: usize = 4;
const HOSTS: u8 = 100;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let us = mac(1)?;
    let mut lan = Lan::new(42);
    let port = lan.add_port(us);
    for number in 2..2 + HOSTS {
        lan.add_host(Host::new(ip(number), mac(number)?));
    }

    let resolver = SharedResolver::new(Policy::STRICT, Shape::default());
    resolver.set_mac(Instant::ZERO, us);
    resolver.set_addresses(Instant::ZERO, &[Prefix::new(ip(1), 24)?])?;

    // The card: one cable, and whichever queue comes round takes the next frame.
    let card = Mutex::new(lan);
    thread::scope(|scope| {
        for _ in 0..QUEUES {
            let (reader, card) = (resolver.reader(), &card);
            scope.spawn(move || run(&reader.expect("there are places for 64 queues"), card, port));
        }
    });

    println!("{resolver}\n{}", resolver.counters());
    Ok(())
}

/// A queue's loop: it wants every host, and is done when it knows them all.
fn run(queue: &Reader, card: &Mutex<Lan>, port: PortId) {
    let hosts = (2..2 + HOSTS).map(ip);
    let holds: Vec<_> = hosts.filter_map(|host| queue.hold(host).ok()).collect();
    let mut frame = [0; 60];
    while holds.iter().any(|hold| hold.mac().is_none()) {
        let mut lan = card.lock().expect("no queue panics");
        let now = lan.now();
        if let Some(received) = lan.receive(port) {
            // An outbox has room for 256 frames; there are no more on their way.
            queue.receive(now, &received).expect("room");
        }
        queue.handle_timeout(now);
        while queue.poll_transmit(now, &mut frame) {
            lan.send(port, &frame);
        }
        lan.advance_to(now + Duration::from_micros(10));
    }
    let moved = std::iter::from_fn(|| queue.poll_change()).count();
    println!(
        "queue {} knows {} hosts, {moved} changes",
        queue.queue(),
        holds.len()
    );
}

fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

fn mac(number: u8) -> Result<UnicastMac, whohas::wire::NotUnicast> {
    UnicastMac::new([2, 0, 0, 0, 0, number])
}
