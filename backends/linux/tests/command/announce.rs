use std::thread;
use std::time::Duration;

use crate::lab::{OUR_MAC, Peer, THEIR_MAC, capture, frames_in, ran};
use crate::support::run;
use crate::wire_test;

wire_test! {
    fn the_peer_learns_where_a_known_address_is_now() {
        let peer = Peer::new();
        // A stale entry: the address was elsewhere before. Announcements within the kernel's lock
        // time of one second after it would not be believed.
        let before = "02:00:00:00:00:99";
        peer.ip(&["neigh", "add", "10.0.0.50", "lladdr", before, "dev", "them", "nud", "stale"]);
        thread::sleep(Duration::from_millis(1_100));
        let capture = capture("announce");
        run("ip", &["addr", "add", "10.0.0.50/32", "dev", "us"]);
        let ran = ran(&[
            "announce", "-c", "3", "--interval", "20ms", "--pcap", &capture, "10.0.0.50",
        ]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("10.0.0.50 announced 3 times\n", ""));
        assert_eq!(frames_in(&capture).len(), 3);
        let known = peer.command("ip").args(["neigh", "show", "10.0.0.50"]).output().expect("ip");
        let known = String::from_utf8_lossy(&known.stdout).into_owned();
        assert!(known.contains(OUR_MAC), "{known}");
    }
}

wire_test! {
    fn whoever_has_the_address_too_is_told() {
        let peer = Peer::new();
        // Anything that the owner sends from the address in the meantime contradicts.
        let mut owner = peer.command("arping");
        owner.args(["-q", "-b", "-A", "-c", "20", "-I", "them", "10.0.0.2"]);
        let mut owner = owner.spawn().expect("arping is in iputils-arping");
        let ran = ran(&["announce", "--json", "-c", "10", "--interval", "1s", "10.0.0.2"]);
        owner.kill().expect("it still runs");
        owner.wait().expect("it ends");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let line = &ran.json()[0];
        assert_eq!((&line["result"], &line["mac"]), (&"in_use".into(), &THEIR_MAC.into()));
        assert!(ran.err.contains("us does not have 10.0.0.2"), "{ran:?}");
    }
}
