//! What a server grants, as far as it can be true.

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;

use super::DropReason;
use super::config::is_name;
use crate::Prefix;
use crate::wire::can_be_host;
use crate::wire::dhcp::{Addresses, LeaseTime, Message, OptionCode, OptionError, OptionValue};

/// The shortest prefix that any network has: larger ones are a way to make us ask for everybody.
const MIN_PREFIX: u8 = 8;
/// The longest name of a domain that is kept.
const DOMAIN: usize = 64;

/// An address, for how long, and what else the server told.
///
/// Of each list the first few that a host can have are kept: two routers, three DNS servers, three NTP
/// servers. Others are dropped and [counted](super::Counters::values_dropped), as is a domain's name
/// that is longer than 64 bytes or is no name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Lease {
    prefix: Prefix,
    server: Ipv4Addr,
    routers: AddressList<2>,
    dns_servers: AddressList<3>,
    ntp_servers: AddressList<3>,
    domain: Domain,
    mtu: Option<u16>,
    /// Counted from the request; `None`: never.
    times: Option<Times<Duration>>,
    dropped: u32,
}

/// When what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Times<T> {
    /// T1.
    pub(super) renew: T,
    /// T2.
    pub(super) rebind: T,
    pub(super) expire: T,
}

impl Lease {
    /// Our address in its prefix.
    pub const fn prefix(&self) -> Prefix {
        self.prefix
    }

    /// Our address.
    pub const fn ip(&self) -> Ipv4Addr {
        self.prefix.ip()
    }

    /// The server that granted it.
    pub const fn server(&self) -> Ipv4Addr {
        self.server
    }

    /// Routers on our network, the preferred one first.
    pub const fn routers(&self) -> &AddressList<2> {
        &self.routers
    }

    /// DNS servers, the preferred one first.
    pub const fn dns_servers(&self) -> &AddressList<3> {
        &self.dns_servers
    }

    /// NTP servers, the preferred one first.
    pub const fn ntp_servers(&self) -> &AddressList<3> {
        &self.ntp_servers
    }

    /// The domain that we are in.
    pub fn domain(&self) -> Option<&str> {
        self.domain.as_str()
    }

    /// The longest packet that the network takes, if the server says so.
    pub const fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// For how long the address is ours from when it was asked for; `None`: for ever.
    pub const fn duration(&self) -> Option<Duration> {
        match self.times {
            Some(times) => Some(times.expire),
            None => None,
        }
    }

    /// How many values are not kept.
    pub(super) const fn dropped(&self) -> u32 {
        self.dropped
    }

    pub(super) const fn times(&self) -> Option<Times<Duration>> {
        self.times
    }

    /// What this offer or acknowledgement grants.
    pub(super) fn read(message: &Message<'_>, server: Ipv4Addr) -> Result<Self, DropReason> {
        let ip = message.header().your_ip;
        let len = message.subnet_mask()?.ok_or(DropReason::SubnetMask)?;
        let prefix = Prefix::new(ip, len).map_err(|_| DropReason::SubnetMask)?;
        if len < MIN_PREFIX {
            return Err(DropReason::SubnetMask);
        }
        if prefix.check_host().is_err() || ip == server {
            return Err(DropReason::Address);
        }
        // Not used here, but a server that garbles them is not believed in anything.
        message.broadcast()?;
        for code in [OptionCode::TFTP_SERVER_NAME, OptionCode::BOOT_FILE_NAME] {
            if message.option(code).is_some_and(|value| value.is_empty()) {
                return Err(DropReason::Option);
            }
        }
        let mut lease = Self {
            prefix,
            server,
            routers: AddressList::EMPTY,
            dns_servers: AddressList::EMPTY,
            ntp_servers: AddressList::EMPTY,
            domain: Domain::NONE,
            mtu: message.mtu()?,
            times: Times::read(message)?,
            dropped: 0,
        };
        // A router that is no neighbour cannot be asked for anything.
        let is_router = |ip| prefix.contains(ip) && ip != prefix.ip();
        lease.dropped += lease.routers.fill(message.routers(), is_router)?;
        lease.dropped += lease.dns_servers.fill(message.dns_servers(), |_| true)?;
        lease.dropped += lease.ntp_servers.fill(message.ntp_servers(), |_| true)?;
        if let Some(domain) = message.domain_name()? {
            match Domain::read(&domain) {
                Some(name) => lease.domain = name,
                None => lease.dropped += 1,
            }
        }
        Ok(lease)
    }
}

