use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::server::{Event, InterfaceId, Received, Usage};
use whohas::dhcp::store::Cause;
use whohas::wire::dhcp::{ClientHardware, MessageType};

use super::exchange::Exchange;
use super::request::LARGEST;
use crate::cli::dhcpd::desk::fixture::{Fixture, mac};
use crate::cli::dhcpd::desk::{Desk, PoolStatus};
use crate::cli::dhcpd::listener::Dialogue;

const NOW: Instant = Instant::from_secs(7);

/// Says it and reads what comes back, until there is no more.
fn talk(desk: &mut Fixture, said: &[u8]) -> String {
    let mut exchange = Exchange::new(NOW, false);
    let (mut rest, mut heard) = (said, Vec::new());
    loop {
        let (now, later) = rest.split_at(rest.len().min(exchange.room()).min(1_000));
        exchange.receive(now);
        rest = later;
        if rest.is_empty() {
            exchange.receive_end();
        }
        exchange.advance(NOW, desk);
        heard.extend_from_slice(exchange.output());
        exchange.sent(NOW, exchange.output().len());
        if exchange.is_over() {
            return String::from_utf8(heard).unwrap();
        }
    }
}

fn get(desk: &mut Fixture, target: &str) -> (String, String) {
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost:9099\r\n\r\n");
    let answer = talk(desk, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[track_caller]
fn assert_status(said: impl AsRef<[u8]>, status: &str) -> String {
    let answer = talk(&mut Fixture::with_leases(1), said.as_ref());
    let line = answer.lines().next().unwrap_or_default();
    assert_eq!(line, format!("HTTP/1.1 {status}"));
    answer
}

#[test]
fn requests_are_answered_by_the_book() {
    let with_host = |line: &str| format!("{line}\r\nHost: 127.0.0.1\r\n\r\n");
    let get = |target: &str| with_host(&format!("GET {target} HTTP/1.1"));
    assert_status(get("/healthz"), "200 OK");
    assert_status(get("/metrics"), "200 OK");
    assert_status(get("/"), "200 OK");
    assert_status(get("/?after=10.0.0.1&find=x"), "200 OK");
    assert_status(get("/favicon.ico"), "404 Not Found");
    assert_status(get("/../etc/passwd"), "404 Not Found");
    let answer = assert_status(with_host("POST / HTTP/1.1"), "405 Method Not Allowed");
    assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"));
    assert!(answer.contains("\r\nConnection: close\r\n"));
    let head = assert_status(with_host("HEAD /healthz HTTP/1.1"), "200 OK");
    assert!(head.contains("\r\nContent-Length: 3\r\n") && head.ends_with("\r\n\r\n"));
    assert_status("GET /healthz HTTP/1.0\r\n\r\n", "200 OK");
    assert_status("\r\nGET /healthz HTTP/1.0\r\n\r\n", "200 OK");
    assert_status("GET / HTTP/1.1\r\n\r\n", "400 Bad Request");
    assert_status(
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "400 Bad Request",
    );
    assert_status("GET / HTTP/3.0\r\n\r\n", "505 HTTP Version Not Supported");
    assert_status("\0\u{1}\u{2}\r\n\r\n", "400 Bad Request");
    let body = "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nHELLO";
    assert_status(body, "400 Bad Request");
    let fields = "X: y\r\n".repeat(65);
    let many = format!("GET / HTTP/1.1\r\n{fields}\r\n");
    assert_status(many, "431 Request Header Fields Too Large");
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LARGEST));
    assert_status(long, "431 Request Header Fields Too Large");
}

/// A page from elsewhere may have its name lead to this host, and then read what its visitor's
/// browser can.
#[test]
fn only_addresses_localhost_and_what_was_written_are_names_of_this_host() {
    for (host, status) in [
        ("localhost", "200 OK"),
        ("LOCALHOST:80", "200 OK"),
        ("127.0.0.1:9099", "200 OK"),
        ("[::1]:9099", "200 OK"),
        ("DHCP.example.org:9099", "200 OK"),
        ("dhcp.example.org", "200 OK"),
        ("example.org", "421 Misdirected Request"),
        ("x.dhcp.example.org", "421 Misdirected Request"),
        ("dhcp.example.org.evil.example", "421 Misdirected Request"),
        ("evil.example", "421 Misdirected Request"),
        ("localhost.evil.example:9099", "421 Misdirected Request"),
        ("127.0.0.1.evil.example", "421 Misdirected Request"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_status(request, status);
    }
}

#[test]
fn requests_that_come_together_are_answered_one_after_the_other() {
    let one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = talk(&mut Fixture::with_leases(0), one.repeat(3).as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3);
    let last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = talk(
        &mut Fixture::with_leases(0),
        format!("{last}{one}").as_bytes(),
    );
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1);
}

