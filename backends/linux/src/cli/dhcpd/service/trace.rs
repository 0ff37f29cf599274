//! For those who look for an error: a line for each message that comes, is dropped or leaves.

use std::fmt::{self, Display, Formatter};
use std::io::Write;

use whohas::Instant;
use whohas::dhcp::server::{Arrival, Destination, DropReason, Received, Transmit};
use whohas::wire::dhcp::{Message, MessageType};

use crate::cli::dhcpd::log::{Field, Kind, Level, Log};
use crate::cli::dhcpd::meters::TYPES;

pub(super) fn received(
    log: &mut Log<impl Write>,
    now: Instant,
    arrival: &Arrival<'_>,
    payload: &[u8],
    received: &Received,
) {
    if !log.tells(Level::Debug) {
        return;
    }
    let message = Message::parse(payload).ok();
    let client = message.map(|message| message.header().hardware);
    let kind = message.map_or("?", |message| name(message.kind()));
    let reason = match received {
        Received::Handled(_) => None,
        Received::Dropped(reason) => Some(reason),
    };
    let error = match reason {
        Some(DropReason::Malformed(error)) => Some(error),
        Some(_) | None => None,
    };
    let reason = reason.map(|reason| reason.name());
    let mut fields = vec![
        Field::text("type", &kind),
        Field::text("from", &arrival.source),
        Field::text("to", &arrival.destination),
    ];
    // The interface that it came in by.
    let at = arrival.addresses.first().map(|own| own.ip());
    fields.extend(at.as_ref().map(|at| Field::text("at", at)));
    fields.extend(
        client
            .as_ref()
            .map(|client| Field::text("client_mac", client)),
    );
    fields.extend(reason.as_ref().map(|reason| Field::text("reason", reason)));
    fields.extend(error.map(|error| Field::text("error", error)));
    match reason {
        None => log.tell(now, Level::Debug, Kind::Received, "received", &fields),
        Some(_) => log.tell(now, Level::Debug, Kind::Dropped, "dropped", &fields),
    }
}

pub(super) fn sent(log: &mut Log<impl Write>, now: Instant, transmit: &Transmit, payload: &[u8]) {
    if !log.tells(Level::Debug) {
        return;
    }
    let header = Message::parse(payload)
        .ok()
        .map(|message| *message.header());
    let kind = name(transmit.kind);
    let to = To(&transmit.destination);
    let mut fields = vec![
        Field::text("type", &kind),
        Field::text("from", &transmit.source),
        Field::text("to", &to),
    ];
    if let Some(header) = &header {
        fields.push(Field::text("client_mac", &header.hardware));
        fields.push(Field::text("ip", &header.your_ip));
    }
    log.tell(now, Level::Debug, Kind::Sent, "sent", &fields);
}

fn name(kind: MessageType) -> &'static str {
    let mut types = TYPES.iter();
    types
        .find(|(known, _)| *known == kind)
        .map_or("?", |(_, name)| name)
}

/// Where a reply goes, as text.
struct To<'a>(&'a Destination);

impl Display for To<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Destination::Relay(ip) | Destination::Client { ip, mac: None } => write!(f, "{ip}"),
            Destination::Client { mac: Some(mac), .. } | Destination::Station { mac, .. } => {
                write!(f, "{mac}")
            }
            Destination::Broadcast => f.write_str("all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use whohas::UnicastMac;
    use whohas::dhcp::server::InterfaceId;
    use whohas::wire::dhcp::{DhcpHeader, MessageBuilder};

    use super::*;
    use crate::cli::dhcpd::log::Format;

    #[test]
    fn a_drop_says_of_whom_and_why_and_is_for_those_who_ask() {
        let mac = UnicastMac::new([2, 0, 0, 0, 0, 9]).unwrap();
        let arrival = Arrival {
            interface: InterfaceId(0),
            mac,
            addresses: &[whohas::Prefix::new([10, 0, 0, 1].into(), 24).unwrap()],
            source: [0, 0, 0, 0].into(),
            destination: [255, 255, 255, 255].into(),
        };
        let mut buffer = [0; 300];
        let header = DhcpHeader::request(7, mac);
        let message = MessageBuilder::new(&mut buffer, &header, MessageType::Discover).unwrap();
        let len = message.finish();
        let told = |level, payload: &[u8], reason| {
            let mut out = Vec::new();
            let mut log = Log::new(&mut out, Format::Journal, level);
            received(
                &mut log,
                Instant::ZERO,
                &arrival,
                payload,
                &Received::Dropped(reason),
            );
            String::from_utf8(out).unwrap()
        };
        let start = "from=0.0.0.0 to=255.255.255.255 at=10.0.0.1";
        assert_eq!(
            told(Level::Debug, &buffer[..len], DropReason::Exhausted),
            format!(
                "<7>dropped type=discover {start} client_mac=02:00:00:00:00:09 reason=exhausted\n"
            )
        );
        let error = Message::parse(b"?").unwrap_err();
        let malformed = told(Level::Debug, b"?", DropReason::Malformed(error));
        let expected = format!("<7>dropped type=? {start} reason=malformed error=\"{error}\"\n");
        assert_eq!(malformed, expected);
        assert_eq!(told(Level::Info, b"?", DropReason::Busy), "");
    }
}
