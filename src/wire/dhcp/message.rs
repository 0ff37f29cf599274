//! A received message, looked at in place.

use zerocopy::FromBytes;

use super::DhcpHeader;
use super::header::RawHeader;
use super::options::{OptionCode, OptionValue, Options};

/// A DHCP message: one with a type. What is in the options is read when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    header: DhcpHeader,
    kind: MessageType,
    options: Options<'a>,
    server_name: &'a [u8],
    boot_file: &'a [u8],
}

impl<'a> Message<'a> {
    /// The message in a datagram.
    ///
    /// A missing end marker is forgiven where the last option is whole. An option that is not whole, in
    /// any field that has options, is an error.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, DhcpError> {
        let (raw, field) =
            RawHeader::ref_from_prefix(datagram).map_err(|_| DhcpError::Truncated)?;
        let header = DhcpHeader::of(raw)?;
        let mut options = Options::check(field)?;
        let overload = match options.value(OptionCode::OVERLOAD) {
            Some(value) => match value.to_array() {
                Some([overload @ 1..=3]) => overload,
                _other => return Err(DhcpError::Overload),
            },
            None => 0,
        };
        // RFC 3396 section 5: first the options, then the file, then the name. What these say of
        // overloading again is no option 52 (RFC 2131 section 4.1).
        let (in_file, in_name) = (overload & 1 != 0, overload & 2 != 0);
        options.extend(
            if in_file { &raw.file } else { &[] },
            if in_name { &raw.sname } else { &[] },
        )?;
        let kind = options
            .value(OptionCode::MESSAGE_TYPE)
            .ok_or(DhcpError::NoType)?;
        let kind = match kind.to_array() {
            Some([number]) => MessageType::of(number).ok_or(DhcpError::Type(number))?,
            None => return Err(DhcpError::NoType),
        };
        Ok(Self {
            header,
            kind,
            options,
            server_name: if in_name { &[] } else { text(&raw.sname) },
            boot_file: if in_file { &[] } else { text(&raw.file) },
        })
    }

    /// The fields in front of the options.
    pub const fn header(&self) -> &DhcpHeader {
        &self.header
    }

    /// What the message is (option 53).
    pub const fn kind(&self) -> MessageType {
        self.kind
    }

    /// The name in the field for it, without the zeros behind; empty if there are options there.
    pub const fn server_name_field(&self) -> &'a [u8] {
        self.server_name
    }

    /// The file in the field for it, without the zeros behind; empty if there are options there.
    pub const fn boot_file_field(&self) -> &'a [u8] {
        self.boot_file
    }

    /// All options, in pieces as they came.
    pub const fn options(&self) -> Options<'a> {
        self.options
    }

    /// One option; all that has its code belongs together (RFC 3396).
    pub fn option(&self, code: OptionCode) -> Option<OptionValue<'a>> {
        self.options.value(code)
    }
}

/// A text in a field: up to the first zero.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0);
    field
        .split_at_checked(end.unwrap_or(field.len()))
        .map_or(field, |(text, _)| text)
}

/// What a message is (RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum MessageType {
    /// A client looks for servers.
    Discover = 1,
    /// A server has an address to give.
    Offer = 2,
    /// A client wants an address, or to keep it.
    Request = 3,
    /// A client says that somebody else has the address.
    Decline = 4,
    /// A server grants.
    Ack = 5,
    /// A server refuses.
    Nak = 6,
    /// A client gives its address back.
    Release = 7,
    /// A client has an address and wants to know everything else.
    Inform = 8,
}

impl MessageType {
    /// All there are, in the order of their numbers, which begin with 1.
    pub const ALL: [Self; 8] = [
        Self::Discover,
        Self::Offer,
        Self::Request,
        Self::Decline,
        Self::Ack,
        Self::Nak,
        Self::Release,
        Self::Inform,
    ];

    /// Its number in option 53.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The type as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ack => "ack",
            Self::Decline => "decline",
            Self::Discover => "discover",
            Self::Inform => "inform",
            Self::Nak => "nak",
            Self::Offer => "offer",
            Self::Release => "release",
            Self::Request => "request",
        }
    }

    fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// Why bytes are not a DHCP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DhcpError {
    /// BOOTP or something else: the magic cookie is missing.
    #[error("the magic cookie is missing")]
    Cookie,
    /// The hardware address is longer than its field.
    #[error("a hardware address of {0} bytes, of which there can be 16")]
    HardwareLen(u8),
    /// No message type, or not of one byte: BOOTP.
    #[error("no message type")]
    NoType,
    /// Neither a request nor a reply.
    #[error("operation {0} is neither a request nor a reply")]
    Op(u8),
    /// An option ends behind its field.
    #[error("option {0} is not whole")]
    OptionTruncated(u8),
    /// Option 52 names no field.
    #[error("option 52 (overload) names no field")]
    Overload,
    /// Shorter than the fields in front of the options.
    #[error("the datagram ends inside the fixed fields")]
    Truncated,
    /// A message type that is not spoken here.
    #[error("message type {0} is not spoken here")]
    Type(u8),
}
