//! What small firmware does with whohas, once through: the code whose flash, RAM and panic paths
//! `cargo xtask bench size` reports.
//!
//! The one place to extend when the crate can do more. Inputs come through `black_box`, so that
//! the compiler can neither compute the answers itself nor know which branches are taken.

#![no_std]

use core::hint::black_box;
use core::net::Ipv4Addr;
use core::task::{Context, Waker};

use whohas::cache::{Cache, Counters, Entry, Event, Fixed};
use whohas::resolver::LocalHold;
use whohas::wire::{ARP_FRAME_LEN, ArpPacket};
use whohas::{Hold, Instant, Key, LocalResolver, Policy, Prefix, UnicastMac, VlanId};

type Resolver = LocalResolver<Fixed<16>, 4>;

static NEIGHBOURS: Resolver = LocalResolver::new(Policy::STRICT, Fixed::new());
static RECEIVED: [u8; ARP_FRAME_LEN] = [0; ARP_FRAME_LEN];
static OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
static OWN_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
static PEER_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
static NOW: u64 = 1_000_000;

/// A driver and two users of one address: everything that firmware with one link calls.
pub fn exercise() {
    let now = Instant::from_micros(*black_box(&NOW));
    if let (Ok(mac), Ok(own)) =
        (UnicastMac::new(*black_box(&OWN_MAC)), Prefix::new(*black_box(&OWN_IP), 24))
    {
        NEIGHBOURS.set_mac(now, mac);
        let _ = black_box(NEIGHBOURS.set_addresses(now, &[own]));
    }
    NEIGHBOURS.link_changed(now, true);
    let hold = NEIGHBOURS.hold(*black_box(&PEER_IP));
    drive(now);
    if let Ok(hold) = hold {
        let mut context = Context::from_waker(Waker::noop());
        let _ = black_box(hold.poll_resolved(&mut context));
        hold.confirm(now);
        let _ = black_box(hold.mac());
    }
    let _ = black_box(NEIGHBOURS.lookup(*black_box(&PEER_IP)));
}

fn drive(now: Instant) {
    black_box(NEIGHBOURS.receive(now, black_box(&RECEIVED)));
    NEIGHBOURS.handle_timeout(now);
    let mut transmitted = [0; ARP_FRAME_LEN];
    while NEIGHBOURS.poll_transmit(now, &mut transmitted) {
        black_box(&transmitted);
    }
    while let Some(event) = NEIGHBOURS.poll_event() {
        black_box(event);
    }
    let _ = black_box(NEIGHBOURS.poll_work(&mut Context::from_waker(Waker::noop())));
    black_box(NEIGHBOURS.poll_timeout());
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
    Cache<Fixed<16>>,
    Cache<Fixed<8>>,
    Counters,
    Entry,
    Event,
    Fixed<16>,
    Key,
    LocalHold<'static, Fixed<16>, 4>,
    LocalResolver<Fixed<16>, 4>,
    Option<VlanId>,
    Policy,
);
