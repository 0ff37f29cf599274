//! Where tests and benches meet the kernel: processes and network namespaces of their own, cables in
//! them, and who is at the ends. Everybody makes what it needs itself, as root or as a user who may make
//! user namespaces.
#![forbid(unsafe_code)]

pub mod bench;
pub mod beside;
pub mod cable;
pub mod command;
mod folder;
pub mod lan;
pub mod namespace;
pub mod peers;
mod program;
mod scenario;
pub mod station;

pub use folder::Folder;
pub use program::{attempt, run, tool};
pub use scenario::Scenario;
