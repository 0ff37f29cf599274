//! What a client is told.
//!
//! What finds no room is left out, in this order of priority: what the server says of the lease, and the
//! client's identifier and the relay's information, without which there is no reply; the subnet mask;
//! what the client asks for, in its order; what it is told unasked. The fields of the boot file and the
//! server's name are used for options only if that makes room for more of them.

use core::net::Ipv4Addr;

use super::Server;
use super::ask::Ask;
use super::event::{Destination, Transmit};
use super::parked::{Asked, Place, Reply, Stage};
use super::plan::{Backend, Boot, Service, Setting};
use super::slot::NOBODY;
use super::storage::Storage;
use super::storage::sealed::Room;
use crate::wire::BufferTooSmall;
use crate::wire::dhcp::{
    DHCP_MAX_LEN, DhcpHeader, DhcpOp, LeaseTime, Message, MessageBuilder, MessageType, OptionCode,
    OptionValue,
};

/// What a vendor class begins with whose clients look for it in the reply.
const NETWORK_BOOTS: [&[u8]; 2] = [b"PXEClient", b"HTTPClient"];

impl<S: Storage> Server<S> {
    /// Writes the next reply into the buffer, which has room for
    /// [`DHCP_MAX_LEN`] bytes at least. No reply is longer than the buffer, so a shorter one is how the
    /// limits of the network are kept.
    pub fn poll_transmit(&mut self, backend: &impl Backend, buffer: &mut [u8]) -> Option<Transmit> {
        while let Some(parked) = self.lot.pop_ready(&mut self.table.storage) {
            let Some(place) = self.table.storage.parked().get(parked as usize) else {
                continue;
            };
            let (&Stage::Ready { lease }, Some(asked)) = (&place.stage, place.asked) else {
                // It waits for something again.
                continue;
            };
            let at = place.slot;
            let ip = self.table.slot(at).ip;
            let written = write(backend, place.request.bytes(), &asked, ip, lease, buffer);
            if at != NOBODY {
                self.table.slot_mut(at).parked = NOBODY;
            }
            self.lot.free(&mut self.table.storage, parked);
            let Some(Written {
                len,
                left_out,
                destination,
            }) = written
            else {
                self.counters.replies_dropped += 1;
                continue;
            };
            let kind = asked.reply.kind();
            self.counters.send(kind);
            self.counters.options_dropped += u64::from(left_out);
            return Some(Transmit {
                interface: asked.place.interface,
                source: asked.place.source,
                destination,
                len,
                kind,
                asked_at: asked.at,
            });
        }
        None
    }
}

/// A reply.
struct Written {
    len: usize,
    /// How many options found no room.
    left_out: u32,
    destination: Destination,
}

fn write(
    backend: &impl Backend,
    request: &[u8],
    asked: &Asked,
    ip: Ipv4Addr,
    lease: LeaseTime,
    buffer: &mut [u8],
) -> Option<Written> {
    let message = Message::parse(request).ok()?;
    let limit = message.max_message_len().ok().flatten();
    let limit = limit.unwrap_or(DHCP_MAX_LEN).min(buffer.len());
    let buffer = buffer.get_mut(..limit)?;
    let destination = destination(&message, asked, ip);
    if let Reply::Nak(refused) = asked.reply {
        let len = refusal(&message, &asked.place, refused.text(), buffer).ok()?;
        return Some(Written {
            len,
            left_out: 0,
            destination,
        });
    }
    let ask = Ask::of(backend, asked.place, &message).ok()?;
    let letter = Letter {
        ask: &ask,
        reply: asked.reply,
        ip,
        lease,
    };
    let (mut len, mut left_out) = letter.write(buffer, false).ok()?;
    if left_out > 0 {
        (len, left_out) = letter.write(buffer, true).ok()?;
    }
    Some(Written {
        len,
        left_out,
        destination,
    })
}

