//! Leases on files, and what happens to files.

mod desk;
mod log;
