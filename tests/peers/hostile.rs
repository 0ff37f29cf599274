//! ARP that broke others, put on the wire from the other end (V1 to V6 of the list of hostile input):
//! nothing panics, no reply gives anything away, and everything is counted.

use std::time::Duration;

use embedded_nal_async::{ConnectedUdp, UdpStack};

use whohas::Prefix;
use whohas::cache::{Counters, DropReason};
use whohas::conflict::{Defence, Timing};
use whohas::link::{LinkCounters, LinkEvent};
use whohas::wire::{ArpPacket, EtherType, EthernetFrame, HardwareTypes, MacAddr};
use whohas_linux::{Protocols, RawSocket};

use crate::cold::echoed;
use crate::corpus::{self, Exhibit};
use crate::kernel;
use crate::support::cable::{OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, drain, listen, mac};
use crate::support::run;
use crate::us::{Sniffer, Us, play};
use crate::wire_test;

/// What no reply may contain.
pub const CANARY: u8 = 0xca;

/// The exhibits, as text: whoever runs this may not be allowed to read our folders.
const CORPUS: [(&str, &str); 6] = [
    ("v1", include_str!("../regress/cve/v1-runts.txt")),
    ("v2", include_str!("../regress/cve/v2-leaking-replies.txt")),
    (
        "v3",
        include_str!("../regress/cve/v3-unasked-configuration.txt"),
    ),
    ("v4", include_str!("../regress/cve/v4-floods.txt")),
    ("v5", include_str!("../regress/cve/v5-short-buffers.txt")),
    (
        "v6",
        include_str!("../regress/cve/v6-ethernet-mismatch.txt"),
    ),
];

/// The other end, without a kernel that joins in.
pub struct Attacker {
    wire: RawSocket,
}

impl Attacker {
    pub fn at_the_other_end() -> Self {
        // It knows us for good, and asks no questions in the middle of ours.
        #[rustfmt::skip]
        run("ip", &["neigh", "replace", "10.0.0.1", "lladdr", OUR_MAC, "nud", "permanent", "dev", THEM]);
        Self {
            wire: listen(THEM, Protocols::Arp),
        }
    }

    pub fn send(&self, frame: &[u8]) {
        self.wire.send(frame).expect("sent");
    }

