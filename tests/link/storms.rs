//! Whatever comes from the wire, whatever the stack sends and however the driver behaves: every frame
//! and every packet is in one place, and the link rests.

use super::support::*;
use whohas::link::{IpLink, Route, RxDrop, TxDrop};
use whohas::sim::{Host, Link, Rng};
use whohas::wire::{ArpPacket, EtherType};
use whohas::{Instant, MacAddr, Prefix, VlanId};

const SEEDS: u64 = 60;
const STEPS: u32 = 150;

struct Storm {
    world: World,
    random: Rng,
    sent_before: u64,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let world = World::new();
        {
            let mut lan = world.lan.lan();
            for n in 2..12 {
                let host = Host::new(ip(n), mac(n));
                let host = match n % 4 {
                    0 => host.dead(),
                    1 => host.answers_from_request(2),
                    2 => host.moves_silently(Instant::from_secs(3), mac(n + 100)),
                    _ => host,
                };
                lan.add_host(host);
            }
            let bad = Link {
                loss: 0.1,
                duplication: 0.1,
                corruption: 0.1,
                truncation: 0.1,
                ..Link::PERFECT
            };
            lan.set_downlink(world.driver.port(), bad);
        }
        Self {
            world,
            random: Rng::new(seed),
            sent_before: 0,
        }
    }

    fn pick(&mut self, most: u64) -> u64 {
        self.random.range(0..=most)
    }

    fn step(&mut self) {
        match self.pick(15) {
            0..=5 => self.send(),
            6..=9 => self.inject(),
            10 => {
                let room = self.pick(3);
                self.world
                    .driver
                    .set_room((room > 0).then_some(room as usize));
            }
            11 if self.pick(3) == 0 => self.world.driver.unplug(),
            11 | 12 => self.world.driver.plug_in(),
            13 => {
                let n = self.pick(3) as u8;
                self.world.driver.set_mac(mac(200 + n));
            }
            14 => self.set_addresses(),
            _ => {
                let pause = self.pick(2_000_000);
                let deadline = self.world.now() + core::time::Duration::from_micros(pause);
                self.world.run_until(deadline);
            }
        }
        self.world.settle();
    }

    fn send(&mut self) {
        let to = match self.pick(9) {
            0 => ip(255),
            1 => [192, 0, 2, 1].into(),
            2 => [224, 0, 0, 1].into(),
            n => ip(n as u8 + 1),
        };
        let len = self.pick(1_400) as usize;
        self.world.send(&packet(ip(US), to, &vec![7; len + 1]));
    }

    fn inject(&mut self) {
        let n = self.pick(20) as u8;
        let us = self
            .world
            .link
            .mac()
            .map_or(MacAddr::BROADCAST, whohas::UnicastMac::get);
        let to = if self.pick(1) == 0 {
            us
        } else {
            MacAddr::BROADCAST
        };
        let mut bytes = match self.pick(2) {
            0 => {
                let mut frame = [0; 60];
                let request = ArpPacket::request(mac(n), ip(n), ip(US));
                request
                    .emit_frame(to, None, &mut frame)
                    .expect("there is room");
                frame.to_vec()
            }
            1 => frame(
                to,
                mac(n).get(),
                None,
                EtherType::IPV4,
                &packet(ip(n), ip(US), &[1; 30]),
            ),
            _ => (0..self.pick(80))
                .map(|_| self.random.next_u64() as u8)
                .collect(),
        };
        if let Some(at) = bytes
            .len()
            .checked_sub(1)
            .map(|most| self.pick(most as u64) as usize)
            && self.pick(2) == 0
        {
            bytes[at] ^= 1 << self.pick(7);
        }
        self.world.inject(&bytes);
    }

    fn set_addresses(&mut self) {
        let vlan = VlanId::new(10).expect("a legal number");
        let tagged = Prefix::new([10, 1, 0, 1].into(), 24)
            .expect("24 bits")
            .on_vlan(vlan);
        let own: &[Prefix] = match self.pick(3) {
            0 => &[],
            1 => &[own(), tagged],
            _ => &[own()],
        };
        self.world
            .link
            .set_addresses(own)
            .expect("hosts' addresses");
        self.world
            .link
            .set_routes(&[Route::default_via(ip(3))])
            .expect("one route");
    }

    /// As `World::check_counts`, but for what the storm did to the frames that left.
    fn check(&mut self) {
        let counters = self.world.link.counters();
        assert_eq!(
            counters.received,
            counters.handed_up + counters.arp + counters.rx_dropped()
        );
        let waiting = counters.handed_up - self.world.got.len() as u64;
        assert!(waiting <= 1, "one packet at most waits for room");
        assert_eq!(
            counters.accepted,
            counters.sent + counters.tx_dropped() + self.world.link.parked() as u64
        );
        let sent = counters.sent + counters.arp_sent;
        let uplink = self.world.lan.lan().uplink_stats(self.world.driver.port());
        assert_eq!(sent, uplink.sent, "the driver got what was counted");
        assert!(sent >= self.sent_before);
        self.sent_before = sent;
    }
}

#[test]
fn every_frame_and_every_packet_is_in_one_place_whatever_happens() {
    let mut met = [0; RxDrop::ALL.len()];
    let mut met_tx = [0; TxDrop::ALL.len()];
    for seed in 0..SEEDS {
        let mut storm = Storm::new(seed);
        for _ in 0..STEPS {
            storm.step();
            storm.check();
        }
        // In the end all is well: a live host is reached.
        let world = &mut storm.world;
        world
            .lan
            .lan()
            .set_downlink(world.driver.port(), Link::PERFECT);
        world.driver.set_room(None);
        world.driver.plug_in();
        world
            .link
            .set_addresses(&[own()])
            .expect("a host's address");
        let later = world.now() + core::time::Duration::from_secs(100);
        world.run_until(later);
        assert_eq!(world.link.parked(), 0, "seed {seed}");
        let hold = world
            .link
            .hold(ip(3))
            .expect("there is room")
            .expect("a neighbour");
        let later = world.now() + core::time::Duration::from_secs(10);
        world.run_until(later);
        assert_eq!(whohas::Hold::mac(&hold), Some(mac(3)), "seed {seed}");
        let counters = world.link.counters();
        for (met, reason) in met.iter_mut().zip(RxDrop::ALL) {
            *met += counters.rx(reason);
        }
        for (met, reason) in met_tx.iter_mut().zip(TxDrop::ALL) {
            *met += counters.tx(reason);
        }
    }
    // The storm was one.
    for reason in [
        RxDrop::EtherType,
        RxDrop::GroupFrame,
        RxDrop::Ipv4,
        RxDrop::NotForUs,
        RxDrop::Truncated,
    ] {
        assert!(met[reason as usize] > 0, "{reason:?}");
    }
    for reason in [
        TxDrop::Displaced,
        TxDrop::LinkDown,
        TxDrop::NoRoute,
        TxDrop::Replaced,
        TxDrop::Unreachable,
    ] {
        assert!(met_tx[reason as usize] > 0, "{reason:?}");
    }
}
