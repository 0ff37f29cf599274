//! The messages under `tests/regress/cve/dhcp`, as a client and as a server takes them.

use std::net::Ipv4Addr;

use whohas::dhcp::client::{Client, Config, MESSAGE_LEN, State};
use whohas::dhcp::server::{
    Arrival, Boot, Growable, InterfaceId, LeaseTimes, Plan, Policy, Pool, Received, Server, Subnet,
};
use whohas::dhcp::store::{Outcome, Version};
use whohas::wire::dhcp::{LeaseTime, Message, MessageBuilder, OptionCode};
use whohas::{Instant, Prefix, UnicastMac};

use crate::exhibits::{self, Exhibit};

/// A client that looks for servers, and the id of its question.
fn client() -> (Client<'static>, [u8; 4]) {
    let mac = UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a station's");
    let mut client = Client::new(mac, Config::new(), 1);
    client.link_changed(Instant::ZERO, true);
    client.start(Instant::ZERO, None);
    client.handle_timeout(Instant::from_secs(2));
    let mut buffer = [0; MESSAGE_LEN];
    let sent = client.poll_transmit(&mut buffer).expect("it asks");
    let message = Message::parse(&buffer[..sent.len]).expect("a legal message");
    (client, message.header().xid.to_be_bytes())
}

#[test]
fn every_message_of_the_corpus_has_the_effect_written_beside_it_and_no_other() {
    let exhibits = exhibits::read();
    for class in [7, 8, 9, 10, 12, 16, 18, 19, 20, 21, 22] {
        let file = format!("v{class}-");
        let found = exhibits.iter().any(|e| e.place.starts_with(&file));
        assert!(found, "the corpus lacks V{class}");
    }
    for Exhibit {
        place,
        outcome,
        mut message,
    } in exhibits
    {
        let (mut client, xid) = client();
        message[4..8].copy_from_slice(&xid);
        let received = client.receive(Instant::from_secs(2), &message);
        match received {
            Ok(()) => {
                assert_eq!("accepted", outcome, "{place}");
                assert_eq!(client.state(), State::Requesting, "{place}");
            }
            Err(reason) => {
                assert_eq!(reason.name(), outcome, "{place}");
                assert_eq!(client.counters().drops(reason), 1, "{place}");
                assert_eq!(client.state(), State::Selecting, "{place}");
            }
        }
        assert_eq!(client.counters().received, 1);
        read_all(&place, &message);
    }
}

/// A link with an address for whoever comes.
pub(super) fn subnet() -> Subnet<'static> {
    const POOL: [Pool; 1] = [Pool {
        first: Ipv4Addr::new(10, 0, 0, 2),
        last: Ipv4Addr::new(10, 0, 0, 250),
    }];
    let time = LeaseTime::Seconds(600);
    Subnet {
        prefix: Prefix::new(OWN, 24).expect("a prefix"),
        pools: &POOL,
        reservations: &[],
        reserved: &[],
        options: &[],
        lease_times: LeaseTimes {
            default: time,
            min: time,
            max: time,
        },
        boot: Boot::default(),
        authoritative: true,
        server_id: None,
    }
}

/// The server's.
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

/// What somebody says to everybody on the link comes in.
pub(super) fn hear(
    server: &mut Server<Growable>,
    plan: &Plan<'_>,
    now: Instant,
    message: &[u8],
) -> Received {
    let own = [Prefix::new(OWN, 24).expect("a prefix")];
    let arrival = Arrival {
        interface: InterfaceId(1),
        mac: UnicastMac::new([2, 0, 0, 0, 0, 2]).expect("a station's"),
        addresses: &own,
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::BROADCAST,
    };
    server.receive(now, plan, &arrival, message)
}

/// A server that probes.
#[test]
fn a_server_answers_or_counts_every_message_of_the_corpus_and_serves_on() {
    let subnets = [subnet()];
    let plan = Plan::new(&subnets, &[]).expect("a plan");
    let mut server = Server::new(Policy::DEFAULT, Growable::new(1_000), 3);
    let mut now = Instant::from_secs(1_000_000_000);
    let mut handled = 0;
    for Exhibit { place, message, .. } in exhibits::read() {
        // As it is, and as whatever a client says.
        for kind in [None, Some(1), Some(3), Some(4), Some(7), Some(8)] {
            for relay in [[0; 4], [10, 0, 0, 1], [10, 9, 9, 9]] {
                let mut message = message.clone();
                if let Some(kind) = kind
                    && message.get(240..242) == Some(&[53, 1])
                {
                    message[0] = 1;
                    message[24..28].copy_from_slice(&relay);
                    message[242] = kind;
                }
                let received = hear(&mut server, &plan, now, &message);
                handled += u32::from(matches!(received, Received::Handled(_)));
                now = serve(&mut server, &plan, now, |reply| {
                    assert!(reply.len() >= 300, "{place}");
                    read_all(&place, reply);
                });
                let counters = server.counters();
                let sum = counters.handled() + counters.dropped();
                assert_eq!(counters.received(), sum, "{place}");
                while let Some(event) = server.poll_event() {
                    assert!(!format!("{event:?}").contains('\n'), "{place}");
                }
            }
        }
        assert_eq!(server.waiting(), 0, "{place}");
    }
    assert!(handled > 200, "{handled}");
}

/// Lets a server do all that it has to do. Answers how late it is then.
pub(super) fn serve(
    server: &mut Server<Growable>,
    plan: &Plan<'_>,
    mut now: Instant,
    mut told: impl FnMut(&[u8]),
) -> Instant {
    let mut buffer = [0; 1_472];
    loop {
        while let Some(change) = server.poll_change() {
            let result = Ok(Version(1));
            let ticket = change.ticket;
            server.stored(now, Outcome { ticket, result });
        }
        while server.poll_probe().is_some() {
            server.probe_sent(now);
        }
        while let Some(transmit) = server.poll_transmit(plan, &mut buffer) {
            let reply = &buffer[..transmit.len];
            told(reply);
            assert_eq!(
                Message::parse(reply).map(|reply| reply.kind()),
                Ok(transmit.kind)
            );
        }
        if server.waiting() == 0 {
            return now;
        }
        let due = server.poll_timeout().expect("something is waited for");
        now = due.max(now);
        server.handle_timeout(now, plan);
    }
}

/// V24: read, shown and written again.
fn read_all(place: &str, bytes: &[u8]) {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => {
            assert!(!format!("{error} {error:?}").is_empty(), "{place}");
            return;
        }
    };
    let shown = format!("{message:?} {}", message.header().hardware);
    assert!(!shown.contains('\n'), "{place}");
    let mut buffer = vec![0; bytes.len() + 300];
    let header = message.header();
    let mut again =
        MessageBuilder::new(&mut buffer, header, message.kind()).expect("there is room");
    for code in 1..=254 {
        let code = OptionCode(code);
        let ours = [OptionCode::MESSAGE_TYPE, OptionCode::OVERLOAD];
        if let Some(value) = message.option(code)
            && !ours.contains(&code)
        {
            again.copy(&value).expect("there is room");
        }
    }
    let len = again.finish();
    let again = Message::parse(&buffer[..len]).expect("we wrote it");
    assert_eq!(again.header(), header, "{place}");
    for piece in message.options() {
        if piece.code == OptionCode::OVERLOAD {
            continue;
        }
        let before = message.option(piece.code).expect("it is there");
        let after = again.option(piece.code).expect("it was written");
        assert!(before.bytes().eq(after.bytes()), "{place}");
    }
}
