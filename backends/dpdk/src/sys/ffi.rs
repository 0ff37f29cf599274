//! What is on the other side: DPDK's own functions where they are exported, and the shim's.

use std::ffi::{c_char, c_int, c_uint};

use super::device::{RawInfo, RawLink, RawSetup, RawStats};
use super::mbuf::Raw;

/// A frame of DPDK's.
#[repr(C)]
pub(super) struct RteMbuf {
    _opaque: [u8; 0],
}

/// A pool of frames.
#[repr(C)]
pub(super) struct RteMempool {
    _opaque: [u8; 0],
}

/// A ring of pointers to frames.
#[repr(C)]
pub(super) struct RteRing {
    _opaque: [u8; 0],
}

/// A rule of a card's.
#[repr(C)]
pub(super) struct RteFlow {
    _opaque: [u8; 0],
}

/// `SOCKET_ID_ANY`.
pub(super) const ANY_SOCKET: c_int = -1;

// DPDK. Its functions report a failure as a negative errno, or as `rte_errno` where they return a
// pointer, `false` or -1.
unsafe extern "C" {
    pub(super) fn rte_eal_init(argc: c_int, argv: *mut *mut c_char) -> c_int;
    pub(super) fn rte_eal_cleanup() -> c_int;
    pub(super) fn rte_eal_get_runtime_dir() -> *const c_char;
    pub(super) fn rte_strerror(code: c_int) -> *const c_char;
    pub(super) fn rte_version() -> *const c_char;
    pub(super) fn rte_thread_register() -> c_int;
    pub(super) fn rte_thread_unregister();

    pub(super) fn rte_pktmbuf_pool_create(
        name: *const c_char,
        count: c_uint,
        cache: c_uint,
        private_len: u16,
        room: u16,
        socket: c_int,
    ) -> *mut RteMempool;
    pub(super) fn rte_mempool_free(pool: *mut RteMempool);
    pub(super) fn rte_mempool_in_use_count(pool: *const RteMempool) -> c_uint;

    pub(super) fn rte_ring_create(
        name: *const c_char,
        count: c_uint,
        socket: c_int,
        flags: c_uint,
    ) -> *mut RteRing;
    pub(super) fn rte_ring_free(ring: *mut RteRing);
    pub(super) fn rte_eth_from_rings(
        name: *const c_char,
        receive: *const *mut RteRing,
        receive_count: c_uint,
        transmit: *const *mut RteRing,
        transmit_count: c_uint,
        numa_node: c_uint,
    ) -> c_int;

    pub(super) fn rte_eth_find_next_owned_by(port: u16, owner: u64) -> u64;
    pub(super) fn rte_eth_dev_stop(port: u16) -> c_int;
    pub(super) fn rte_eth_dev_close(port: u16) -> c_int;
    pub(super) fn rte_eth_dev_get_name_by_port(port: u16, name: *mut c_char) -> c_int;
}

// The shim.
unsafe extern "C" {
    pub(super) fn whohas_errno() -> c_int;
    pub(super) fn whohas_log_keep(echo: bool) -> bool;
    pub(super) fn whohas_log_take(bytes: *mut c_char, room: usize) -> usize;

    pub(super) fn whohas_receive(
        port: u16,
        queue: u16,
        pool: *const RteMempool,
        frames: *mut Raw,
        count: u16,
        refused: *mut u16,
    ) -> u16;
    pub(super) fn whohas_send(port: u16, queue: u16, frames: *const Raw, count: u16) -> u16;
    pub(super) fn whohas_allocate(pool: *mut RteMempool, frames: *mut Raw, count: u16) -> bool;
    pub(super) fn whohas_free(frames: *const Raw, count: u16);

    pub(super) fn whohas_ring_put(ring: *mut RteRing, frame: *const Raw) -> bool;
    pub(super) fn whohas_ring_put_chain(ring: *mut RteRing, frames: *const Raw, count: u16)
    -> bool;
    pub(super) fn whohas_ring_take(ring: *mut RteRing, frame: *mut Raw) -> bool;

    pub(super) fn whohas_info(port: u16, info: *mut RawInfo) -> c_int;
    pub(super) fn whohas_start(
        port: u16,
        setup: *const RawSetup,
        call: *mut *const c_char,
    ) -> c_int;
    pub(super) fn whohas_link(port: u16, link: *mut RawLink) -> c_int;
    pub(super) fn whohas_stats(port: u16, stats: *mut RawStats) -> c_int;
    pub(super) fn whohas_set_mac(port: u16, mac: *const u8) -> c_int;
    pub(super) fn whohas_rss_key(port: u16, key: *mut u8, len: u8, functions: *mut u64) -> c_int;
    pub(super) fn whohas_rss_table(port: u16, table: *mut u16, len: u16) -> c_int;
    pub(super) fn whohas_set_rss_table(port: u16, table: *const u16, len: u16) -> c_int;
    pub(super) fn whohas_steer_arp(
        port: u16,
        queue: u16,
        message: *mut c_char,
        len: usize,
    ) -> *mut RteFlow;
    pub(super) fn whohas_forget_flow(port: u16, flow: *mut RteFlow);

    pub(super) static whohas_max_ports: u16;
    pub(super) static whohas_rx_tcp_sum: u64;
    pub(super) static whohas_rx_udp_sum: u64;
    pub(super) static whohas_tx_tcp_sum: u64;
    pub(super) static whohas_tx_udp_sum: u64;
    pub(super) static whohas_rss_tcp: u64;
    pub(super) static whohas_rss_ip: u64;
}
