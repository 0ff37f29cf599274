use crate::lab::{Peer, THEIR_MAC, US, capture, ran};
use crate::support::run;
use crate::wire_test;

wire_test! {
    fn many_are_asked_for_at_once_and_one_that_is_dead_delays_nobody() {
        let peer = Peer::new();
        for last in 3..40 {
            peer.ip(&["addr", "add", &format!("10.0.0.{last}/16"), "dev", "them"]);
        }
        let dead = "10.0.9.9";
        let live: Vec<String> = (2..40).map(|last| format!("10.0.0.{last}")).collect();
        let mut arguments = vec!["resolve", "--json", dead];
        arguments.extend(live.iter().map(String::as_str));
        // Named twice, asked for once.
        arguments.push("10.0.0.2");
        let ran = ran(&arguments);
        assert_eq!(ran.code, Some(1), "one did not answer: {ran:?}");
        let lines = ran.json();
        assert_eq!(lines.len(), live.len() + 1);
        for line in &lines[..live.len()] {
            assert_eq!(line["type"], "resolve");
            assert_eq!(line["result"], "resolved");
            assert_eq!(line["mac"], THEIR_MAC);
            assert!(line["rtt_ms"].as_f64().is_some_and(|rtt| rtt >= 0.0), "{line}");
        }
        // The dead one's three requests are over only when all others have long answered.
        let last = &lines[live.len()];
        assert_eq!((&last["ip"], &last["result"]), (&dead.into(), &"no_answer".into()));
        assert!(last["mac"].is_null() && last["rtt_ms"].is_null());
    }
}

wire_test! {
    fn the_table_for_people_names_the_station_and_success_is_zero() {
        let _peer = Peer::new();
        let ran = ran(&["resolve", "10.0.0.2", "10.0.0.1"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let mut lines = ran.out.lines();
        assert_eq!(lines.next(), Some("10.0.0.1         this host, on us"));
        let line = lines.next().expect("another line");
        assert!(line.starts_with("10.0.0.2         02:00:00:00:00:02  "), "{line}");
        assert!(line.ends_with(" ms"), "{line}");
        assert!(!ran.out.contains('\x1b'), "no colours in a pipe");
        assert!(ran.err.starts_with("2 of 2 answered in "), "{ran:?}");
    }
}

wire_test! {
    /// netdiscover invents a sender, which finds nobody when somebody has that address.
    fn without_an_own_address_probes_find_the_peer_and_teach_it_nothing() {
        let peer = Peer::without_our_address();
        let capture = capture("sender-zero");
        let ran = ran(&[
            "resolve", "--json", "--timeout", "300ms", "--pcap", &capture, "10.0.0.2", "10.0.0.77",
        ]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let results: Vec<_> = ran.json().iter().map(|line| line["result"].clone()).collect();
        assert_eq!(results, ["resolved", "no_answer"]);
        let frames = crate::lab::frames_in(&capture);
        // Three questions for the dead and one for the live, which has answered.
        assert_eq!(frames.len(), 5, "{frames:02x?}");
        let ours = frames.iter().filter(|frame| frame[..6] == [0xff; 6]);
        assert!(ours.clone().all(|frame| frame[28..32] == [0; 4]), "the sender is zero");
        assert_eq!(ours.count(), 4);
        let known = peer.command("ip").args(["neigh", "show"]).output().expect("ip");
        assert_eq!(String::from_utf8_lossy(&known.stdout), "", "nothing was learnt");
    }
}

wire_test! {
    fn the_interface_is_the_one_whose_network_it_is_and_may_be_named_for_others() {
        let peer = Peer::new();
        run("ip", &["link", "add", "spare", "type", "veth", "peer", "name", "wire"]);
        for end in ["spare", "wire"] {
            run("ip", &["link", "set", end, "up"]);
        }
        let found = ran(&["resolve", "--json", "10.0.0.2"]);
        assert_eq!((found.code, &found.json()[0]["interface"]), (Some(0), &US.into()));

        peer.ip(&["addr", "add", "192.168.7.7/24", "dev", "them"]);
        let nowhere = ran(&["resolve", "192.168.7.7"]);
        assert_eq!(nowhere.code, Some(2));
        assert!(nowhere.err.contains("in no network of this host"), "{nowhere:?}");
        assert!(nowhere.err.contains("us (10.0.0.1/16)"), "{nowhere:?}");
        assert!(nowhere.err.contains("spare (no address)"), "{nowhere:?}");
        // The peer answers from any interface to whom it has a route to.
        let named = ran(&["resolve", "--json", "-i", US, "192.168.7.7", "10.0.0.2"]);
        assert_eq!(named.code, Some(0), "{named:?}");
    }
}

wire_test! {
    fn what_is_no_neighbour_is_refused_with_the_reason() {
        let _peer = Peer::new();
        for (address, reason) in [
            ("10.0.255.255", "everybody on the segment"),
            ("224.0.0.1", "a group"),
            ("10.0.0.0", "no host can have"),
        ] {
            let ran = ran(&["resolve", "-i", US, address]);
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.err.contains(reason), "{ran:?}");
        }
        run("ip", &["route", "add", "default", "via", "10.0.0.2"]);
        let ran = ran(&["resolve", "198.51.100.1"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("behind the gateway 10.0.0.2 on us"), "{ran:?}");
    }
}
