//! The messages under `tests/regress/cve/dhcp`, as a client takes them.

use whohas::dhcp::client::{Client, Config, MESSAGE_LEN, State};
use whohas::wire::dhcp::{Message, MessageBuilder, OptionCode};
use whohas::{Instant, UnicastMac};

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
    for class in [7, 8, 9, 10, 16, 18, 19, 20, 21, 22] {
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
