//! Metrics and a status page, over HTTP/1.1, for this host alone.
//!
//! | path | |
//! |---|---|
//! | `/` | the status page; `?after=ADDR` goes on with the leases behind that address, `?find=TEXT` shows only those whose address, hardware address or name contains it |
//! | `/metrics` | counters, as Prometheus reads them |
//! | `/healthz` | `ok`, or 503 and what is wrong |
//!
//! Only GET and HEAD. Nothing can be changed from here.

mod exchange;
mod html;
mod metrics;
mod page;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub(super) use exchange::Exchange;
