//! A device from its first frame to its last: what it says that it has done, its servers and the cable
//! have seen.

use std::env;
use std::net::Ipv4Addr;

use whohas::wire::{ArpPacket, EthernetFrame, HardwareTypes, Operation};
use whohas_linux::{Protocols, RawSocket};

use crate::figures::Figures;
use crate::support::cable::{
    OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, drain, give_them_an_address, listen, mac, set_up,
};
use crate::support::{attempt, run};
use crate::wire_test;
use whohas_lab::peers::{
    Program, Scratch, start_broker, start_subscriber, start_talkative_collector,
};

/// Longer than the device gives itself, in seconds.
const PATIENCE: &str = "60";

wire_test! {
    fn machine_code_tells_a_real_broker_and_a_real_collector_everything_on_one_entry() {
        let (Some(device), Some(collector)) = (given("WHOHAS_DEVICE"), given("WHOHAS_COLLECTOR")) else {
            return;
        };
        if !lay_tap() {
            return;
        }
        let (mut names, _leases) = start_dnsmasq();
        let mut collector = start_talkative_collector(&collector);
        let (mut broker, _config) = start_broker();
        let mut subscriber = start_subscriber(&mut broker, "m33/#", "%t %p");
        // Waits there for whoever subscribes.
        #[rustfmt::skip]
        run("mosquitto_pub", &[
            "-h", &THEIR_IP.to_string(), "-V", "5", "-r", "-t", "m33/command", "-m", "state",
        ]);
        let sniffer = listen(THEM, Protocols::Arp);

        let (succeeded, said, errors) = emulate(&device);
        assert!(succeeded, "{said}{errors}");
        let figures = Figures::read(&said);

        let requests = requests(&sniffer);
        assert_eq!(requests, [THEIR_IP], "one question in all this time");
        let same = ["arp.requests", "mqtt.dialled", "exports.dialled"];
        assert_eq!(same.map(|name| figures.of(name)), [1; 3], "{figures:?}");
        assert_eq!(figures.of("arp.neighbours"), 1);
        assert_eq!(figures.of("arp.holds"), 2);
        for trouble in ["frames.lost", "tcp.reset", "exports.failed"] {
            assert_eq!(figures.of(trouble), 0, "{trouble}: {figures:?}");
        }
        names.expect("config server.test is 10.0.0.2");
        collector_has_all(&mut collector, &figures);
        broker_has_all(&mut subscriber, &figures);
        let [logs, points, spans, messages, frames, stack, start] = [
            "logs.delivered", "points.delivered", "spans.delivered", "mqtt.published",
            "frames.received", "stack.running", "stack.start",
        ].map(|name| figures.of(name));
        println!(
            "note: {logs} logs, {points} points, {spans} spans and {messages} messages arrived over \
             1 ARP request; {frames} frames received; stack {start} B to start, {stack} B to run",
        );
    }
}

/// What whoever runs this has made ready.
fn given(variable: &str) -> Option<String> {
    let path = env::var(variable).ok();
    if path.is_none() {
        // Where it was promised that everything is tested, nothing may be left out in silence.
        assert!(env::var("CI").as_deref() != Ok("true"), "no {variable}");
        eprintln!("skipped: no {variable}; `cargo xtask test emulated-app` has it");
    }
    path
}

/// The cable of the emulator; false where we may not lay one.
fn lay_tap() -> bool {
    run("ip", &["link", "set", "lo", "up"]);
    let (laid, _, errors) = attempt("ip", &["tuntap", "add", "dev", THEM, "mode", "tap"]);
    if !laid {
        assert!(env::var("CI").as_deref() != Ok("true"), "no TAP: {errors}");
        println!(
            "note: skipped, TAP devices may not be made here: {}",
            errors.trim()
        );
        return false;
    }
    run("ip", &["link", "set", THEM, "address", THEIR_MAC]);
    set_up(THEM);
    give_them_an_address(24);
    true
}

/// A server with one address to give, and one name.
fn start_dnsmasq() -> (Program, Scratch) {
    let leases = Scratch::write("leases", "");
    let arguments = [
        "--no-daemon",
        "--conf-file=/dev/null",
        // In a user namespace there is nobody else to become.
        "--user=root",
        "--no-hosts",
        "--no-resolv",
        "--bind-dynamic",
        "--no-ping",
        "--log-queries",
        "--dhcp-authoritative",
        &format!("--interface={THEM}"),
        &format!("--dhcp-range={OUR_IP},{OUR_IP},255.255.255.0,120"),
        &format!("--dhcp-leasefile={}", leases.path()),
        &format!("--host-record=server.test,{THEIR_IP}"),
    ];
    let mut server = Program::start("dnsmasq", &arguments);
    server.expect("DHCP, IP range");
    (server, leases)
}

/// Runs the device to its end: whether that was a good one, what it said, and what the emulator did.
fn emulate(device: &str) -> (bool, String, String) {
    let cable = format!("tap,ifname={THEM},script=no,downscript=no,model=lan9118,mac={OUR_MAC}");
    #[rustfmt::skip]
    let arguments = [
        PATIENCE, "qemu-system-arm", "-machine", "mps2-an505", "-cpu", "cortex-m33",
        "-display", "none", "-monitor", "none", "-serial", "none", "-nic", &cable,
        "-semihosting-config", "enable=on,target=native", "-kernel", device,
    ];
    attempt("timeout", &arguments)
}

/// Whom the device has asked for, itself excepted, in whatever way.
fn requests(sniffer: &RawSocket) -> Vec<Ipv4Addr> {
    let frames = drain(sniffer);
    let packets = frames.iter().filter_map(|frame| {
        let frame = EthernetFrame::parse(frame).ok()?;
        ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()
    });
    let asked = packets.filter(|packet| {
        packet.operation == Operation::Request
            && packet.sender_mac == mac(OUR_MAC)
            && packet.target_ip != OUR_IP
    });
    asked.map(|packet| packet.target_ip).collect()
}

/// As many of each as the device has recorded, and not one more; and what it said.
fn collector_has_all(collector: &mut Program, figures: &Figures) {
    for (kind, name) in [
        ("logs", "LogRecord #"),
        ("points", "Metric #"),
        ("spans", "Span #"),
    ] {
        let [recorded, delivered] =
            ["recorded", "delivered"].map(|what| figures.of(&format!("{kind}.{what}")));
        assert_eq!(recorded, delivered, "{figures:?}");
        collector.expect_times(recorded as usize, name);
        let said = collector.said().iter().filter(|line| line.contains(name));
        assert_eq!(said.count() as u64, recorded, "{kind}");
    }
    for round in 0..figures.of("rounds") {
        let text = format!("Str(number {round}.)");
        let said = collector.said().iter().filter(|line| line.contains(&text));
        assert_eq!(said.count(), 1, "{text}");
    }
}

/// Every count once and in order, and the state that was asked for.
fn broker_has_all(subscriber: &mut Program, figures: &Figures) {
    let rounds = figures.of("rounds");
    subscriber.expect("m33/presence online");
    subscriber.expect("m33/state {\"uptime\":");
    subscriber.expect(&format!("m33/count {}.", rounds - 1));
    let said = subscriber.said().iter();
    let counts = said.filter_map(|line| line.strip_prefix("m33/count "));
    let expected = (0..rounds).map(|round| format!("{round}."));
    assert!(counts.eq(expected), "{:#?}", subscriber.said());
    assert_eq!(figures.of("mqtt.accepted"), figures.of("mqtt.published"));
}
