//! What the options say, as values. Absent is `None`; an option that cannot be true is an error, so
//! that whoever reads it decides whether the message is worth anything without it.

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use super::options::{OptionCode, OptionValue};
use super::relay::RelayInfo;
use super::{DHCP_MAX_LEN, Message};

type Found<T> = Result<Option<T>, OptionError>;

/// IPv4's least.
const MIN_MTU: u16 = 68;
const HEADERS: usize = 20 + 8;

/// # What the options say
impl<'a> Message<'a> {
    /// The length of the prefix that the subnet mask is (option 1).
    pub fn subnet_mask(&self) -> Found<u8> {
        self.read(OptionCode::SUBNET_MASK, |value| {
            let mask = u32::from_be_bytes(value.to_array()?);
            let len = mask.leading_ones();
            (len + mask.trailing_zeros() >= u32::BITS).then_some(len as u8)
        })
    }

    /// Routers, the preferred one first (option 3).
    pub fn routers(&self) -> Found<Addresses<'a>> {
        self.addresses(OptionCode::ROUTERS)
    }

    /// DNS servers, the preferred one first (option 6).
    pub fn dns_servers(&self) -> Found<Addresses<'a>> {
        self.addresses(OptionCode::DNS_SERVERS)
    }

    /// The client's name, or what it is to be called (option 12). Any bytes at all.
    pub fn host_name(&self) -> Found<OptionValue<'a>> {
        self.not_empty(OptionCode::HOST_NAME)
    }

    /// The domain that the client is in (option 15). Any bytes at all.
    pub fn domain_name(&self) -> Found<OptionValue<'a>> {
        self.not_empty(OptionCode::DOMAIN_NAME)
    }

    /// The longest packet that the network takes (option 26).
    pub fn mtu(&self) -> Found<u16> {
        self.read(OptionCode::MTU, |value| {
            let mtu = u16::from_be_bytes(value.to_array()?);
            (mtu >= MIN_MTU).then_some(mtu)
        })
    }

    /// The broadcast address (option 28).
    pub fn broadcast(&self) -> Found<Ipv4Addr> {
        self.address(OptionCode::BROADCAST)
    }

    /// NTP servers, the preferred one first (option 42).
    pub fn ntp_servers(&self) -> Found<Addresses<'a>> {
        self.addresses(OptionCode::NTP_SERVERS)
    }

    /// The address that a client wants, or declines (option 50).
    pub fn requested_ip(&self) -> Found<Ipv4Addr> {
        self.address(OptionCode::REQUESTED_IP)
    }

    /// For how long an address is given, or wanted (option 51).
    pub fn lease_time(&self) -> Found<LeaseTime> {
        self.time(OptionCode::LEASE_TIME)
    }

    /// Which server speaks, or is spoken to (option 54).
    pub fn server_id(&self) -> Found<Ipv4Addr> {
        self.address(OptionCode::SERVER_ID)
    }

    /// The codes of the options that the client wants, in its order (option 55).
    pub fn parameter_list(&self) -> Found<OptionValue<'a>> {
        self.not_empty(OptionCode::PARAMETER_LIST)
    }

    /// Why a server refuses, or a client declines (option 56). Any bytes at all.
    pub fn message(&self) -> Found<OptionValue<'a>> {
        self.not_empty(OptionCode::MESSAGE)
    }

    /// How many bytes of message the client takes; never less than [`DHCP_MAX_LEN`] (option 57, which
    /// counts the headers too).
    pub fn max_message_len(&self) -> Found<usize> {
        self.read(OptionCode::MAX_MESSAGE_LEN, |value| {
            let len = u16::from_be_bytes(value.to_array()?);
            Some(usize::from(len).saturating_sub(HEADERS).max(DHCP_MAX_LEN))
        })
    }

    /// After what time the client renews (T1, option 58).
    pub fn renewal_time(&self) -> Found<LeaseTime> {
        self.time(OptionCode::RENEWAL_TIME)
    }

    /// After what time the client asks any server (T2, option 59).
    pub fn rebinding_time(&self) -> Found<LeaseTime> {
        self.time(OptionCode::REBINDING_TIME)
    }

    /// What the client is (option 60). Any bytes at all.
    pub fn vendor_class(&self) -> Found<OptionValue<'a>> {
        self.not_empty(OptionCode::VENDOR_CLASS)
    }

    /// Who the client is: a type and at least one more byte (option 61).
    pub fn client_id(&self) -> Found<OptionValue<'a>> {
        self.read(OptionCode::CLIENT_ID, |value| {
            (value.len() >= 2).then_some(value)
        })
    }

    /// The client's full name, and who tells the DNS of it (option 81): flags, two numbers, a name.
    pub fn client_fqdn(&self) -> Found<OptionValue<'a>> {
        self.read(OptionCode::CLIENT_FQDN, |value| {
            (value.len() >= 3).then_some(value)
        })
    }

    /// What relays have said (option 82).
    pub fn relay_info(&self) -> Found<RelayInfo<'a>> {
        self.read(OptionCode::RELAY_INFO, RelayInfo::new)
    }

    /// The value of this option as `value` reads it; an error if that comes to nothing.
    fn read<T>(
        &self,
        code: OptionCode,
        value: impl FnOnce(OptionValue<'a>) -> Option<T>,
    ) -> Found<T> {
        let Some(found) = self.option(code) else {
            return Ok(None);
        };
        let len = found.len();
        value(found).map(Some).ok_or(OptionError { code, len })
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn not_empty(&self, code: OptionCode) -> Found<OptionValue<'a>> {
        self.read(code, |value| (!value.is_empty()).then_some(value))
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn address(&self, code: OptionCode) -> Found<Ipv4Addr> {
        self.read(code, |value| value.to_array::<4>().map(Ipv4Addr::from))
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn addresses(&self, code: OptionCode) -> Found<Addresses<'a>> {
        self.read(code, |value| {
            (!value.is_empty() && value.len().is_multiple_of(4)).then_some(Addresses(value))
        })
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn time(&self, code: OptionCode) -> Found<LeaseTime> {
        self.read(code, |value| {
            value.to_array().map(u32::from_be_bytes).map(LeaseTime::of)
        })
    }
}

/// At least one address, in order of preference.
#[derive(Clone, Copy, Debug)]
pub struct Addresses<'a>(OptionValue<'a>);

impl<'a> Addresses<'a> {
    /// The addresses.
    pub fn iter(&self) -> impl Iterator<Item = Ipv4Addr> + use<'a> {
        let mut bytes = self.0.bytes();
        core::iter::from_fn(move || {
            let mut next = || bytes.next();
            Some(Ipv4Addr::new(next()?, next()?, next()?, next()?))
        })
    }
}

/// A time as DHCP counts it: seconds, or no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum LeaseTime {
    /// This many seconds; fewer than 2^32 - 1.
    Seconds(u32),
    /// For ever.
    Infinite,
}

impl LeaseTime {
    /// The time of this number; all ones are for ever.
    pub const fn of(number: u32) -> Self {
        match number {
            u32::MAX => Self::Infinite,
            seconds => Self::Seconds(seconds),
        }
    }

    /// The number that stands for it.
    pub const fn number(self) -> u32 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Infinite => u32::MAX,
        }
    }

    /// How long it is, if it ends.
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) => Some(Duration::from_secs(seconds as u64)),
            Self::Infinite => None,
        }
    }
}

impl fmt::Display for LeaseTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "{seconds} s"),
            Self::Infinite => f.write_str("for ever"),
        }
    }
}

/// An option that is there but cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("option {} of {len} bytes cannot be true", code.0)]
pub struct OptionError {
    /// Which.
    pub code: OptionCode,
    /// How long it is.
    pub len: usize,
}
