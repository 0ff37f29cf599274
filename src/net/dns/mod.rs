//! DNS: names to addresses and back, asked of recursive servers over UDP.
//!
//! No cache, no TCP and no IPv6: what is too long for a datagram is an error.

mod message;
mod name;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;

use embedded_nal_async::{AddrType, ConnectedUdp, Dns, UdpStack};
use message::{Answer, Kind, MESSAGE_LEN, MOST_ALIASES, Question};
use name::{Name, TextError};

use super::stats::count;
use super::{Net, UdpError, before};
use crate::link::IpLink;
use crate::time::Timer;

/// The port of DNS servers.
const PORT: u16 = 53;

/// Asks DNS servers. Every question leaves from a random port with a random number, so that whoever
/// cannot see it cannot answer it.
///
/// ```
/// # use core::net::Ipv4Addr;
/// # use embedded_nal_async::{AddrType, Dns};
/// # use whohas::link::IpLink;
/// # use whohas::net::{DnsClient, DnsError, Net};
/// # use whohas::time::Timer;
/// # async fn example<L: IpLink, T: Timer>(net: &Net<'_, L>, timer: T) -> Result<(), DnsError> {
/// let dns = DnsClient::new(net, timer, [Ipv4Addr::new(10, 0, 0, 53)]);
/// let broker = dns.get_host_by_name("broker.example", AddrType::IPv4).await?;
/// # let _ = broker;
/// # Ok(())
/// # }
/// ```
pub struct DnsClient<'n, 'a, L: IpLink, T, S> {
    net: &'n Net<'a, L>,
    timer: T,
    servers: S,
    patience: Duration,
    rounds: usize,
}

impl<'n, 'a, L: IpLink, T: Timer, S: AsRef<[Ipv4Addr]>> DnsClient<'n, 'a, L, T, S> {
    /// Asks these servers, an array or a slice, in turn, each for 2 s, and all of them three times.
    pub const fn new(net: &'n Net<'a, L>, timer: T, servers: S) -> Self {
        Self {
            net,
            timer,
            servers,
            patience: Duration::from_secs(2),
            rounds: 3,
        }
    }

    /// Waits this long for a server, and asks all of them this many times.
    pub fn with_patience(self, patience: Duration, rounds: usize) -> Self {
        Self {
            patience,
            rounds,
            ..self
        }
    }

    /// Asks until somebody knows, and follows aliases where the answers do not.
    async fn find(&self, mut name: Name, kind: Kind) -> Result<Answer, DnsError> {
        for _ in 0..=MOST_ALIASES {
            match self.ask_all(name, kind).await? {
                Answer::Alias(other) => name = other,
                Answer::Nothing => return Err(DnsError::NotFound),
                Answer::Loop => return Err(DnsError::TooManyAliases),
                Answer::Truncated => return Err(DnsError::Truncated),
                Answer::Failed(code) => return Err(DnsError::Failed(code)),
                answer @ (Answer::Address(_) | Answer::Pointer(_)) => return Ok(answer),
            }
        }
        Err(DnsError::TooManyAliases)
    }

    /// One server after the other, until one has an answer.
    async fn ask_all(&self, name: Name, kind: Kind) -> Result<Answer, DnsError> {
        let mut failure = DnsError::NoServers;
        for _ in 0..self.rounds {
            for server in self.servers.as_ref() {
                match self.ask(*server, name, kind).await {
                    Ok(Answer::Failed(code)) => failure = DnsError::Failed(code),
                    Ok(answer) => return Ok(answer),
                    Err(error) => failure = error,
                }
            }
        }
        Err(failure)
    }

    async fn ask(&self, server: Ipv4Addr, name: Name, kind: Kind) -> Result<Answer, DnsError> {
        let deadline = self.timer.now() + self.patience;
        let id = {
            let mut inner = self.net.lock();
            count(&mut inner.dns.asked);
            inner.random.next() as u16
        };
        let question = Question { id, name, kind };
        let exchange = self.exchange(server, &question);
        match before(&self.timer, deadline, exchange).await {
            Some(answer) => answer,
            None => {
                count(&mut self.net.lock().dns.timed_out);
                Err(DnsError::TimedOut)
            }
        }
    }

