use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::Value;
use whohas::Instant;
use whohas::dhcp::store::Cause;
use whohas::wire::dhcp::ClientHardware;

use super::conversation::Conversation;
use super::protocol::LONGEST;
use crate::cli::dhcpd::desk::Desk;
use crate::cli::dhcpd::desk::fixture::{Fixture, mac};
use crate::cli::dhcpd::listener::Dialogue;

const NOW: Instant = Instant::from_secs(7);
/// What one answer may take at a time.
const BOUND: usize = 64 * 1024 + 1024;

/// Says it, in as many pieces as there is room for, and reads everything that comes back.
fn talk(desk: &mut Fixture, said: &[u8]) -> Vec<Value> {
    let mut conversation = Conversation::new(NOW, true);
    let mut heard = Vec::new();
    let mut rest = said;
    loop {
        let (now, later) = rest.split_at(rest.len().min(conversation.room()).min(4_096));
        conversation.receive(now);
        rest = later;
        if rest.is_empty() {
            conversation.receive_end();
        }
        conversation.advance(NOW, desk);
        assert!(conversation.output().len() <= BOUND);
        heard.extend_from_slice(conversation.output());
        conversation.sent(NOW, conversation.output().len());
        if conversation.is_over() {
            break;
        }
    }
    let lines = heard.split_inclusive(|&byte| byte == b'\n');
    lines
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect()
}

fn declined(number: u32) -> Cause {
    Cause::Declined {
        by: ClientHardware::ethernet(mac(number)),
    }
}