#[test]
fn nobody_stays_for_ever() {
    let mut exchange = Exchange::new(NOW, false);
    assert_eq!(exchange.deadline(), NOW + Duration::from_secs(10));
    // A byte at a time buys no time.
    exchange.receive(b"G");
    exchange.advance(NOW + Duration::from_secs(9), &mut Fixture::with_leases(0));
    assert_eq!(exchange.deadline(), NOW + Duration::from_secs(10));
    // Reading does, up to a point.
    exchange.sent(NOW + Duration::from_secs(119), 0);
    assert_eq!(exchange.deadline(), NOW + Duration::from_secs(120));
}

#[test]
fn health_is_told_by_the_status() {
    let mut desk = Fixture::with_leases(0);
    assert_eq!(get(&mut desk, "/healthz").1, "ok\n");
    desk.status.store.fault = Some("read-only file system".to_owned());
    let (head, body) = get(&mut desk, "/healthz");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "store: read-only file system\n");
}

/// A daemon with a bit of everything.
pub(in crate::cli::dhcpd) fn busy() -> Fixture {
    let mut desk = Fixture::with_leases(1_234);
    let now = desk.now;
    let ip = Ipv4Addr::new(10, 0, 8, 1);
    for minute in 0..60_u64 {
        let at = now - Duration::from_secs(60 * (59 - minute));
        let load = 40 + 30 * (minute * 7 % 11) + if minute == 41 { 900 } else { 0 };
        for nth in 0..load {
            desk.meters
                .received(at, &Received::Handled(MessageType::Request));
            let took = Duration::from_micros(120 + nth * nth % 4_000);
            let kinds = [MessageType::Offer, MessageType::Ack, MessageType::Ack];
            desk.meters.replied(at, kinds[nth as usize % 3], took);
            desk.meters.commits.observe(took);
        }
    }
    for number in 0..250 {
        desk.dora(2_000 + number);
    }
    for malformed in [&b"nonsense"[..], &[0; 300]] {
        assert!(matches!(desk.receive(malformed), Received::Dropped(_)));
    }
    let client = ClientHardware::ethernet(mac(7));
    for (ago, event) in [
        (4_000, Event::Declining { ip, client }),
        (4_000, Event::Declined { ip, until: now }),
        (1_300, Event::Cleared { ip }),
        (
            200,
            Event::InUse {
                ip,
                interface: InterfaceId(0),
                mac: mac(99),
                probe: 2,
            },
        ),
        (
            90,
            Event::Conflict {
                ip,
                interface: InterfaceId(0),
            },
        ),
        (12, Event::Declining { ip, client }),
    ] {
        desk.meters.happened(now - Duration::from_secs(ago), &event);
    }
    let declined = Cause::Declined { by: client };
    desk.decline(
        Ipv4Addr::new(10, 0, 8, 2),
        declined,
        Duration::from_secs(300),
    );
    let by = Some(mac(99));
    desk.decline(
        Ipv4Addr::new(10, 0, 8, 3),
        Cause::InUse { by },
        Duration::from_secs(47),
    );
    let pool =
        |subnet: &str, pool: &str, capacity, [leased, offered, reserved, quarantined]: [u64; 4]| {
            PoolStatus {
                subnet: subnet.to_owned(),
                pool: pool.to_owned(),
                usage: Usage {
                    capacity,
                    leased,
                    offered,
                    reserved,
                    quarantined,
                    excluded: 2,
                    free: capacity - leased - offered - reserved - quarantined - 2,
                },
            }
        };
    desk.status.pools = vec![
        pool(
            "10.0.0.0/21",
            "10.0.0.10-10.0.7.250",
            2_033,
            [1_201, 21, 40, 2],
        ),
        pool(
            "192.168.7.0/24",
            "192.168.7.100-192.168.7.199",
            100,
            [33, 0, 4, 0],
        ),
    ];
    desk
}

