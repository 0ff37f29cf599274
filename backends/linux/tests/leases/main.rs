//! Leases on files, and what happens to files.

mod crash;
mod damage;
mod desk;
mod disk;
mod dnsmasq;
mod log;
