//! What must hold, case by case: the tables of RFCs, of other stacks' tests and of their bug
//! trackers, in virtual time, on both storages.
#![cfg(feature = "alloc")]

mod mirage;
mod netstack3;
mod own;
mod properties;
mod support;