#[test]
fn the_metrics_add_up() {
    let mut desk = busy();
    let (head, body) = get(&mut desk, "/metrics");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    let value = |line: &str| -> f64 {
        let (_, value) = line.rsplit_once(' ').unwrap();
        value.parse().unwrap()
    };
    let sum = |prefix: &str| -> f64 {
        let samples = body.lines().filter(|line| line.starts_with(prefix));
        samples.map(value).sum()
    };
    assert_eq!(
        sum("whohas_dhcp_pool_addresses{subnet=\"10.0.0.0/21\""),
        2_033.0
    );
    let counters = desk.counters();
    let received = sum("whohas_dhcp_messages_received_total");
    let dropped = sum("whohas_dhcp_messages_dropped_total");
    assert_eq!(received, counters.handled() as f64 + dropped);
    // Of 250 clients fifty found the pool empty.
    assert_eq!((received, dropped), (452.0, 52.0));
    assert_eq!(
        sum("whohas_dhcp_messages_dropped_total{reason=\"exhausted\"}"),
        50.0
    );
    assert_eq!(
        sum("whohas_dhcp_messages_received_total{type=\"other\"}"),
        2.0
    );
    assert_eq!(sum("whohas_dhcp_messages_sent_total{type=\"ack\"}"), 200.0);
    let histogram = |part| sum(&format!("whohas_dhcp_reply_duration_seconds_{part}"));
    assert_eq!(
        histogram("bucket{type=\"ack\",le=\"+Inf\"}"),
        histogram("count{type=\"ack\"}")
    );
    assert!(histogram("count{type=\"ack\"}") >= 200.0);
    assert!(body.contains(
        "whohas_sandbox_info{no_capabilities=\"yes\",no_new_privs=\"yes\",landlock=\"yes\",seccomp=\"no\"} 1\n"
    ));
    promtool_agrees(&body);
}

/// Prometheus's own reader, where there is one (Debian's package `prometheus`).
fn promtool_agrees(metrics: &str) {
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = promtool else {
        println!("left out: there is no promtool");
        return;
    };
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(metrics.as_bytes()).unwrap();
    drop(input);
    let said = promtool.wait_with_output().unwrap();
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
}

#[test]
fn a_label_cannot_end_itself() {
    let mut desk = Fixture::with_leases(0);
    desk.status.pools[0].pool = "a\"b\\c\nd".to_owned();
    let (_, body) = get(&mut desk, "/metrics");
    assert!(body.contains(r#"pool="a\"b\\c\nd",state="#));
}

#[test]
fn the_page_pages_and_finds() {
    let mut desk = busy();
    let (head, body) = get(&mut desk, "/");
    assert!(head.contains("Content-Security-Policy: default-src 'none'; style-src 'nonce-"));
    assert!(
        !body.contains("style="),
        "an attribute that the policy forbids"
    );
    assert!(body.contains(">10.0.0.10<") && body.contains(">10.0.0.59<"));
    assert!(!body.contains(">10.0.0.60<"));
    assert!(body.contains("href=\"?find=&amp;after=10.0.0.59#leases\""));
    let (_, next) = get(&mut desk, "/?find=&after=10.0.0.59");
    assert!(next.contains(">10.0.0.60<") && !next.contains(">10.0.0.59<"));
    let (_, found) = get(&mut desk, "/?find=HOST-1000");
    assert!(found.contains(">host-1000<") && !found.contains(">host-1001<"));
    let (_, found) = get(&mut desk, "/?find=02%3A00%3A00%3A00%3A04%3Ad1");
    assert!(found.contains("02:00:00:00:04:d1") && !found.contains("02:00:00:00:04:d0"));
    assert!(
        get(&mut desk, "/?find=nobody")
            .1
            .contains("None like that.")
    );
    let first = |body: &str| {
        body.split("nonce=")
            .nth(1)
            .map(|rest| rest[..32].to_owned())
    };
    assert_ne!(first(&body), first(&next), "a nonce is for one answer");
}

#[test]
fn nothing_from_elsewhere_becomes_part_of_the_page() {
    let evil = "<script>alert(1)</script>\"'&\u{1b}";
    let mut desk = Fixture::with_leases(1);
    desk.lease(
        Ipv4Addr::new(10, 0, 0, 10),
        0,
        Some(evil),
        Duration::from_secs(60),
    );
    desk.status.store.fault = Some(evil.to_owned());
    desk.status.store.path = Some(evil.to_owned());
    desk.status.configuration = Some(evil.to_owned());
    desk.status.interfaces[0].name = evil.to_owned();
    desk.status.pools[0].pool = evil.to_owned();
    let query = "/?find=%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for target in ["/", query] {
        let (_, body) = get(&mut desk, target);
        assert!(!body.contains("<script>alert"), "{target}");
        assert!(!body.contains('\u{1b}'), "{target}");
        assert_eq!(body.matches("<script").count(), 1);
    }
}

/// For looking at it in a browser.
#[test]
#[ignore = "serves until it is killed: WHOHAS_STATUS=127.0.0.1:9099"]
fn the_page_can_be_looked_at() {
    use crate::cli::dhcpd::listener::{Door, Listener};
    let address = std::env::var("WHOHAS_STATUS").unwrap();
    let door = Door::tcp(address.parse().unwrap()).unwrap();
    let mut listener = Listener::<Exchange>::new(door).unwrap();
    let mut desk = busy();
    loop {
        let mut ends = [rustix::event::PollFd::new(
            &listener,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut ends, None).unwrap();
        listener.serve(NOW, &mut desk).unwrap();
    }
}
