//! The policies that traces run under.

use std::num::NonZeroU8;
use std::time::Duration;

use arbitrary::Arbitrary;
use whohas::Policy;
use whohas::cache::{LinkDown, Rate, Trust};

/// The crate's own profiles, and two that are unlike them in everything that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary, proptest_derive::Arbitrary)]
pub enum Profile {
    Strict,
    Linux,
    Rfc826,
    /// Believes little, waits for short and odd times, sends little at once, forgets its holds.
    Odd,
    /// Believes everything and verifies it at once.
    Credulous,
}

impl Profile {
    pub fn policy(self) -> Policy {
        match self {
            Self::Strict => Policy::STRICT,
            Self::Linux => Policy::LINUX,
            Self::Rfc826 => Policy::RFC826,
            Self::Odd => ODD,
            Self::Credulous => CREDULOUS,
        }
    }
}

const TWO: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);

const ODD: Policy = Policy {
    requests: TWO,
    retransmit: Duration::from_micros(7_001),
    reachable_time: Duration::from_micros(31_013),
    delay_first_probe: Duration::from_micros(3_003),
    stale_time: Duration::from_micros(53_051),
    unicast_probes: 1,
    broadcast_probes: 1,
    max_age: Some(Duration::from_micros(97_003)),
    lock_time: Duration::from_micros(5_003),
    backoff_first: Duration::from_micros(11_003),
    backoff_max: Duration::from_micros(71_011),
    request_rate: Rate {
        interval: Duration::from_micros(1_301),
        burst: 2,
    },
    reply_rate: Rate {
        interval: Duration::from_micros(2_003),
        burst: 3,
    },
    unresolved_eighths: 4,
    overheard: Trust::Verify,
    priority_tag_is_untagged: false,
    link_down: LinkDown::Abort,
    announcements: 1,
    announce_interval: Duration::from_micros(13_007),
    ..Policy::STRICT
};

const CREDULOUS: Policy = Policy {
    delay_first_probe: Duration::ZERO,
    unasked_reply: Trust::Update,
    request_for_us: Trust::Update,
    gratuitous: Trust::Create,
    overheard: Trust::Create,
    match_ethernet_source: false,
    require_on_link: false,
    announcements: 3,
    unicast_probes: 0,
    unresolved_eighths: 8,
    ..ODD
};