fn one(desk: &mut Fixture, said: &str) -> Value {
    let mut lines = talk(desk, said.as_bytes());
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

#[test]
fn a_hundred_thousand_leases_come_in_order_and_piece_by_piece() {
    let mut desk = Fixture::with_leases(100_000);
    let lines = talk(&mut desk, b"{\"command\":\"leases\"}\n");
    assert_eq!(lines.len(), 100_001);
    let addresses = lines[..100_000].iter().map(|line| {
        let ip = line["ip"].as_str().unwrap();
        ip.parse::<Ipv4Addr>().unwrap()
    });
    assert!(addresses.is_sorted());
    assert_eq!(lines[1]["hardware"], "02:00:00:00:00:01");
    assert_eq!(lines[1]["name"], "host-1");
    assert_eq!(lines[1]["state"], "leased");
    assert_eq!(lines[1]["expires"], "2027-01-15T08:01:37Z");
    assert_eq!(lines[1]["expires_in_s"], 97);
    assert_eq!(lines[100_000]["count"], 100_000);
}

#[test]
fn who_does_not_read_is_given_no_more() {
    let mut desk = Fixture::with_leases(10_000);
    let mut conversation = Conversation::new(NOW, true);
    conversation.receive(b"{\"command\":\"leases\"}\n{\"command\":\"leases\"}\n");
    conversation.advance(NOW, &mut desk);
    let len = conversation.output().len();
    for _ in 0..100 {
        conversation.advance(NOW, &mut desk);
    }
    assert_eq!(conversation.output().len(), len);
    assert!(len <= BOUND);
    let patience = Duration::from_secs(30);
    assert_eq!(conversation.deadline(), NOW + patience);
    let later = NOW + Duration::from_secs(20);
    conversation.sent(later, 1);
    assert_eq!(conversation.deadline(), later + patience);
}

#[test]
fn bytes_that_are_no_request_buy_no_time() {
    let mut conversation = Conversation::new(NOW, true);
    let before = conversation.deadline();
    conversation.receive(b"{\"command\":");
    let mut desk = Fixture::with_leases(0);
    conversation.advance(NOW + Duration::from_secs(20), &mut desk);
    assert_eq!(conversation.deadline(), before);
}

#[test]
fn what_changes_while_a_list_is_read_is_left_out_or_told_as_it_is() {
    let mut desk = Fixture::with_leases(2_000);
    let mut conversation = Conversation::new(NOW, true);
    conversation.receive(b"{\"command\":\"leases\"}\n");
    conversation.advance(NOW, &mut desk);
    let mut heard = conversation.output().to_vec();
    conversation.sent(NOW, heard.len());
    assert!(desk.release(Ipv4Addr::new(10, 0, 7, 209)));
    desk.decline(
        Ipv4Addr::new(10, 0, 7, 0),
        declined(9),
        Duration::from_secs(300),
    );
    loop {
        conversation.advance(NOW, &mut desk);
        if conversation.output().is_empty() {
            break;
        }
        heard.extend_from_slice(conversation.output());
        conversation.sent(NOW, conversation.output().len());
    }
    let heard = String::from_utf8(heard).unwrap();
    assert_eq!(heard.lines().count(), 1_998 + 1);
    assert!(heard.ends_with("{\"v\":1,\"type\":\"end\",\"count\":1998}\n"));
}

#[test]
fn leases_are_taken_and_quarantines_end() {
    let mut desk = Fixture::with_leases(10);
    let released = r#"{"v":1,"command":"release","address":"10.0.0.12"}"#;
    let line = one(&mut desk, &format!("{released}\n"));
    assert_eq!(
        (&line["type"], &line["done"]),
        (&"released".into(), &true.into())
    );
    assert_eq!(one(&mut desk, &format!("{released}\n"))["done"], false);

    for host in 0..5_000_u32 {
        let ip = (0x0a01_0001 + host).into();
        desk.decline(ip, declined(host), Duration::from_secs(300));
    }
    let lines = talk(&mut desk, b"{\"command\":\"declined\"}\n");
    assert_eq!(lines.len(), 5_001);
    assert_eq!(lines[7]["cause"], "declined");
    assert_eq!(lines[7]["by"], "02:00:00:00:00:07");
    assert_eq!(lines[7]["cleared_in_s"], 300);
    let clear = "{\"command\":\"clear\",\"address\":\"10.1.0.8\"}\n";
    assert_eq!(one(&mut desk, clear)["count"], 1);
    assert_eq!(one(&mut desk, clear)["count"], 0);
    let line = one(&mut desk, "{\"command\":\"clear\",\"all\":true}\n");
    assert_eq!((&line["count"], &line["ip"]), (&4_999.into(), &Value::Null));
    assert_eq!(talk(&mut desk, b"{\"command\":\"declined\"}\n").len(), 1);
    assert_eq!(talk(&mut desk, b"{\"command\":\"leases\"}\n").len(), 10);
}

#[test]
fn the_status_says_how_the_daemon_is() {
    let mut desk = Fixture::with_leases(10);
    desk.status.store.fault = Some("No space left on device".to_owned());
    let line = one(&mut desk, "{\"command\":\"status\"}\n");
    assert_eq!(line["type"], "status");
    assert_eq!(line["store"]["ok"], false);
    assert_eq!(line["store"]["fault"], "No space left on device");
    assert_eq!(line["pools"][0]["leased"], 10);
    assert_eq!(line["sandbox"]["landlock"], true);
    assert_eq!(line["interfaces"][0]["name"], "eth0");
}

/// V27: nested JSON made a server's stack overflow.
#[test]
fn deep_nesting_is_refused_and_the_next_request_is_answered() {
    let mut desk = Fixture::with_leases(0);
    let deep = "[".repeat(LONGEST);
    let lines = talk(
        &mut desk,
        format!("{deep}\n{{\"command\":\"leases\"}}\n").as_bytes(),
    );
    assert_eq!(lines[0]["error"], "bad_request");
    assert_eq!(lines[1]["type"], "end");
}

#[test]
fn the_longest_request_is_read_and_one_byte_more_ends_the_conversation() {
    let mut desk = Fixture::with_leases(0);
    let request = "{\"command\":\"leases\"}";
    let padded = |len: usize| format!("{request}{}\n", " ".repeat(len - request.len()));
    assert_eq!(one(&mut desk, &padded(LONGEST))["type"], "end");
    let mut conversation = Conversation::new(NOW, true);
    let long = padded(LONGEST + 1);
    let mut heard = Vec::new();
    for piece in long.as_bytes().chunks(1_000) {
        let piece = &piece[..piece.len().min(conversation.room())];
        conversation.receive(piece);
        conversation.advance(NOW, &mut desk);
        heard.extend_from_slice(conversation.output());
        conversation.sent(NOW, conversation.output().len());
    }
    assert!(conversation.is_over());
    let heard: Value = serde_json::from_slice(&heard).unwrap();
    assert_eq!(heard["error"], "too_long");
}

#[test]
fn half_a_request_is_none() {
    let mut desk = Fixture::with_leases(3);
    assert_eq!(talk(&mut desk, b""), Vec::<Value>::new());
    assert_eq!(
        talk(&mut desk, b"{\"command\":\"leases\"}"),
        Vec::<Value>::new()
    );
}
