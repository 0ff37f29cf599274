//! Ports made of rings: any frame on any queue, in virtual time.

#[path = "../support/mod.rs"]
mod support;

mod errors;
