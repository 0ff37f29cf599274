//! What a stack does when nothing is heard: its time-outs, and the seed of its secrets.

use core::time::Duration;

/// How long a stack waits for what, and where its randomness comes from.
///
/// ```
/// use core::time::Duration;
/// use whohas::net::Config;
///
/// let mut config = Config::new(0x5eed_0f_c4a9ce);
/// config.linger = Duration::from_secs(3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Config {
    /// Sequence numbers, ephemeral ports and query ids come from it. Take it from a source of true
    /// randomness, and another one at every start.
    pub seed: u64,
    /// From the beginning of a dial, the neighbour's resolution included, to its failure. It also
    /// bounds the handshakes of those who dial us.
    pub connect_timeout: Duration,
    /// How long data may wait for a peer of which nothing is heard, before the connection fails. A
    /// peer that answers but takes no data is waited for: as it is asked only once a minute in the
    /// end, whoever makes this shorter gives such peers up.
    pub silence: Duration,
    /// How long a dropped connection goes on in the background, delivering what was written; then it
    /// is reset.
    pub linger: Duration,
}

impl Config {
    /// The defaults: 30 s to connect, 180 s of silence, 10 s to linger.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            connect_timeout: Duration::from_secs(30),
            silence: Duration::from_secs(180),
            linger: Duration::from_secs(10),
        }
    }
}
