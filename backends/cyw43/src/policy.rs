//! [`PowerSave`]: what to believe, and how long to wait, where radios sleep.

use core::num::NonZeroU8;
use core::time::Duration;

use whohas::Policy;
use whohas::cache::Profile;

/// [`Policy::STRICT`] for a station that sleeps between beacons, among others that may.
///
/// An access point sends a station what is addressed to it when it wakes, and again until it has
/// acknowledged it; a broadcast it sends once, after a beacon (every 102.4 ms, or every second or third
/// of these), and nobody acknowledges it. So what is addressed to one station is late, and what is
/// for everybody is late and sometimes lost. What a station sends to everybody is safe only as far as
/// the access point. Hence:
///
/// | what | here | `STRICT` | why |
/// |---|---|---|---|
/// | `requests` | 5 | 3 | of stations that miss a fifth of all broadcasts, three questions miss one in 125 and five one in 3,125 |
/// | `retransmit` | 1 s | 1 s | RFC 1122 allows no less, and an answer needs up to 0.6 s where both ends sleep through two of three beacons |
/// | `reachable_time` | 30 s | 60 s | a neighbour that moves tells everybody, and we may sleep through that: asking it alone, which is safe, notices in half the time; who answers costs two short frames each time |
/// | `unicast_probes` | 4 | 2 | the safe kind of question gets more time before the other one is tried |
/// | `broadcast_probes` | 4 | 2 | as for `requests`, for a neighbour that somebody talks to |
/// | `backoff_max` | 30 s | 60 s | silence may be bad luck |
/// | `announcements` | 0 | 2 | addresses are claimed, and announced by who defends them |
///
/// Others do not hear us better than we hear them: who asks for us may go unheard until he gives up. If
/// such hosts begin connections to the device, have it speak up by itself from time to time, by
/// [`Stack::announce_every`](crate::Stack::announce_every).
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PowerSave;

impl PowerSave {
    /// The same as data.
    pub const POLICY: Policy = Policy {
        requests: NonZeroU8::new(5).expect("not zero"),
        reachable_time: Duration::from_secs(30),
        unicast_probes: 4,
        broadcast_probes: 4,
        backoff_max: Duration::from_secs(30),
        announcements: 0,
        ..Policy::STRICT
    };
}

impl Profile for PowerSave {
    #[inline]
    fn policy(&self) -> &Policy {
        const { &Self::POLICY }
    }
}
