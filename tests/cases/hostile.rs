//! Hostile input: what broke others, and that it does not break us.

use std::time::Duration;

use whohas::Policy;
use whohas::cache::{DropReason, Rate};

use crate::support::{DUT, Frame, ip, mac, rigs};

const SECOND: Duration = Duration::from_secs(1);

/// A bound that nobody could see: what taught us something counted as accepted, and that it was not
/// answered as nothing.
#[test]
fn v4_a_withheld_answer_is_counted_even_if_the_request_taught_us_something() {
    let policy = Policy {
        reply_rate: Rate {
            interval: SECOND,
            burst: 1,
        },
        ..Policy::LINUX
    };
    for mut rig in rigs(policy) {
        for n in [2, 3] {
            rig.accept(Frame::request(mac(n), ip(n), ip(DUT)));
        }
        assert_eq!(rig.counters().replies, 1);
        assert_eq!(rig.counters().replies_withheld, 1);
        // What teaches nothing is dropped, and counted there too.
        rig.refuse(
            Frame::request(mac(3), ip(3), ip(DUT)),
            DropReason::ReplyLimit,
        );
        assert_eq!(rig.counters().replies_withheld, 2);
    }
}
