use std::process::Stdio;

use crate::lab::{OUR_MAC, Peer, Ran, THEIR_MAC, THEM, capture, frames_in, program, ran, whohas};
use crate::wire_test;

wire_test! {
    fn an_address_in_use_is_one_as_for_arping() {
        let _peer = Peer::new();
        for extra in [&[][..], &["--quick"]] {
            let arguments = [&["probe", "--json", "10.0.0.2"], extra].concat();
            let ran = ran(&arguments);
            assert_eq!(ran.code, Some(1), "{ran:?}");
            let line = &ran.json()[0];
            assert_eq!(line["result"], "in_use");
            assert_eq!(line["mac"], THEIR_MAC);
            assert_eq!(line["evidence"], "answer");
            assert_eq!(line["probes"], 1);
        }
        let ran = ran(&["probe", "--quick", "10.0.0.2"]);
        assert_eq!(ran.out, "10.0.0.2 is in use: 02:00:00:00:00:02 answered\n");
    }
}

wire_test! {
    fn a_free_address_is_probed_and_not_taken() {
        let _peer = Peer::new();
        let capture = capture("probe-free");
        for extra in [&[][..], &["--quick"]] {
            let arguments = [&["probe", "--pcap", &capture, "10.0.0.77"], extra].concat();
            let ran = ran(&arguments);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert_eq!(ran.out, "10.0.0.77 is free: nobody answered 3 probes\n");
            let frames = frames_in(&capture);
            assert_eq!(frames.len(), 3, "three probes and no announcement");
            assert!(frames.iter().all(|frame| frame[28..32] == [0; 4]), "{frames:02x?}");
        }
    }
}

wire_test! {
    /// `arping -D` takes only answers for conflicts: two that probe at once both win.
    fn whoever_probes_for_it_at_the_same_time_is_seen() {
        let peer = Peer::new();
        let probe = whohas(&["probe", "--json", "10.0.0.77"]).stdout(Stdio::piped()).spawn();
        let probe = probe.expect("the command starts");
        let mut other = peer.command("arping");
        other.args(["-D", "-c", "3", "-w", "4", "-I", THEM, "10.0.0.77"]);
        let other = other.output().expect("arping is in iputils-arping");
        assert!(other.status.success(), "it believes that the address is free");
        let ran = Ran::from(probe.wait_with_output().expect("the command ends"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let line = &ran.json()[0];
        assert_eq!(line["result"], "in_use");
        assert_eq!(line["evidence"], "probe");
        assert_eq!(line["mac"], THEIR_MAC);
    }
}

wire_test! {
    fn of_two_that_probe_at_once_not_both_win() {
        let peer = Peer::new();
        let ours = whohas(&["probe", "-i", "us", "10.0.0.77"]).stdout(Stdio::piped()).spawn();
        let mut theirs = peer.command(&program());
        let theirs = theirs.args(["probe", "-i", THEM, "10.0.0.77"]).output();
        let theirs = Ran::from(theirs.expect("the command starts"));
        let ours = ours.expect("the command starts").wait_with_output();
        let ours = Ran::from(ours.expect("the command ends"));
        let wins = [&ours, &theirs].iter().filter(|ran| ran.code == Some(0)).count();
        assert!(wins <= 1, "{ours:?} {theirs:?}");
        let told = ours.out.contains("probes for it as well") || theirs.out.contains(OUR_MAC);
        assert!(told, "{ours:?} {theirs:?}");
    }
}

wire_test! {
    fn our_own_address_is_in_use_by_us() {
        let _peer = Peer::new();
        let ran = ran(&["probe", "10.0.0.1"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert_eq!(ran.out, "10.0.0.1 is in use: this host has it, on us\n");
    }
}
