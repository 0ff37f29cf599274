//! Names: asked for again when the answer is lost, never taken from a stranger, followed with an end.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use embedded_nal_async::{AddrType, Dns, UdpStack, UnconnectedUdp};
use whohas::net::{DnsClient, DnsError};

use super::*;
use crate::world::{both, cut};

const BROKER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);

/// What a server says to a question: any number of messages.
type Answers = Vec<Vec<u8>>;

/// A question's part of a message behind the header.
fn asked(question: &[u8]) -> &[u8] {
    &question[12..]
}

/// The name that is asked for, as a user reads it.
fn name(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = asked(question);
    while rest[0] > 0 {
        let (label, behind) = rest[1..].split_at(rest[0].into());
        labels.push(String::from_utf8(label.to_vec()).unwrap());
        rest = behind;
    }
    labels.join(".")
}

fn encoded(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}

/// An answer with one record about the name in question; `None` for none.
fn answer(question: &[u8], code: u8, record: Option<(u16, Vec<u8>)>) -> Vec<u8> {
    let mut message = question[..2].to_vec();
    message.extend([
        0x81,
        0x80 | code,
        0,
        1,
        0,
        u8::from(record.is_some()),
        0,
        0,
        0,
        0,
    ]);
    message.extend(asked(question));
    if let Some((kind, data)) = record {
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 60]);
        message.extend((data.len() as u16).to_be_bytes());
        message.extend(data);
    }
    message
}

fn address(question: &[u8]) -> Vec<u8> {
    answer(question, 0, Some((1, BROKER.octets().to_vec())))
}

fn alias(question: &[u8], of: &str) -> Vec<u8> {
    answer(question, 0, Some((5, encoded(of))))
}

/// Runs a server on the peer; `say` answers the question of each number.
fn serve(pair: &Pair, say: impl Fn(usize, &[u8]) -> Answers + 'static) {
    let peer = pair.peer;
    pair.world.spawn(async move {
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 53));
        let mut socket = peer.udp().bind_multiple(any).await.unwrap();
        let mut buffer = [0; 512];
        for number in 0.. {
            let (len, local, from) = socket.receive_into(&mut buffer).await.unwrap();
            for message in say(number, &buffer[..len]) {
                socket.send(local, from, &message).await.unwrap();
            }
        }
    });
}

/// Asks the peer, after a host that answers nothing if `silent_first`.
fn resolve(pair: &Pair, silent_first: bool, host: &str) -> Result<IpAddr, DnsError> {
    let servers: &[Ipv4Addr] = if silent_first {
        let silent = Host::new(ip(SILENT), mac(SILENT));
        pair.world.lan.lan().add_host(silent);
        &[ip(SILENT), ip(PEER)]
    } else {
        &[ip(PEER)]
    };
    let dns = DnsClient::new(pair.us, pair.world.lan.clock(), servers);
    pair.world
        .block_on(dns.get_host_by_name(host, AddrType::Either))
}

#[test]
fn a_name_is_looked_up_and_an_address_is_its_own_answer() {
    let pair = Pair::new(1);
    serve(&pair, |_, question| {
        assert_eq!(name(question), "broker.example");
        vec![address(question)]
    });
    assert_eq!(resolve(&pair, false, "Broker.Example"), Ok(BROKER.into()));
    assert_eq!(pair.us.stats().dns.asked, 1);
    assert_eq!(resolve(&pair, false, "10.1.2.3"), Ok([10, 1, 2, 3].into()));
    assert_eq!(resolve(&pair, false, "no name"), Err(DnsError::InvalidName));
    assert_eq!(pair.us.stats().dns.asked, 1);
    // Nothing is kept of it.
    assert_eq!(pair.holds(), 0);
}

#[test]
fn a_lost_answer_is_asked_for_again_and_a_silent_server_passed_over() {
    let pair = Pair::new(2);
    serve(&pair, |number, question| match number {
        0 => vec![],
        _ => vec![address(question)],
    });
    let began = pair.now();
    assert_eq!(resolve(&pair, true, "broker.example"), Ok(BROKER.into()));
    // The silent one, the lost answer, and the silent one once more.
    let took = pair.now() - began;
    assert!(took >= secs(6) && took < secs(6) + millis(10), "{took:?}");
    let stats = pair.us.stats().dns;
    assert_eq!((stats.asked, stats.timed_out, stats.answered), (4, 3, 1));
}

#[test]
fn nobody_who_answers_is_told_from_nothing_that_is_known() {
    let pair = Pair::new(3);
    let began = pair.now();
    assert_eq!(
        resolve(&pair, false, "broker.example"),
        Err(DnsError::TimedOut)
    );
    assert_eq!(pair.now(), began + secs(6));

    serve(&pair, |_, question| match name(question).as_str() {
        "unknown" => vec![answer(question, 3, None)],
        "empty" => vec![answer(question, 0, None)],
        _ => vec![answer(question, 2, None)],
    });
    assert_eq!(resolve(&pair, false, "unknown"), Err(DnsError::NotFound));
    assert_eq!(resolve(&pair, false, "empty"), Err(DnsError::NotFound));
    assert_eq!(resolve(&pair, false, "broken"), Err(DnsError::Failed(2)));
    let dns = DnsClient::new(pair.us, pair.world.lan.clock(), []);
    let nobody = dns.get_host_by_name("a", AddrType::IPv4);
    assert_eq!(pair.world.block_on(nobody), Err(DnsError::NoServers));
    let v6 = dns.get_host_by_name("a", AddrType::IPv6);
    assert_eq!(pair.world.block_on(v6), Err(DnsError::Ipv6));
}