impl Times<Duration> {
    /// RFC 2131 section 4.4.5: T1 and T2 are half and seven eighths of the lease, if nothing
    /// sensible is said of them.
    fn read(message: &Message<'_>) -> Result<Option<Self>, DropReason> {
        let renew = message.renewal_time()?.and_then(eighths);
        let rebind = message.rebinding_time()?.and_then(eighths);
        let time = message.lease_time()?.ok_or(DropReason::LeaseTime)?;
        let Some(expire) = eighths(time) else {
            return Ok(None);
        };
        if expire == 0 {
            return Err(DropReason::LeaseTime);
        }
        let (renew, rebind) = match (renew, rebind) {
            (Some(renew), Some(rebind)) if renew < rebind && rebind < expire => (renew, rebind),
            (Some(renew), None) if renew < expire / 8 * 7 => (renew, expire / 8 * 7),
            (None, Some(rebind)) if expire / 2 < rebind && rebind < expire => (expire / 2, rebind),
            _no_sense => (expire / 2, expire / 8 * 7),
        };
        Ok(Some(Self {
            renew: duration(renew),
            rebind: duration(rebind),
            expire: duration(expire),
        }))
    }
}

/// The eighths of a second of a time that ends: in them every part of a lease is a whole number, and
/// numbers are easier to compare than durations.
fn eighths(time: LeaseTime) -> Option<u64> {
    match time {
        LeaseTime::Seconds(seconds) => Some(u64::from(seconds) * 8),
        LeaseTime::Infinite => None,
    }
}

#[cfg_attr(target_pointer_width = "32", inline(never))]
fn duration(eighths: u64) -> Duration {
    Duration::new(eighths / 8, (eighths % 8) as u32 * 125_000_000)
}

/// The name of a domain, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Domain {
    len: u8,
    text: [u8; DOMAIN],
}

impl Domain {
    const NONE: Self = Self {
        len: 0,
        text: [0; DOMAIN],
    };

    /// If it is one and there is room for it.
    fn read(value: &OptionValue<'_>) -> Option<Self> {
        let mut text = [0; DOMAIN];
        let bytes = value.copy_to(&mut text).ok()?;
        // Some servers count the zero at the end of their own text.
        let name = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        let (len, is_name) = (name.len() as u8, is_name(name));
        is_name.then_some(Self { len, text })
    }

    fn as_str(&self) -> Option<&str> {
        let name = self.text.get(..self.len.into())?;
        // What names have is ASCII.
        str::from_utf8(name).ok().filter(|name| !name.is_empty())
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Domain {
    fn format(&self, f: defmt::Formatter<'_>) {
        self.as_str().format(f);
    }
}

impl From<OptionError> for DropReason {
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn from(error: OptionError) -> Self {
        match error.code {
            OptionCode::LEASE_TIME => Self::LeaseTime,
            OptionCode::SERVER_ID => Self::ServerId,
            OptionCode::SUBNET_MASK => Self::SubnetMask,
            _other => Self::Option,
        }
    }
}

/// A few addresses, in order of preference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AddressList<const N: usize> {
    len: u8,
    /// Unspecified where there are none.
    ips: [Ipv4Addr; N],
}

impl<const N: usize> AddressList<N> {
    const EMPTY: Self = Self {
        len: 0,
        ips: [Ipv4Addr::UNSPECIFIED; N],
    };

    /// The preferred one.
    pub fn first(&self) -> Option<Ipv4Addr> {
        self.as_ref().first().copied()
    }

    /// Takes what a host can have and what belongs, as long as there is room. Returns how many were
    /// not taken.
    fn fill(
        &mut self,
        found: Result<Option<Addresses<'_>>, OptionError>,
        belongs: impl Fn(Ipv4Addr) -> bool,
    ) -> Result<u32, OptionError> {
        fill(&mut self.len, &mut self.ips, found, &belongs)
    }
}

#[cfg_attr(target_pointer_width = "32", inline(never))]
fn fill(
    len: &mut u8,
    room: &mut [Ipv4Addr],
    found: Result<Option<Addresses<'_>>, OptionError>,
    belongs: &dyn Fn(Ipv4Addr) -> bool,
) -> Result<u32, OptionError> {
    let mut left = 0;
    if let Some(found) = found? {
        let mut places = room.iter_mut();
        for ip in found.iter() {
            if can_be_host(ip)
                && belongs(ip)
                && let Some(place) = places.next()
            {
                *place = ip;
                *len += 1;
            } else {
                left += 1;
            }
        }
    }
    Ok(left)
}

impl<const N: usize> AsRef<[Ipv4Addr]> for AddressList<N> {
    fn as_ref(&self) -> &[Ipv4Addr] {
        self.ips.get(..self.len.into()).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Debug for AddressList<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl<const N: usize> defmt::Format for AddressList<N> {
    fn format(&self, f: defmt::Formatter<'_>) {
        self.as_ref().format(f);
    }
}