/// RFC 2131 section 4.1, and for INFORM 4.3.5.
fn destination(message: &Message<'_>, asked: &Asked, ip: Ipv4Addr) -> Destination {
    let header = message.header();
    if !header.relay_ip.is_unspecified() {
        return Destination::Relay(header.relay_ip);
    }
    let mac = header.hardware.mac();
    match (asked.reply, mac) {
        (Reply::Nak(_), _) => Destination::Broadcast,
        _ if !header.client_ip.is_unspecified() => Destination::Client {
            ip: header.client_ip,
            mac: mac.filter(|_| asked.place.local),
        },
        (_, Some(mac)) if !header.broadcast => Destination::Station { ip, mac },
        // Whom we cannot name on the link hears what all hear.
        _ => Destination::Broadcast,
    }
}

/// The fields of a reply: what the client needs to know it by, and nothing of what else it has sent.
fn header(request: &DhcpHeader) -> DhcpHeader {
    DhcpHeader {
        op: DhcpOp::Reply,
        hops: 0,
        secs: 0,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        next_server: Ipv4Addr::UNSPECIFIED,
        ..*request
    }
}

/// A NAK (RFC 2131 table 3).
fn refusal(
    message: &Message<'_>,
    place: &Place,
    text: &str,
    buffer: &mut [u8],
) -> Result<usize, BufferTooSmall> {
    let request = message.header();
    let header = DhcpHeader {
        // The relay is to tell all: the client may not have the address that it asks from.
        broadcast: request.broadcast || !request.relay_ip.is_unspecified(),
        ..header(request)
    };
    let mut reply = MessageBuilder::new(buffer, &header, MessageType::Nak)?;
    reply.address(OptionCode::SERVER_ID, place.server_id)?;
    copy(&mut reply, message, OptionCode::CLIENT_ID)?;
    // The reason is what can be done without.
    let kept = kept_for_relay(message);
    reply.keep_back(kept);
    let _ = reply.option(OptionCode::MESSAGE, text.as_bytes());
    reply.give_back(kept);
    copy(&mut reply, message, OptionCode::RELAY_INFO)?;
    Ok(reply.finish())
}

fn copy(
    reply: &mut MessageBuilder<'_>,
    message: &Message<'_>,
    code: OptionCode,
) -> Result<(), BufferTooSmall> {
    match message.option(code) {
        Some(value) => reply.copy(&value),
        None => Ok(()),
    }
}

/// How much room the relay's information takes, which comes last.
fn kept_for_relay(message: &Message<'_>) -> usize {
    let value = message.option(OptionCode::RELAY_INFO);
    value.map_or(0, |value| {
        value.len() + 2 * value.len().div_ceil(255).max(1)
    })
}

/// An OFFER or an ACK.
struct Letter<'a> {
    ask: &'a Ask<'a, 'a>,
    reply: Reply,
    ip: Ipv4Addr,
    lease: LeaseTime,
}

