use std::process::{Command, Stdio};

use crate::lab::{Peer, Ran, US, program, ran, whohas};
use crate::support::run;
use crate::wire_test;

#[test]
fn help_names_every_exit_code_and_shows_examples() {
    for verb in [
        &[][..],
        &["resolve"],
        &["probe"],
        &["scan"],
        &["watch"],
        &["announce"],
        &["dhcpd"],
    ] {
        let ran = ran(&[verb, &["--help"]].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("Examples:\n  whohas "), "{verb:?}");
        let codes = ran.out.split_once("Exit codes:").expect("a list of them").1;
        for code in 0..=4 {
            let listed = codes
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{code}  ")));
            assert!(listed, "{verb:?} {code}: {codes}");
        }
    }
}

#[test]
fn what_was_mistyped_is_guessed() {
    for (arguments, guess) in [
        (&["reslove", "10.0.0.1"][..], "resolve"),
        (&["scan", "--jsno", "10.0.0.0/24"], "--json"),
    ] {
        let ran = ran(arguments);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains(guess), "{ran:?}");
    }
    for arguments in [
        &["resolve", "10.0.0.256"][..],
        &["resolve", "--timeout", "soon", "10.0.0.1"],
        &["scan", "10.0.0.0/8"],
        &["scan", "--rate", "0", "10.0.0.0/24"],
        &["announce", "-c", "0", "10.0.0.1"],
    ] {
        assert_eq!(ran(arguments).code, Some(2), "{arguments:?}");
    }
}

wire_test! {
    fn a_wrong_interface_lists_the_right_ones() {
        let _peer = Peer::new();
        let ran = ran(&["resolve", "-i", "uz", "10.0.0.2"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_eq!(
            ran.err,
            "whohas: there is no interface uz; did you mean us?; there are: us\n"
        );
        run("ip", &["link", "set", US, "down"]);
        let down = crate::lab::ran(&["resolve", "-i", US, "10.0.0.2"]);
        assert_eq!(down.code, Some(2), "{down:?}");
        assert!(down.err.contains("ip link set us up"), "{down:?}");
        let loopback = crate::lab::ran(&["resolve", "-i", "lo", "127.0.0.1"]);
        assert_eq!(loopback.code, Some(2), "{loopback:?}");
    }
}

wire_test! {
    fn without_the_capability_the_message_says_how_to_give_it() {
        let _peer = Peer::new();
        let output = Command::new("setpriv")
            .args(["--bounding-set", "-net_raw", &program()])
            .args(["resolve", "10.0.0.2"])
            .output()
            .expect("setpriv is a part of util-linux");
        let ran = Ran::from(output);
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{ran:?}");
        let line = format!("setcap cap_net_raw+ep {}", program());
        assert!(ran.err.contains(&line), "{ran:?}");
        assert!(ran.err.contains("AmbientCapabilities=CAP_NET_RAW"), "{ran:?}");
    }
}

wire_test! {
    fn files_and_readers_that_fail_are_four() {
        let _peer = Peer::new();
        let ran = ran(&["resolve", "--pcap", "/nowhere/at/all.pcapng", "10.0.0.2"]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.err.contains("cannot write /nowhere/at/all.pcapng: "), "{ran:?}");

        let mut nobody = whohas(&["scan", "--json", "10.0.0.0/24"]).stdout(Stdio::piped()).spawn().expect("starts");
        drop(nobody.stdout.take());
        assert_eq!(nobody.wait().expect("it ends").code(), Some(4));

        let full = std::fs::File::create("/dev/full").expect("a device of the kernel's");
        let ran = whohas(&["resolve", "10.0.0.2"]).stdout(full).output();
        let ran = Ran::from(ran.expect("starts"));
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.err.contains("cannot write the output"), "{ran:?}");
    }
}

wire_test! {
    /// `script` of util-linux is a terminal to whom it runs.
    fn on_a_terminal_there_are_progress_and_colours_unless_they_are_refused() {
        let _peer = Peer::new();
        let command = program();
        let command = format!("{command} resolve --timeout 200ms 10.0.0.2 10.0.0.77");
        let on_terminal = |no_colour: &str| {
            let output = Command::new("script")
                .args(["--quiet", "--return", "--flush", "--command", &command, "/dev/null"])
                .env("TERM", "xterm")
                .env("NO_COLOR", no_colour)
                .stdin(Stdio::null())
                .output();
            let ran = Ran::from(output.expect("script is a part of bsdutils"));
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(ran.out.contains("50 % 1 of 2 still to answer"), "{ran:?}");
            ran.out
        };
        // Set to nothing is not set (no-color.org).
        assert!(on_terminal("").contains("\x1b[2mno answer\x1b[0m"));
        let plain = on_terminal("1");
        assert!(plain.contains("  no answer"), "{plain:?}");
        assert!(!plain.contains("\x1b[2m") && !plain.contains("\x1b[31m"), "{plain:?}");
    }
}