#[test]
fn forged_answers_are_passed_over_and_the_right_one_is_taken() {
    let pair = Pair::new(4);
    serve(&pair, |number, question| {
        if number == 0 {
            // From now on the server knows where we are, and nothing waits for that.
            return vec![address(question)];
        }
        let forged = answer(question, 0, Some((1, vec![10, 6, 6, 6])));
        let mut wrong_id = forged.clone();
        wrong_id[1] ^= 1;
        let mut wrong_name = forged.clone();
        wrong_name[13] ^= 1;
        let mut a_question = forged.clone();
        a_question[2] &= 0x7f;
        let cut = forged[..forged.len() - 1].to_vec();
        vec![wrong_id, wrong_name, a_question, cut, address(question)]
    });
    assert_eq!(resolve(&pair, false, "broker.example"), Ok(BROKER.into()));
    assert_eq!(pair.us.stats().dns.ignored, 0);
    assert_eq!(resolve(&pair, false, "broker.example"), Ok(BROKER.into()));
    assert_eq!(pair.us.stats().dns.ignored, 4);
}

#[test]
fn every_question_has_a_number_and_a_port_of_its_own() {
    let pair = Pair::new(5);
    let seen = std::rc::Rc::new(RefCell::new(Vec::new()));
    let shared = seen.clone();
    serve(&pair, move |_, question| {
        shared.borrow_mut().push([question[0], question[1]]);
        vec![]
    });
    let tap = pair.world.lan.lan().add_tap();
    let _ = resolve(&pair, false, "broker.example");
    let frames = std::iter::from_fn(|| pair.world.lan.lan().receive(tap));
    let mut ports: Vec<_> = frames
        .filter(|frame| frame.len() > 37 && frame[23] == 17 && frame[36..38] == [0, 53])
        .map(|frame| [frame[34], frame[35]])
        .collect();
    ports.sort_unstable();
    ports.dedup();
    let mut numbers = seen.take();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!((ports.len(), numbers.len()), (3, 3));
}

#[test]
fn aliases_are_followed_and_those_that_lead_nowhere_end() {
    let pair = Pair::new(6);
    serve(&pair, |_, question| match name(question).as_str() {
        "www" => vec![alias(question, "cdn.example")],
        "cdn.example" => vec![alias(question, "edge.example")],
        "edge.example" => vec![address(question)],
        "round" => vec![alias(question, "about")],
        _ => vec![alias(question, "round")],
    });
    assert_eq!(resolve(&pair, false, "www"), Ok(BROKER.into()));
    let before = pair.us.stats().dns.asked;
    assert_eq!(
        resolve(&pair, false, "round"),
        Err(DnsError::TooManyAliases)
    );
    assert_eq!(pair.us.stats().dns.asked - before, 9);
}

#[test]
fn an_address_is_looked_up_backwards() {
    let pair = Pair::new(7);
    serve(&pair, |_, question| {
        assert_eq!(name(question), "77.0.0.10.in-addr.arpa");
        vec![answer(question, 0, Some((12, encoded("broker.example"))))]
    });
    let dns = DnsClient::new(pair.us, pair.world.lan.clock(), [ip(PEER)]);
    let mut host = [0; 255];
    let found = dns.get_host_by_address(BROKER.into(), &mut host);
    let len = pair.world.block_on(found).unwrap();
    assert_eq!(&host[..len], b"broker.example");
    let small = dns.get_host_by_address(BROKER.into(), &mut host[..4]);
    assert_eq!(pair.world.block_on(small), Err(DnsError::BufferTooSmall));
}

#[test]
fn a_question_dropped_at_any_time_leaves_no_socket_and_no_hold_behind() {
    for polls in 0..6 {
        let pair = Pair::new(8);
        serve(&pair, |number, question| match number {
            0 => vec![],
            _ => vec![address(question)],
        });
        let dns = DnsClient::new(pair.us, pair.world.lan.clock(), [ip(PEER)]);
        let host = "broker.example";
        let found = pair
            .world
            .block_on(cut(dns.get_host_by_name(host, AddrType::IPv4), polls));
        assert_eq!(pair.holds(), 0, "{found:?} after {polls} polls");
        let udp = pair.us.udp();
        let own = |n| SocketAddr::from((ip(US), n));
        let all = both(udp.bind_single(own(1)), udp.bind_single(own(2)));
        let (one, two) = pair.world.block_on(all);
        let three = pair.world.block_on(udp.bind_single(own(3)));
        assert!(one.is_ok() && two.is_ok() && three.is_ok());
    }
}
