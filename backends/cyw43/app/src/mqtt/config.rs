//! Which broker, as whom, and for how long.

use core::net::SocketAddr;
use core::time::Duration;

use crate::backoff::Patience;

/// Which broker, as whom, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Config<'a> {
    /// The broker; MQTT has port 1883.
    pub broker: SocketAddr,
    /// Our name: nobody else's at this broker, and the same after a restart. Up to 64 bytes.
    pub client_id: &'a str,
    /// User and password, if the broker wants them.
    pub credentials: Option<(&'a str, &'a [u8])>,
    /// How we are known to be there, and not to be.
    pub presence: Option<Presence<'a>>,
    /// What we want to hear, as filters.
    pub subscriptions: &'a [&'a str],
    /// The broker hears something from us at least this often, in seconds. Less than 10 is hard on a
    /// radio that sleeps.
    pub keep_alive: u16,
    /// How long the broker keeps our session when we are gone, in seconds.
    pub session_expiry: u32,
    /// How long a dial, a handshake or a write may take.
    pub timeout: Duration,
    /// How long to wait between tries.
    pub patience: Patience,
}

impl<'a> Config<'a> {
    /// The defaults: a sign of life every minute, a session that is kept for an hour, 10 s for the
    /// broker to answer, up to a minute between tries, and nothing subscribed to.
    pub const fn new(broker: SocketAddr, client_id: &'a str) -> Self {
        Self {
            broker,
            client_id,
            credentials: None,
            presence: None,
            subscriptions: &[],
            keep_alive: 60,
            session_expiry: 3_600,
            timeout: Duration::from_secs(10),
            patience: Patience::DEFAULT,
        }
    }
}

/// A retained message that says whether we are there: published at every connection, and by the broker
/// as our last will when it has lost us.
#[derive(Clone, Copy, Debug)]
pub struct Presence<'a> {
    /// Where.
    pub topic: &'a str,
    /// Said by us.
    pub online: &'a [u8],
    /// Said for us.
    pub offline: &'a [u8],
}

/// What cannot be said to any broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// The name is too long.
    #[error("the client's name is too long: 64 bytes is the most")]
    ClientIdTooLong,
    /// The presence, or the credentials, cannot be sent.
    #[error("the topic of the presence is too long, or has a wildcard")]
    Presence,
}
