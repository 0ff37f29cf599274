//! What must hold, case by case: the tables of RFCs, of other stacks' tests and of their bug
//! trackers, in virtual time, on both storages.
#![cfg(feature = "alloc")]
#![allow(unreachable_pub, reason = "in a test, everything is")]

mod administrator;
mod corpus;
mod display;
mod hostile;
mod inspect;
mod mirage;
mod netstack3;
mod oracle;
mod own;
mod properties;
mod rfc;
mod smoltcp;
mod support;
mod table;
