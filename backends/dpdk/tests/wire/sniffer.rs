//! What is on the wire, seen from the kernel's end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use whohas::wire::{ArpPacket, EthernetFrame, HardwareTypes, Operation};
use whohas_linux::{Protocols, RawSocket, wait_readable};

use crate::veth::{OUR_IP, THEM};

/// How often we may ask one neighbour.
const INTERVAL: Duration = Duration::from_secs(1);

/// Our ARP requests, by whom they ask for.
#[derive(Debug)]
pub struct Requests {
    pub by_target: BTreeMap<Ipv4Addr, u32>,
    pub listened: Duration,
}

impl Requests {
    pub fn total(&self) -> u32 {
        self.by_target.values().sum()
    }

    /// At most one for each neighbour and interval.
    #[track_caller]
    pub fn assert_few(&self) {
        let intervals = self.listened.as_micros() / INTERVAL.as_micros();
        let allowed = 1 + intervals as u32;
        for (target, &count) in &self.by_target {
            assert!(
                count <= allowed,
                "{target} was asked for {count} times in {:?}",
                self.listened
            );
        }
    }
}

/// Counts our requests as long as `meanwhile` goes on.
pub fn count_requests<M>(meanwhile: impl FnOnce() -> M) -> (Requests, M) {
    let socket = RawSocket::open(THEM, Protocols::Arp).unwrap_or_else(|error| panic!("{error}"));
    let begun = Instant::now();
    let over = AtomicBool::new(false);
    let (by_target, outcome) = thread::scope(|scope| {
        let sniffer = scope.spawn(|| {
            let mut by_target = BTreeMap::new();
            let mut buffer = [0; 2_048];
            // What came before it was over counts.
            while !over.load(Ordering::Acquire) || drain(&socket, &mut buffer, &mut by_target) {
                drain(&socket, &mut buffer, &mut by_target);
                wait_readable(&socket, Some(Duration::from_millis(10))).expect("poll works");
            }
            by_target
        });
        let outcome = {
            let _over = SetAtEnd(&over);
            meanwhile()
        };
        (sniffer.join().expect("it only counts"), outcome)
    });
    let requests = Requests {
        by_target,
        listened: begun.elapsed(),
    };
    (requests, outcome)
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Counts what is there; whether something was.
fn drain(socket: &RawSocket, buffer: &mut [u8], by_target: &mut BTreeMap<Ipv4Addr, u32>) -> bool {
    let mut any = false;
    while let Some(len) = socket.recv(buffer).expect("the link stays up") {
        any = true;
        if let Some(target) = asked_for(&buffer[..len]) {
            *by_target.entry(target).or_default() += 1;
        }
    }
    any
}

/// Whom one of our requests is about; announcements of ourselves are none.
fn asked_for(frame: &[u8]) -> Option<Ipv4Addr> {
    let frame = EthernetFrame::parse(frame).ok()?;
    let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()?;
    let ours = packet.operation == Operation::Request && packet.sender_ip == OUR_IP;
    (ours && !packet.is_gratuitous()).then_some(packet.target_ip)
}
