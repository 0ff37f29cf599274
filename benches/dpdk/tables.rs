//! DPDK's own tables: the other side is `tables.c`.

#![allow(unsafe_code)]

use std::net::Ipv4Addr;
use std::ptr::NonNull;

use whohas::UnicastMac;
use whohas_dpdk::{BURST, Eal};

/// A hash table or a table of routes of DPDK's.
#[repr(C)]
struct Opaque {
    _opaque: [u8; 0],
}

// The functions of `tables.c`; the tables are what its `bench_hash` and `bench_fib` have made.
unsafe extern "C" {
    fn bench_hash(entries: u32) -> *mut Opaque;
    fn bench_hash_insert(hash: *mut Opaque, ip: u32, mac: u64) -> bool;
    fn bench_hash_lookup(hash: *const Opaque, ip: u32) -> u64;
    fn bench_hash_lookup_bulk(hash: *const Opaque, ips: *const u32, macs: *mut u64);
    fn bench_hash_free(hash: *mut Opaque);
    fn bench_fib(entries: u32) -> *mut Opaque;
    fn bench_fib_insert(fib: *mut Opaque, ip: u32, mac: u64) -> bool;
    fn bench_fib_lookup_bulk(fib: *mut Opaque, ips: *mut u32, macs: *mut u64);
    fn bench_fib_free(fib: *mut Opaque);
}

fn number_of(mac: UnicastMac) -> u64 {
    let [a, b, c, d, e, f] = mac.octets();
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// `rte_hash`, with CRC as its function.
pub(crate) struct Hash {
    table: NonNull<Opaque>,
    _eal: Eal,
}

impl Hash {
    pub(crate) fn new(eal: &Eal, neighbours: &[(Ipv4Addr, UnicastMac)]) -> Self {
        let entries = neighbours.len() as u32;
        // SAFETY: DPDK runs.
        let table = unsafe { bench_hash(entries) };
        let table = NonNull::new(table).expect("memory for a hash table");
        for (ip, mac) in neighbours {
            // SAFETY: the table lives, and nobody else has it.
            let put =
                unsafe { bench_hash_insert(table.as_ptr(), (*ip).to_bits(), number_of(*mac)) };
            assert!(put, "there is room");
        }
        Self {
            table,
            _eal: eal.clone(),
        }
    }

    #[inline]
    pub(crate) fn lookup(&self, ip: Ipv4Addr) -> u64 {
        // SAFETY: the table lives.
        unsafe { bench_hash_lookup(self.table.as_ptr(), ip.to_bits()) }
    }

    #[inline]
    pub(crate) fn lookup_bulk(&self, ips: &[u32; BURST], macs: &mut [u64; BURST]) {
        // SAFETY: the table lives, and the arrays are as long as the function knows.
        unsafe { bench_hash_lookup_bulk(self.table.as_ptr(), ips.as_ptr(), macs.as_mut_ptr()) };
    }
}

impl Drop for Hash {
    fn drop(&mut self) {
        // SAFETY: it lives until here.
        unsafe { bench_hash_free(self.table.as_ptr()) };
    }
}

/// `rte_fib` with a route to every host: the address of a host is an index into it, as in our own.
pub(crate) struct Fib {
    table: NonNull<Opaque>,
    _eal: Eal,
}

impl Fib {
    pub(crate) fn new(eal: &Eal, neighbours: &[(Ipv4Addr, UnicastMac)]) -> Self {
        let entries = neighbours.len() as u32;
        // SAFETY: DPDK runs.
        let table = unsafe { bench_fib(entries) };
        let table = NonNull::new(table).expect("memory for a table of routes");
        for (ip, mac) in neighbours {
            // SAFETY: the table lives, and nobody else has it.
            let put = unsafe { bench_fib_insert(table.as_ptr(), (*ip).to_bits(), number_of(*mac)) };
            assert!(put, "there is room");
        }
        Self {
            table,
            _eal: eal.clone(),
        }
    }

    #[inline]
    pub(crate) fn lookup_bulk(&self, ips: &mut [u32; BURST], macs: &mut [u64; BURST]) {
        // SAFETY: the table lives, and the arrays are as long as the function knows.
        unsafe { bench_fib_lookup_bulk(self.table.as_ptr(), ips.as_mut_ptr(), macs.as_mut_ptr()) };
    }
}

impl Drop for Fib {
    fn drop(&mut self) {
        // SAFETY: it lives until here.
        unsafe { bench_fib_free(self.table.as_ptr()) };
    }
}
