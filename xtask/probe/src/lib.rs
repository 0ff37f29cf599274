//! What small firmware does with whohas, once through: the code whose flash, RAM and panic paths
//! `cargo xtask bench size` reports.
//!
//! The one place to extend when the crate can do more. Inputs come through `black_box`, so that
//! the compiler can neither compute the answers itself nor know which branches are taken.

#![no_std]

use core::hint::black_box;
use core::net::Ipv4Addr;
use core::task::{Context, Waker};

use whohas::cache::{Cache, Counters, Entry, Event, Fixed, Small, Strict};
use whohas::resolver::LocalHold;
use whohas::wire::{ARP_FRAME_LEN, ArpPacket};
use whohas::{Hold, Instant, Key, LocalResolver, Policy, Prefix, UnicastMac, VlanId};

type Resolver = LocalResolver<Fixed<16, Small>, Strict, 2>;

static NEIGHBOURS: Resolver = LocalResolver::new(Strict, Fixed::new());
static OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
static OWN_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
static PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
static NOW: u64 = 1_000_000;

/// The least that resolves neighbours on a chip: one driver, one user.
pub fn exercise() {
    let now = Instant::from_micros(*black_box(&NOW));
    if let (Ok(mac), Ok(own)) = (
        UnicastMac::new(*black_box(&OWN_MAC)),
        Prefix::new(*black_box(&OWN_IP), 24),
    ) {
        NEIGHBOURS.set_mac(now, mac);
        let _ = black_box(NEIGHBOURS.set_addresses(now, &[own]));
    }
    if let Ok(hold) = NEIGHBOURS.hold(*black_box(&PEER_IP)) {
        let _ = black_box(hold.poll_resolved(&mut Context::from_waker(Waker::noop())));
        drive(now);
        let _ = black_box(hold.mac());
    }
}

/// What the driver's task does when it wakes.
fn drive(now: Instant) {
    let mut frame = [0; ARP_FRAME_LEN];
    black_box(NEIGHBOURS.receive(now, black_box(&frame)));
    NEIGHBOURS.handle_timeout(now);
    while NEIGHBOURS.poll_transmit(now, &mut frame) {
        black_box(&frame);
    }
    black_box(NEIGHBOURS.poll_timeout());
    let _ = black_box(NEIGHBOURS.poll_work(&mut Context::from_waker(Waker::noop())));
}

/// Puts a symbol named `size_of T` and as large as `T` into the ELF.
macro_rules! sizes {
    ($($type:ty),+ $(,)?) => {
        $(const _: () = {
            #[used]
            #[unsafe(export_name = concat!("size_of ", stringify!($type)))]
            #[unsafe(link_section = ".sizes")]
            static SIZE: [u8; size_of::<$type>()] = [0; size_of::<$type>()];
        };)+
    };
}

sizes!(
    ArpPacket,
    Cache<Fixed<16, Small>, Strict>,
    Cache<Fixed<16>, Strict>,
    Cache<Fixed<8, Small>, Strict>,
    Cache<Fixed<8>, Strict>,
    Counters,
    Entry,
    Event,
    Fixed<16, Small>,
    Fixed<16>,
    Key,
    LocalHold<'static, Fixed<16, Small>, Strict, 2>,
    LocalResolver<Fixed<16, Small>, Strict, 2>,
    LocalResolver<Fixed<16>, Strict, 4>,
    Option<VlanId>,
    Policy,
);
