//! TCP: dials, listeners and connections, and the table of sockets that they share.

mod connection;
mod dial;
mod error;
mod listener;
mod listening;
mod prompt;
mod slot;
mod sweep;
mod table;

pub use connection::{Connection, ReadHalf, WriteHalf};
pub use error::TcpError;
pub(crate) use error::hold_error_kind;
pub use listener::Listener;
pub(super) use listener::ListenerSlot;
pub(super) use listening::Listening;
pub(super) use slot::TcpSlot;
pub(super) use table::TcpTable;
