//! Several rings of one interface, and one cache for all of them.

use std::task::{Context, Waker};

use embassy_net_driver::Driver;
use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::wire::{ArpPacket, EthernetFrame, HardwareTypes};
use whohas::{Hold, Policy};
use whohas_linux::{Protocols, RingOptions};

use crate::support::cable::{THEIR_IP, THEIR_MAC, THEM, US, drain, lay, listen, mac};
use crate::support::station::Station;
use crate::wire_test;

wire_test! {
    fn the_answer_lands_on_one_queue_all_know_it_and_only_one_has_asked() {
        lay();
        let them = listen(THEM, Protocols::Arp);
        let resolver = SharedResolver::new(Policy::STRICT, Shape::default());
        let readers = [(); 4].map(|()| resolver.reader().expect("a queue"));
        let mut stations = readers.each_ref().map(|reader| {
            let ring = RingOptions::new().fanout(3).open(US).unwrap_or_else(|error| panic!("{error}"));
            let waiter = ring.waiter();
            Station::sharing(ring, waiter, reader)
        });
        let holds = readers.each_ref().map(|reader| reader.hold(THEIR_IP).expect("room"));
        let mut context = Context::from_waker(Waker::noop());
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while holds.iter().any(|hold| hold.mac().is_none()) {
            assert!(std::time::Instant::now() < patience, "no answer");
            for station in &mut stations {
                station.poll(&mut context);
            }
        }
        assert!(holds.iter().all(|hold| hold.mac() == Some(mac(THEIR_MAC))));

        for station in &mut stations {
            let _ = station.driver.link_state(&mut context);
        }
        let frames = drain(&them);
        let requests = frames.iter().filter(|frame| {
            let frame = EthernetFrame::parse(frame).expect("we send whole frames");
            let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet);
            packet.expect("we send right packets").target_ip == THEIR_IP
        });
        assert_eq!(requests.count(), 1);
        let received = stations.each_mut().map(|station| station.driver.counters().received);
        assert_eq!(received.iter().filter(|&&received| received > 0).count(), 1, "{received:?}");
    }
}