    /// Sends a probe and waits for the answer: all that was sent before it has been looked at then.
    /// What we have sent meanwhile.
    pub async fn look_closely(&self) -> Vec<Vec<u8>> {
        let prober = mac("02:00:00:00:00:33");
        self.send(&whole(&ArpPacket::probe(prober, OUR_IP)));
        let mut answers = Vec::new();
        loop {
            answers.extend(drain(&self.wire));
            if answers.iter().any(|frame| frame[..6] == prober.octets()) {
                return answers;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A broadcast frame of the least length, with a canary where nothing is meant.
fn whole(packet: &ArpPacket) -> Vec<u8> {
    let mut frame = [CANARY; 60];
    let mut emitted = [0; 64];
    let written = packet.emit_frame(MacAddr::BROADCAST, None, &mut emitted);
    assert!(written.is_ok());
    frame[..42].copy_from_slice(&emitted[..42]);
    frame.to_vec()
}

pub fn counters(us: Us) -> (Counters, LinkCounters) {
    let link = us.net.with_link(|link| *link.counters());
    assert_eq!(link.received, link.handed_up + link.arp + link.rx_dropped());
    (us.neighbours.counters(), link)
}

fn is_request(frame: &[u8]) -> bool {
    frame[20..22] == [0, 1]
}

/// Whole frames, padded with zeros, and nothing in them that was not computed.
fn assert_gives_nothing_away(answers: &[Vec<u8>], place: &str) {
    for answer in answers {
        assert_eq!(answer.len(), 60, "{place}");
        assert!(
            answer[42..].iter().all(|&byte| byte == 0),
            "{place}: {answer:02x?}"
        );
        let packet = EthernetFrame::parse(answer)
            .expect("we send whole frames")
            .payload;
        let packet = ArpPacket::parse(packet, HardwareTypes::Ethernet).expect("of ARP");
        let ours = (MacAddr::from(packet.sender_mac), packet.sender_ip);
        assert_eq!(ours, (mac(OUR_MAC).into(), OUR_IP), "{place}");
    }
}

wire_test! {
    /// V1 to V6: the corpus that the unit tests and the fuzzer have.
    fn every_frame_of_the_corpus_has_the_effect_on_the_wire_that_is_written_beside_it() {
        play(|us| async move {
            let attacker = Attacker::at_the_other_end();
            let discard = (THEIR_IP, 9).into();
            let (_local, mut held) = us.net.udp().connect(discard).await.expect("a socket");
            held.send(b"hold").await.expect("sent");
            while us.neighbours.lookup(THEIR_IP).is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // A contradiction is believed sooner than that by nobody.
            tokio::time::sleep(Duration::from_secs(2)).await;
            attacker.look_closely().await;

            let texts = CORPUS.iter().flat_map(|(name, text)| corpus::read_text(name, text));
            // Shorter ones the kernel does not send.
            let exhibits = texts.filter(|exhibit| exhibit.frame.len() >= 14);
            let mut shown = 0;
            for exhibit in exhibits {
                show(us, &attacker, &exhibit).await;
                shown += 1;
            }
            assert!(shown > 100, "only {shown}");
            println!("hostile: {shown} frames of the corpus; {:?}", us.neighbours.counters());
        });
    }
}

async fn show(us: Us, attacker: &Attacker, exhibit: &Exhibit) {
    let Exhibit {
        place,
        outcome,
        frame,
    } = exhibit;
    let (before, link_before) = counters(us);
    // The rest may stay in the kernel.
    let is_arp = frame[12..14] == EtherType::ARP.0.to_be_bytes();
    attacker.send(frame);
    let sent = attacker.look_closely().await;
    assert_gives_nothing_away(&sent, place);
    // Whoever contradicts what we know has it verified, and the kernel answers for itself.
    let verified = sent.iter().filter(|frame| is_request(frame)).count() as u64;
    while counters(us).0.received < before.received + u64::from(is_arp) + 1 + verified {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (after, link_after) = counters(us);

    // Without the closer look.
    let received = after.received - before.received - verified - 1;
    let accepted = after.accepted - before.accepted - verified - 1;
    let replies = after.replies - before.replies - 1;
    assert_eq!(replies, u64::from(outcome == "answered"), "{place}");
    assert_eq!(sent.len() as u64 - verified, 1 + replies, "{place}");
    if is_arp {
        assert_eq!(received, 1, "{place}");
        assert_eq!(link_after.arp - link_before.arp, 2 + verified, "{place}");
        let drops = DropReason::ALL
            .into_iter()
            .filter(|&reason| after.dropped.get(reason) > before.dropped.get(reason));
        let drops = drops.map(DropReason::name).collect::<Vec<_>>();
        match outcome.as_str() {
            "answered" | "accepted" => assert_eq!((accepted, drops.len()), (1, 0), "{place}"),
            reason => assert_eq!((accepted, &drops[..]), (0, &[reason][..]), "{place}"),
        }
    }
    // Whatever it was: the same neighbour, no other, and the address is still ours.
    assert_eq!(
        us.neighbours.lookup(THEIR_IP),
        Some(mac(THEIR_MAC)),
        "{place}"
    );
    assert_eq!(us.holds(), 1, "{place}");
    assert_eq!(us.neighbours.with_cache(|cache| cache.len()), 1, "{place}");
}

wire_test! {
    /// V4: random stations, as fast as the kernel sends.
    fn a_flood_of_random_questions_costs_no_slot_and_disturbs_nobody() {
        play(|us| async move {
            const FLOOD: u32 = 100_000;
            let attacker = Attacker::at_the_other_end();
            let mut sniffer = Sniffer::start();
            let (port, kernel) = kernel::serve(1, kernel::echo);
            let mut conn = us.dial(port).await.expect("connected");
            for number in 0..FLOOD {
                let random = number.wrapping_mul(0x9e37_79b9);
                let [a, b, c, d] = random.to_be_bytes();
                let stranger = mac(&format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:01"));
                let request = ArpPacket::request(stranger, [10, 0, 0, 3 + d % 200].into(), OUR_IP);
                attacker.send(&whole(&request));
                if number % 1_000 == 0 {
                    echoed(&mut conn, &number.to_le_bytes()).await;
                }
            }
            let (cache, link) = counters(us);
            assert!(cache.received > 1_000, "{cache:?}");
            assert_eq!(cache.received, cache.accepted + cache.dropped.total());
            assert_eq!(us.neighbours.with_cache(|cache| cache.len()), 1);
            assert_eq!((us.holds(), sniffer.requests(THEIR_IP)), (1, 1));
            let overrun = us.net.with_link(|link| link.driver_mut().counters().overrun);
            println!(
                "flood: of {FLOOD}, {} seen, {overrun} lost; {} replies",
                link.arp, cache.replies,
            );
            drop(conn);
            kernel::ended(kernel).await;
        });
    }
}

wire_test! {
    /// V6: whoever speaks for another station takes no address away.
    fn an_address_is_kept_against_senders_whose_ethernet_address_is_another() {
        play(|us| async move {
            let attacker = Attacker::at_the_other_end();
            let claimed = Prefix::new([10, 0, 0, 9].into(), 24).expect("a prefix");
            let defended = (Timing::WITHOUT_PROBES, Defence::OncePerInterval);
            let claim = us.net.with_link(|link| link.claim(claimed, defended.0, defended.1));
            claim.expect("there is room");
            attacker.look_closely().await;
            let (before, _) = counters(us);
            for _ in 0..20 {
                let thief = ArpPacket::announcement(mac("02:00:00:00:00:66"), claimed.ip());
                let mut frame = whole(&thief);
                // Not who it says.
                frame[11] ^= 1;
                attacker.send(&frame);
            }
            attacker.look_closely().await;
            let (after, _) = counters(us);
            let mismatches = |counters: &Counters| counters.dropped.get(DropReason::EthernetMismatch);
            assert_eq!(mismatches(&after) - mismatches(&before), 20);
            let events = us.net.with_link(|link| {
                std::iter::from_fn(|| link.poll_event()).collect::<Vec<_>>()
            });
            for event in events {
                let LinkEvent::Address { event, .. } = event else { continue };
                let lost = matches!(event, whohas::conflict::Event::Lost { .. });
                assert!(!lost, "{event:?}");
            }
            let own = us.neighbours.with_cache(|cache| cache.addresses().collect::<Vec<_>>());
            assert!(own.contains(&claimed), "{own:?}");
        });
    }
}
