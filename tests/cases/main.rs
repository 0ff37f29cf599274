//! What must hold, case by case: the tables of RFCs, of other stacks' tests and of their bug
//! trackers, in virtual time, on both storages.
#![cfg(feature = "alloc")]
#![allow(unreachable_pub, reason = "in a test, everything is")]

mod corpus;
mod display;
mod hostile;
mod oracle;
mod rfc;
mod smoltcp;
mod support;
mod table;

use support::{Frame, ip, mac, rigs};
use whohas::Policy;
use whohas::cache::Status;

#[test]
fn wh_01_many_users_of_one_address_cause_one_request_and_are_all_served() {
    for mut rig in rigs(Policy::STRICT) {
        let holds: Vec<_> = (0..10).map(|_| rig.hold(ip(2)).unwrap()).collect();
        assert_eq!(rig.request_times(ip(2), rig.now), [0.0]);
        rig.accept(Frame::reply(mac(2), ip(2)));
        for hold in &holds {
            assert_eq!(rig.status(hold), Status::Resolved(mac(2)));
        }
        for hold in holds {
            rig.release(hold);
        }
        assert_eq!(rig.lookup(ip(2)), Some(mac(2)));
    }
}