impl<'a> Letter<'a> {
    /// Writes it. Says how long it is, and how many options were left out.
    fn write(&self, buffer: &mut [u8], overload: bool) -> Result<(usize, u32), BufferTooSmall> {
        let message = self.ask.message;
        let request = message.header();
        let boot = self.boot();
        let informs = self.reply == Reply::Inform;
        let header = DhcpHeader {
            your_ip: if informs {
                Ipv4Addr::UNSPECIFIED
            } else {
                self.ip
            },
            // RFC 2131 table 3: that of a client that has one, in an ACK.
            client_ip: match self.reply {
                Reply::Offer | Reply::Nak(_) => Ipv4Addr::UNSPECIFIED,
                Reply::Ack | Reply::RapidAck | Reply::Inform => request.client_ip,
            },
            next_server: boot.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED),
            ..header(request)
        };
        let mut builder = MessageBuilder::new(buffer, &header, self.reply.kind())?;
        let file = self.boot_file(&boot);
        // Longer ones go as options only.
        let file_left_out = builder.boot_file_field(file).is_err();
        let name_left_out = builder.server_name_field(boot.server_name).is_err();
        if overload {
            builder = builder.with_overload();
        }
        let mut page = Page {
            builder,
            told: Told::NONE,
            left_out: 0,
        };
        let kept = kept_for_relay(message);
        page.must(OptionCode::SERVER_ID, &self.ask.place.server_id.octets())?;
        if !informs {
            self.write_times(&mut page)?;
        }
        copy(&mut page.builder, message, OptionCode::CLIENT_ID)?;
        if self.reply == Reply::RapidAck {
            page.must(OptionCode::RAPID_COMMIT, &[])?;
        }
        // RFC 3011: it was used, so it is told.
        copy(&mut page.builder, message, OptionCode::SUBNET_SELECTION)?;
        page.builder.keep_back(kept);
        self.write_rest(&mut page, &boot, file, file_left_out, name_left_out);
        page.builder.close_fields();
        page.builder.give_back(kept);
        copy(&mut page.builder, message, OptionCode::RELAY_INFO)?;
        Ok((page.builder.finish(), page.left_out))
    }

    fn write_times(&self, page: &mut Page<'_>) -> Result<(), BufferTooSmall> {
        let of = |time: LeaseTime| time.number().to_be_bytes();
        page.must(OptionCode::LEASE_TIME, &of(self.lease))?;
        if let LeaseTime::Seconds(lease) = self.lease {
            // RFC 2131 section 4.4.5: half, and seven eighths.
            let t2 = (u64::from(lease) * 7 / 8) as u32;
            page.must(OptionCode::RENEWAL_TIME, &(lease / 2).to_be_bytes())?;
            page.must(OptionCode::REBINDING_TIME, &t2.to_be_bytes())?;
        }
        Ok(())
    }

    fn write_rest(
        &self,
        page: &mut Page<'_>,
        boot: &Boot<'a>,
        file: &[u8],
        file_left_out: bool,
        name_left_out: bool,
    ) {
        let Service { subnet, .. } = self.ask.service;
        let bits = u32::MAX.checked_shl(32 - u32::from(subnet.prefix.len()));
        let mask = bits.unwrap_or(0).to_be_bytes();
        page.may(
            OptionCode::SUBNET_MASK,
            self.setting(OptionCode::SUBNET_MASK).unwrap_or(&mask),
        );
        self.write_boot_class(page, boot, file);
        let list = self.ask.message.parameter_list().ok().flatten();
        let asks_for =
            |code: OptionCode| list.is_some_and(|list| list.bytes().any(|wanted| wanted == code.0));
        let wanted = list.iter().flat_map(OptionValue::bytes);
        for code in wanted.map(OptionCode) {
            match code {
                OptionCode::BOOT_FILE_NAME if !file.is_empty() => page.may(code, file),
                OptionCode::TFTP_SERVER_NAME if !boot.server_name.is_empty() => {
                    page.may(code, boot.server_name);
                }
                _other => self.write_wanted(page, code),
            }
        }
        if file_left_out && !asks_for(OptionCode::BOOT_FILE_NAME) {
            page.may(OptionCode::BOOT_FILE_NAME, file);
        }
        if name_left_out && !asks_for(OptionCode::TFTP_SERVER_NAME) {
            page.may(OptionCode::TFTP_SERVER_NAME, boot.server_name);
        }
        // Who says nothing of what he wants is told all.
        let all = list.is_none();
        for settings in self.sources() {
            for setting in settings {
                if all || setting.always {
                    page.setting(setting.code, self.setting(setting.code).unwrap_or_default());
                }
            }
        }
        if all {
            self.write_wanted(page, OptionCode::HOST_NAME);
        }
    }

    fn write_wanted(&self, page: &mut Page<'_>, code: OptionCode) {
        let Service {
            subnet,
            reservation,
            class: _,
        } = self.ask.service;
        if let Some(value) = self.setting(code) {
            page.setting(code, value);
            return;
        }
        match code {
            OptionCode::BROADCAST => {
                if let Some(broadcast) = subnet.prefix.broadcast() {
                    page.may(code, &broadcast.octets());
                }
            }
            OptionCode::HOST_NAME => {
                if let Some(name) = reservation.and_then(|known| known.host_name) {
                    page.may(code, name.as_bytes());
                }
            }
            _other => {}
        }
    }

    /// What clients that boot from the network look for in a reply: their class, and that it is for them
    /// (PXE 2.1 section 2.2).
    fn write_boot_class(&self, page: &mut Page<'_>, boot: &Boot<'a>, file: &[u8]) {
        let message = self.ask.message;
        let boots = !file.is_empty()
            || boot.next_server.is_some()
            || self.setting(OptionCode::VENDOR_SPECIFIC).is_some();
        let Some(class) = self.ask.vendor_class else {
            return;
        };
        let mut kinds = NETWORK_BOOTS.into_iter();
        let Some(kind) = kinds.find(|kind| class.starts_with(kind)).filter(|_| boots) else {
            return;
        };
        let class = self.setting(OptionCode::VENDOR_CLASS).unwrap_or(kind);
        page.may(OptionCode::VENDOR_CLASS, class);
        let uuid = message.option(OptionCode::CLIENT_UUID);
        if let Some(uuid) = uuid.and_then(|uuid| uuid.as_slice()) {
            page.may(OptionCode::CLIENT_UUID, uuid);
        }
        // Clients do not ask for it, and go nowhere without it.
        if let Some(value) = self.setting(OptionCode::VENDOR_SPECIFIC) {
            page.may(OptionCode::VENDOR_SPECIFIC, value);
        }
    }

    /// Who says what, first who knows most of the client.
    fn sources(&self) -> [&'a [Setting<'a>]; 3] {
        let Service {
            subnet,
            reservation,
            class,
        } = self.ask.service;
        [
            reservation.map(|known| known.options).unwrap_or_default(),
            class.map(|class| class.options).unwrap_or_default(),
            subnet.options,
        ]
    }

    fn setting(&self, code: OptionCode) -> Option<&'a [u8]> {
        let mut all = self.sources().into_iter().flatten();
        all.find(|setting| setting.code == code)
            .map(|setting| setting.value)
    }

    fn boot(&self) -> Boot<'a> {
        let Service {
            subnet,
            reservation,
            class,
        } = self.ask.service;
        let of_reservation = reservation.and_then(|known| known.boot);
        let of_class = class.and_then(|class| class.boot);
        of_reservation.or(of_class).unwrap_or(subnet.boot)
    }

    fn boot_file(&self, boot: &Boot<'a>) -> &'a [u8] {
        let architecture = self.ask.architecture;
        let mut files = boot.files.iter();
        files
            .find(|(known, _)| Some(*known) == architecture)
            .map_or(boot.file, |&(_, file)| file)
    }
}