    /// A new port for every question: the number alone is soon guessed.
    async fn exchange(&self, server: Ipv4Addr, question: &Question) -> Result<Answer, DnsError> {
        let server = SocketAddr::V4(SocketAddrV4::new(server, PORT));
        let (_local, mut socket) = self.net.udp().connect(server).await?;
        let mut message = [0; MESSAGE_LEN];
        let len = question.emit(&mut message);
        socket.send(&message[..len]).await?;
        loop {
            let len = socket.receive_into(&mut message).await?;
            let received = &message[..len.min(MESSAGE_LEN)];
            if let Some(answer) = question.answered_by(received) {
                count(&mut self.net.lock().dns.answered);
                return Ok(answer);
            }
            count(&mut self.net.lock().dns.ignored);
        }
    }
}

impl<L: IpLink, T: Timer, S: AsRef<[Ipv4Addr]>> Dns for DnsClient<'_, '_, L, T, S> {
    type Error = DnsError;

    /// Cancel-safe. An address in text is its own answer.
    async fn get_host_by_name(&self, host: &str, kind: AddrType) -> Result<IpAddr, DnsError> {
        match kind {
            AddrType::IPv4 | AddrType::Either => {}
            AddrType::IPv6 => return Err(DnsError::Ipv6),
        }
        if let Ok(ip) = host.parse::<Ipv4Addr>() {
            return Ok(ip.into());
        }
        let name = Name::from_text(host).ok_or(DnsError::InvalidName)?;
        match self.find(name, Kind::Address).await? {
            Answer::Address(ip) => Ok(ip.into()),
            _no_address => Err(DnsError::NotFound),
        }
    }

    async fn get_host_by_address(&self, ip: IpAddr, host: &mut [u8]) -> Result<usize, DnsError> {
        let IpAddr::V4(ip) = ip else {
            return Err(DnsError::Ipv6);
        };
        match self.find(Name::of_address(ip), Kind::Pointer).await? {
            Answer::Pointer(name) => name.to_text(host).map_err(|error| match error {
                TextError::NotAHost => DnsError::InvalidName,
                TextError::TooLong => DnsError::BufferTooSmall,
            }),
            _no_name => Err(DnsError::NotFound),
        }
    }
}

impl<L: IpLink, T, S: fmt::Debug> fmt::Debug for DnsClient<'_, '_, L, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsClient")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// Why a name or an address was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DnsError {
    /// The name does not fit into the buffer.
    #[error("the name does not fit: give a buffer of 255 bytes")]
    BufferTooSmall,
    /// The server could not or would not answer; its code (RFC 1035 section 4.1.1).
    #[error("the server failed with code {0}")]
    Failed(u8),
    /// Not the name of a host.
    #[error("not the name of a host")]
    InvalidName,
    /// Only IPv4 is spoken here.
    #[error("only IPv4 is spoken here: ask for IPv4 addresses")]
    Ipv6,
    /// There are no servers to ask.
    #[error("there are no servers to ask: give one at least")]
    NoServers,
    /// There is no such name, or no such thing is known of it.
    #[error("there is no such name, or no IPv4 address of it")]
    NotFound,
    /// No server answered.
    #[error("no server answered")]
    TimedOut,
    /// Aliases that lead to each other, or too many of them.
    #[error("the name is an alias of an alias, more often than is followed")]
    TooManyAliases,
    /// More than fits into a datagram.
    #[error("the answer does not fit into a datagram, and TCP is not spoken here")]
    Truncated,
    /// The question could not be sent.
    #[error("the question could not be sent: {0}")]
    Udp(#[from] UdpError),
}

impl embedded_io_async::Error for DnsError {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        use embedded_io_async::ErrorKind;
        match self {
            Self::BufferTooSmall | Self::InvalidName | Self::NoServers => ErrorKind::InvalidInput,
            Self::Failed(_) => ErrorKind::Other,
            Self::Ipv6 => ErrorKind::Unsupported,
            Self::NotFound => ErrorKind::NotFound,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::TooManyAliases | Self::Truncated => ErrorKind::InvalidData,
            Self::Udp(error) => error.kind(),
        }
    }
}
