//! DHCP messages out of a fuzzer's bytes: what parses is written again as it was, and a client takes
//! it or leaves it.

use whohas::dhcp::client::{Client, Config, MESSAGE_LEN, State};
use whohas::wire::dhcp::{Message, MessageBuilder, OptionCode};
use whohas::{Instant, UnicastMac};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Reads the bytes as a message, and lets a client that waits for an offer and then for its
/// acknowledgement have them.
pub fn play(bytes: &[u8]) {
    match Message::parse(bytes) {
        Ok(message) => roundtrip(&message, bytes.len()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    offer(bytes);
}

fn roundtrip(message: &Message<'_>, len: usize) {
    assert!(message.options().count() <= len / 2);
    read(message);
    let mut buffer = vec![0; len + 300];
    let mut builder =
        MessageBuilder::new(&mut buffer, message.header(), message.kind()).expect("there is room");
    let own = [OptionCode::MESSAGE_TYPE, OptionCode::OVERLOAD];
    let codes = (1..=254).map(OptionCode).filter(|code| !own.contains(code));
    for value in codes.clone().filter_map(|code| message.option(code)) {
        builder.copy(&value).expect("there is room");
    }
    let len = builder.finish();
    let again = Message::parse(&buffer[..len]).expect("we wrote it");
    assert_eq!(again.header(), message.header());
    assert_eq!(again.kind(), message.kind());
    for code in codes {
        let (before, after) = (message.option(code), again.option(code));
        assert_eq!(before.is_some(), after.is_some());
        if let (Some(before), Some(after)) = (before, after) {
            assert_eq!(before.len(), after.bytes().count());
            assert!(before.bytes().eq(after.bytes()));
        }
    }
}

/// All that can be asked of a message.
fn read(message: &Message<'_>) {
    let lists = [
        message.routers(),
        message.dns_servers(),
        message.ntp_servers(),
    ];
    for list in lists.into_iter().flatten().flatten() {
        assert!(list.iter().count() > 0);
    }
    let texts = [
        message.client_fqdn(),
        message.client_id(),
        message.domain_name(),
        message.host_name(),
        message.message(),
        message.parameter_list(),
        message.vendor_class(),
    ];
    for text in texts.into_iter().flatten().flatten() {
        let mut room = vec![0; text.len()];
        let copied = text.copy_to(&mut room).expect("there is room");
        assert!(text == *copied);
    }
    if let Ok(Some(relay)) = message.relay_info() {
        let total: usize = relay.sub_options().map(|(_, bytes)| 2 + bytes.len()).sum();
        assert!(total == relay.value().len() || relay.value().as_slice().is_none());
    }
    if let Ok(Some(len)) = message.subnet_mask() {
        assert!(len <= 32);
    }
    let shown = format!("{message:?} {}", message.header().hardware);
    assert!(!shown.contains('\n'));
}

/// The bytes as an answer to the client's own questions.
fn offer(bytes: &[u8]) {
    let mac = UnicastMac::new(MAC).expect("a station's");
    let mut client = Client::new(mac, Config::new(), 1);
    let mut now = Instant::from_secs(5);
    client.link_changed(now, true);
    client.start(now, None);
    let mut buffer = [0; MESSAGE_LEN];
    for _ in 0..3 {
        if let Some(due) = client.poll_timeout() {
            now = now.max(due);
        }
        client.handle_timeout(now);
        let mut xid = None;
        while let Some(sent) = client.poll_transmit(&mut buffer) {
            let message = Message::parse(&buffer[..sent.len]).expect("a legal message");
            xid = Some(message.header().xid);
        }
        let mut answer = bytes.to_vec();
        if let (Some(xid), Some(room)) = (xid, answer.get_mut(4..8)) {
            room.copy_from_slice(&xid.to_be_bytes());
        }
        if let Some(room) = answer.get_mut(28..34) {
            room.copy_from_slice(&MAC);
        }
        if client.state() == State::Requesting
            && let Some(kind) = answer.get_mut(242)
        {
            // The same as an acknowledgement, if that is where the type is.
            *kind = 5;
        }
        let _ = client.receive(now, &answer);
        client.free(now);
        let counters = client.counters();
        assert_eq!(counters.received, counters.accepted + counters.dropped());
        if let Some(lease) = client.lease() {
            assert!(!lease.ip().is_unspecified() && !lease.ip().is_multicast());
            assert_ne!(lease.ip(), lease.server());
        }
    }
}
