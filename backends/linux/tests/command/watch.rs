use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use whohas::wire::{ArpPacket, MacAddr};
use whohas_linux::Protocols;

use crate::lab::{Peer, THEIR_MAC, THEM, program, whohas};
use crate::support::{cable, run};
use crate::wire_test;

/// The command, listening. Ends on its own in a minute, whatever the test does.
struct Watch {
    process: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Watch {
    fn start(extra: &[&str]) -> Self {
        let arguments = [&["watch", "--duration", "60s"], extra].concat();
        let mut process = whohas(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let out = BufReader::new(process.stdout.take().expect("piped")).lines();
        let mut err = BufReader::new(process.stderr.take().expect("piped")).lines();
        let first = err.next().expect("a line").expect("of text");
        assert_eq!(first, "listening on us; ends with Ctrl-C");
        Self { process, out, err }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        self.out.next().expect("a line").expect("of text")
    }

    /// The next line that is about this event.
    #[track_caller]
    fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(text) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.process.id() as i32).expect("a process");
        kill_process(pid, signal).expect("it runs");
    }

    #[track_caller]
    fn ends_well(mut self) -> (Vec<String>, Vec<String>) {
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0));
        let text = |line: Result<String, _>| line.expect("text");
        (self.out.map(text).collect(), self.err.map(text).collect())
    }
}

wire_test! {
    fn a_station_that_changes_its_address_has_an_event_for_each_step() {
        let peer = Peer::new();
        let mut watch = Watch::start(&[]);
        peer.speak();
        let line = watch.line();
        assert!(line.contains("  new station                  10.0.0.2         02:00:00:00:00:02"), "{line}");
        let change = |mac| {
            for state in [&["down"][..], &["address", mac], &["up"]] {
                peer.ip(&[&["link", "set", THEM], state].concat());
            }
        };
        change("02:00:00:00:00:03");
        peer.speak();
        let line = watch.line_with("changed ethernet address");
        assert!(line.contains("02:00:00:00:00:03  was 02:00:00:00:00:02"), "{line}");
        change(THEIR_MAC);
        peer.speak();
        watch.line_with("flip flop");
        // Three changes in ten seconds: both must be there.
        watch.line_with("conflict");
        watch.signal(Signal::TERM);
        let (_, err) = watch.ends_well();
        let summary = err.last().expect("a summary");
        assert!(summary.starts_with("2 stations, "), "{summary}");
        assert!(summary.contains("1 changed ethernet address"), "{summary}");
        assert!(summary.contains("1 flip flop"), "{summary}");
    }
}

wire_test! {
    fn json_has_an_object_for_each_event_and_a_summary_on_sigint() {
        let peer = Peer::new();
        let mut watch = Watch::start(&["--json"]);
        let arping = |arguments: &[&str]| {
            let mut command = peer.command("arping");
            command.args(["-w", "1", "-I", THEM]).args(arguments);
            command.output().expect("arping is in iputils-arping");
        };
        arping(&["-D", "-c", "1", "10.0.0.77"]);
        arping(&["-U", "-c", "1", "10.0.0.2"]);
        peer.ip(&["addr", "add", "192.168.9.9/24", "dev", THEM]);
        arping(&["-c", "1", "-s", "192.168.9.9", "10.0.0.1"]);
        let mut events = Vec::new();
        while events.len() < 4 {
            let line = watch.line();
            let value: Value = serde_json::from_str(&line).expect(&line);
            assert_eq!((&value["v"], &value["type"]), (&1.into(), &"event".into()));
            assert_eq!(value["mac"], THEIR_MAC, "{line}");
            let text = |field: &str| value[field].as_str().expect(&line).to_owned();
            events.push((text("event"), text("ip")));
        }
        let expected = [
            ("probe", "10.0.0.77"),
            ("new station", "10.0.0.2"),
            ("announcement", "10.0.0.2"),
            ("bogon", "192.168.9.9"),
        ];
        assert_eq!(events, expected.map(|(event, ip)| (event.to_owned(), ip.to_owned())));
        watch.signal(Signal::INT);
        let (out, _) = watch.ends_well();
        let summary: Value = serde_json::from_str(out.last().expect("a summary")).expect("JSON");
        assert_eq!(summary["type"], "summary");
        assert_eq!((&summary["stations"], &summary["events"]), (&2.into(), &4.into()));
    }
}

wire_test! {
    fn whoever_uses_our_address_is_in_conflict_with_us() {
        let peer = Peer::new();
        let mut watch = Watch::start(&["--json"]);
        peer.ip(&["addr", "add", "10.0.0.1/16", "dev", THEM]);
        let mut thief = peer.command("arping");
        thief.args(["-U", "-c", "1", "-w", "1", "-I", THEM, "10.0.0.1"]);
        thief.output().expect("arping is in iputils-arping");
        let line = watch.line_with("conflict");
        let value: Value = serde_json::from_str(&line).expect(&line);
        assert_eq!((&value["event"], &value["ip"]), (&"conflict".into(), &"10.0.0.1".into()));
        assert_eq!((&value["mac"], &value["conflicts"]), (&THEIR_MAC.into(), &1.into()));
        assert_eq!(value["other_mac"], crate::lab::OUR_MAC);
        watch.signal(Signal::TERM);
        watch.ends_well();
    }
}

