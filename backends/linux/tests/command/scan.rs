use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use whohas::UnicastMac;
use whohas::wire::{ArpPacket, EthernetFrame, HardwareTypes};
use whohas_linux::{Protocols, wait_readable};

use crate::lab::{OUR_MAC, Peer, Ran, THEIR_MAC, THEM, ran, whohas};
use crate::support::{cable, run};
use crate::wire_test;

wire_test! {
    fn of_a_hundred_in_a_24_none_is_missed() {
        let peer = Peer::new();
        let expected: BTreeSet<String> = (100..200).map(|last| format!("10.0.0.{last}")).collect();
        for ip in &expected {
            peer.ip(&["addr", "add", &format!("{ip}/16"), "dev", "them"]);
        }
        let ran = ran(&["scan", "--json", "10.0.0.0/24"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let lines = ran.json();
        let (summary, hosts) = lines.split_last().expect("a summary at least");
        let found: BTreeSet<String> = hosts
            .iter()
            .filter(|line| line["mac"] == THEIR_MAC && line["local"] == false)
            .map(|line| line["ip"].as_str().expect("an address").to_owned())
            .collect();
        let mut expected = expected;
        expected.insert("10.0.0.2".into());
        assert_eq!(found, expected);
        let own: Vec<_> = hosts.iter().filter(|line| line["local"] == true).collect();
        assert_eq!(own.len(), 1);
        assert_eq!((&own[0]["ip"], &own[0]["mac"]), (&"10.0.0.1".into(), &OUR_MAC.into()));
        assert_eq!(summary["type"], "summary");
        assert_eq!(summary["prefix"], "10.0.0.0/24");
        assert_eq!((&summary["addresses"], &summary["found"]), (&254.into(), &102.into()));
        assert_eq!(summary["duplicates"], 0);
        assert_eq!(summary["complete"], true);
    }
}

wire_test! {
    /// 131,000 requests in a second, and answers between them that must find room.
    fn of_250_in_a_16_none_is_missed_and_no_buffer_overflows() {
        let peer = Peer::new();
        for n in 1..=250 {
            peer.ip(&["addr", "add", &format!("10.0.{n}.{n}/16"), "dev", "them"]);
        }
        let ran = ran(&["scan", "--json", "10.0.0.0/16"]);
        let lines = ran.json();
        let summary = lines.last().expect("a summary at least");
        assert_eq!(summary["found"], 252, "{summary}");
        assert_eq!(lines.len(), 253);
    }
}

wire_test! {
    fn two_stations_with_one_address_are_both_shown() {
        let peer = Peer::new();
        // A second station in the peer's place: a bridge would do, a macvlan is one command.
        #[rustfmt::skip]
        peer.ip(&[
            "link", "add", "twin", "link", "them", "address", "02:00:00:00:00:03", "type", "macvlan",
            "mode", "bridge",
        ]);
        peer.ip(&["link", "set", "twin", "up"]);
        // Each interface answers for all addresses of its host.
        let ran = ran(&["scan", "10.0.0.0/29"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let lines: Vec<&str> = ran.out.lines().filter(|line| line.starts_with("10.0.0.2 ")).collect();
        assert_eq!(lines.len(), 2, "{ran:?}");
        assert!(lines[1].contains("duplicate: "), "{ran:?}");
        for mac in [THEIR_MAC, "02:00:00:00:00:03"] {
            assert!(lines[1].contains(mac), "{ran:?}");
        }
        assert!(ran.err.contains("2 of 6 addresses in use, 1 duplicate; "), "{ran:?}");
    }
}

wire_test! {
    /// netdiscover, asking from an address that somebody has, found nobody of 200.
    fn whoever_has_our_own_address_too_is_found() {
        let peer = Peer::new();
        peer.ip(&["addr", "add", "10.0.0.1/16", "dev", "them"]);
        let ran = ran(&["scan", "--json", "10.0.0.0/29"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let lines = ran.json();
        let of_ours: Vec<_> = lines.iter().filter(|line| line["ip"] == "10.0.0.1").collect();
        assert_eq!((&of_ours[0]["mac"], &of_ours[0]["local"]), (&OUR_MAC.into(), &true.into()));
        assert_eq!((&of_ours[1]["mac"], &of_ours[1]["duplicate"]), (&THEIR_MAC.into(), &true.into()));
        let summary = lines.last().expect("a summary");
        assert_eq!((&summary["found"], &summary["duplicates"]), (&2.into(), &1.into()));
    }
}

wire_test! {
    fn an_empty_network_is_a_no_and_a_summary() {
        let _peer = Peer::without_our_address();
        run("ip", &["addr", "add", "172.16.0.1/24", "dev", "us"]);
        let ran = ran(&["scan", "--timeout", "50ms", "172.16.0.64/28"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.starts_with("0 of 14 addresses in use; 28 requests in "), "{ran:?}");
    }
}

wire_test! {
    /// Every fourth host misses no question, every fourth the first, the next the first two, and the
    /// last the first three. Each repetition finds somebody, so there is another. The peer is a program
    /// on a machine that may be busy: hence the patience.
    fn who_misses_up_to_three_questions_is_found() {
        cable::lay();
        let hosts = cable::listen(THEM, Protocols::Arp);
        let mut scan = whohas(&["scan", "--json", "-i", "us", "--patience", "800ms", "10.0.0.128/25"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let mut heard = [0_u8; 256];
        let mut buffer = [0; 64];
        while scan.try_wait().expect("it can be asked").is_none() {
            wait_readable(&hosts, Some(Duration::from_millis(20))).expect("poll works");
            while let Some(len) = hosts.recv(&mut buffer).expect("the link stays up") {
                let frame = EthernetFrame::parse(&buffer[..len]).expect("a frame");
                let asked = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).expect("ARP");
                let host = asked.target_ip.octets()[3];
                let times = &mut heard[usize::from(host)];
                *times += 1;
                if *times > host % 4 {
                    let station = UnicastMac::new([2, 0, 0, 0, 1, host]).expect("unicast");
                    let answer = asked.answered_by(station);
                    let to = asked.sender_mac.get();
                    let len = answer.emit_frame(to, None, &mut buffer).expect("room");
                    hosts.send(&buffer[..len]).expect("sent");
                }
            }
        }
        let ran = Ran::from(scan.wait_with_output().expect("it has ended"));
        let lines = ran.json();
        let summary = lines.last().expect("a summary");
        assert_eq!((&summary["found"], &summary["addresses"]), (&126.into(), &126.into()));
        for line in &lines[..126] {
            let ip = line["ip"].as_str().expect("an address");
            let host: u8 = ip.rsplit('.').next().and_then(|last| last.parse().ok()).expect("a byte");
            assert_eq!(line["mac"], format!("02:00:00:00:01:{host:02x}"));
            assert!(heard[usize::from(host)] > host % 4);
        }
    }
}
