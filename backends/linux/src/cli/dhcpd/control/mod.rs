//! Asking a daemon that runs, and having it do things: over a Unix socket that few may use.

mod ask;
mod conversation;
mod protocol;
#[cfg(test)]
mod tests;

pub(in crate::cli::dhcpd) use ask::in_words;
pub(in crate::cli) use ask::{Ask, ask};
pub(in crate::cli::dhcpd) use conversation::Conversation;
pub(in crate::cli::dhcpd) use protocol::time;

/// Where the socket is unless somebody says otherwise.
pub(in crate::cli) const DEFAULT_SOCKET: &str = "/run/whohas/dhcpd.sock";