wire_test! {
    /// CVE-2026-4892: a bug in a parser that ran with all rights.
    fn v17_no_rights_are_left_when_the_first_frame_is_looked_at() {
        let _peer = Peer::new();
        let watch = Watch::start(&[]);
        let status = fs::read_to_string(format!("/proc/{}/status", watch.process.id()));
        let status = status.expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.expect(name).trim().to_owned()
        };
        for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
        watch.signal(Signal::TERM);
        watch.ends_well();
    }
}

wire_test! {
    fn a_link_that_goes_down_is_waited_for_and_one_that_is_gone_is_not() {
        let peer = Peer::new();
        let mut watch = Watch::start(&[]);
        run("ip", &["link", "set", "us", "down"]);
        let told = watch.err.next().expect("a line").expect("of text");
        assert_eq!(told, "the link is down; waiting for it");
        run("ip", &["link", "set", "us", "up"]);
        peer.speak();
        watch.line_with("new station");
        run("ip", &["link", "del", "us"]);
        assert_eq!(watch.process.wait().expect("it ends").code(), Some(4));
        let last = watch.err.last().expect("a line").expect("of text");
        assert_eq!(last, "whohas: cannot listen on us: the interface is gone");
    }
}

wire_test! {
    /// `script` of util-linux is a terminal to whom it runs.
    fn on_a_terminal_it_is_a_table_that_leaves_the_screen_as_it_was() {
        let peer = Peer::new();
        let command = program();
        let command = format!("stty rows 24 cols 100; exec {command} watch --duration 60s");
        let mut script = Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", &command, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script is a part of bsdutils");
        let mut keyboard = script.stdin.take().expect("piped");
        let mut screen = script.stdout.take().expect("piped");
        let mut seen = Vec::new();
        let mut spoken = false;
        let shows = |seen: &[u8], text: &str| seen.windows(text.len()).any(|part| part == text.as_bytes());
        while !shows(&seen, "10.0.0.2") {
            if shows(&seen, "10.0.0.1") && !spoken {
                spoken = true;
                peer.speak();
            }
            let mut part = [0; 4_096];
            let len = screen.read(&mut part).expect("the terminal is there");
            assert_ne!(len, 0, "it ended: {}", String::from_utf8_lossy(&seen));
            seen.extend(&part[..len]);
        }
        keyboard.write_all(b"q").expect("it reads the keys");
        let status = script.wait().expect("it ends");
        screen.read_to_end(&mut seen).expect("the terminal was there");
        assert_eq!(status.code(), Some(0));
        let text = String::from_utf8_lossy(&seen);
        let (_, after) = text.split_once("\x1b[?1049h").expect("another screen");
        let (_, after) = after.rsplit_once("\x1b[?1049l").expect("the first one again");
        assert!(after.contains("2 stations, "), "the summary is left behind: {after}");
    }
}

wire_test! {
    /// Runts and packets cut short at every byte (CVE-2020-11914, CVE-2018-16600), operations that
    /// are neither question nor answer (CVE-2019-12262), and a sender who is not who it says.
    fn v1_v3_v6_what_is_malformed_is_nothing_and_what_is_false_is_told() {
        cable::lay();
        let mut watch = Watch::start(&["--json", "-i", "us"]);
        let them = cable::listen(THEM, Protocols::Arp);
        let mut frame = [0; 60];
        let station = cable::mac(THEIR_MAC);
        let packet = ArpPacket::request(station, cable::THEIR_IP, cable::OUR_IP);
        packet.emit_frame(MacAddr::BROADCAST, None, &mut frame).expect("60 bytes are enough");
        const WHOLE: usize = 14 + 28;
        for len in 14..WHOLE {
            them.send(&frame[..len]).expect("sent");
        }
        for operation in [0_u16, 3, 4, 8, 9, 10, 25, 0xffff] {
            let mut other = frame;
            other[20..22].copy_from_slice(&operation.to_be_bytes());
            them.send(&other).expect("sent");
        }
        let mut group = frame;
        group[22] = 0xff;
        them.send(&group).expect("sent");
        let mut forged = frame;
        forged[11] = 0x66;
        them.send(&forged).expect("sent");
        for expected in ["ethernet mismatch", "new station"] {
            let line = watch.line();
            let value: Value = serde_json::from_str(&line).expect(&line);
            assert_eq!(value["event"], expected, "{line}");
        }
        watch.signal(Signal::TERM);
        let (out, _) = watch.ends_well();
        let summary: Value = serde_json::from_str(out.last().expect("a summary")).expect("JSON");
        assert_eq!((&summary["packets"], &summary["events"]), (&1.into(), &2.into()));
    }
}
