//! What was said when the program was built.

include!(concat!(env!("OUT_DIR"), "/config.rs"));

/// A server, by its name or its address.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// Either of them.
    pub host: &'static str,
    /// Where it listens.
    pub port: u16,
}