/// A reply that is being written.
struct Page<'b> {
    builder: MessageBuilder<'b>,
    told: Told,
    left_out: u32,
}

impl Page<'_> {
    /// What there is no reply without.
    fn must(&mut self, code: OptionCode, value: &[u8]) -> Result<(), BufferTooSmall> {
        self.told.insert(code);
        self.builder.option(code, value)
    }

    /// What is told if it was not, and if there is room.
    fn may(&mut self, code: OptionCode, value: &[u8]) {
        if self.told.insert(code) && self.builder.option(code, value).is_err() {
            self.left_out += 1;
        }
    }

    /// The same, unless it is the server's own to tell.
    fn setting(&mut self, code: OptionCode, value: &[u8]) {
        if !matches!(code.0, 0 | 50..=55 | 57..=59 | 61 | 80..=82 | 118 | 255) {
            self.may(code, value);
        }
    }
}

/// The options that were told.
#[derive(Clone, Copy)]
struct Told([u64; 4]);

impl Told {
    const NONE: Self = Self([0; 4]);

    /// Whether it is new.
    fn insert(&mut self, code: OptionCode) -> bool {
        let Some(word) = self.0.get_mut(usize::from(code.0 / 64)) else {
            return false;
        };
        let bit = 1 << (code.0 % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
