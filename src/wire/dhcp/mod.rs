//! DHCP for IPv4 on the wire (RFC 2131, options of RFC 2132), for clients and servers alike.
//!
//! [`Message::parse`] looks at a datagram in place and refuses what cannot be a DHCP message; behind
//! it every walk over the options is total, and takes no more steps than there are bytes. Options
//! that are split (RFC 3396) or in the fields of the boot file and the server's name (option 52) are
//! found like all others. [`MessageBuilder`] writes into the caller's buffer. Nothing here knows what
//! a message means.

mod builder;
mod getters;
mod header;
mod message;
mod options;
mod relay;
#[cfg(test)]
mod tests;

pub use builder::MessageBuilder;
pub use getters::{Addresses, LeaseTime, OptionError};
pub use header::{ClientHardware, DhcpHeader, DhcpOp, HardwareLen};
pub use message::{DhcpError, Message, MessageType};
pub use options::{OptionCode, OptionPiece, OptionValue, Options};
pub use relay::{RelayInfo, SubOptions};

/// The port of DHCP servers and relays.
pub const DHCP_SERVER_PORT: u16 = 67;
/// The port of DHCP clients.
pub const DHCP_CLIENT_PORT: u16 = 68;
/// The length of what is before the options, the magic cookie included. No message is shorter.
pub const DHCP_HEADER_LEN: usize = size_of::<header::RawHeader>();
/// What a message is padded to: the length of a BOOTP message (RFC 1542 section 2.1), below which some
/// relays and clients look no further.
pub const DHCP_MIN_LEN: usize = 300;
/// What every client can receive (RFC 2131 section 2), and the least that option 57 can say.
pub const DHCP_MAX_LEN: usize = 576 - 20 - 8;
