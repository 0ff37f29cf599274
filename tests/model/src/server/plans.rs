//! Configurations, between which a reload changes at any time.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use whohas::dhcp::server::{
    Boot, Class, ClientKey, LeaseTimes, Plan, Pool, Reservation, Setting, Subnet,
};
use whohas::wire::dhcp::{LeaseTime, OptionCode};
use whohas::{Prefix, UnicastMac};

/// Ours.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 62);

/// An address of one of two neighbouring networks.
pub(super) const fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number % 128)
}

const fn pool(first: u8, last: u8) -> Pool {
    Pool {
        first: ip(first),
        last: ip(last),
    }
}

const TIMES: LeaseTimes = LeaseTimes {
    default: LeaseTime::Seconds(3_000),
    min: LeaseTime::Seconds(100),
    max: LeaseTime::Seconds(9_000),
};

const OPTIONS: [Setting<'_>; 2] = [
    Setting {
        code: OptionCode(6),
        value: &[10, 0, 0, 62],
        always: false,
    },
    Setting {
        code: OptionCode(43),
        value: &[7; 200],
        always: true,
    },
];

pub(super) const RESERVED: [Ipv4Addr; 1] = [ip(12)];
const MAC: UnicastMac = match UnicastMac::new([2, 0, 0, 0, 0, 3]) {
    Ok(mac) => mac,
    Err(_) => unreachable!(),
};
const RESERVATIONS: [Reservation<'_>; 2] = [
    Reservation {
        client: ClientKey::Hardware(MAC),
        ip: Some(ip(12)),
        host_name: Some("kept"),
        options: &OPTIONS,
        lease_times: None,
        boot: None,
    },
    Reservation {
        client: ClientKey::Id(&[0, 4]),
        ip: Some(ip(12)),
        host_name: None,
        options: &[],
        lease_times: Some(LeaseTimes {
            default: LeaseTime::Infinite,
            min: LeaseTime::Infinite,
            max: LeaseTime::Infinite,
        }),
        boot: None,
    },
];

const CLASSES: [Class<'_>; 1] = [Class {
    prefix: b"P",
    options: &[],
    lease_times: None,
    boot: Some(Boot {
        next_server: Some(SERVER),
        server_name: b"boot",
        file: b"it",
        files: &[(7, b"other")],
    }),
}];

static SUBNETS: LazyLock<[Vec<Subnet<'static>>; 4]> = LazyLock::new(|| {
    let subnet = |first, pools| Subnet {
        prefix: Prefix::new(ip(first), 26).expect("a prefix"),
        pools,
        reservations: &[],
        reserved: &[],
        options: &OPTIONS,
        lease_times: TIMES,
        boot: Boot::default(),
        authoritative: false,
        server_id: None,
    };
    const NARROW: [Pool; 1] = [pool(10, 15)];
    const WIDE: [Pool; 2] = [pool(12, 20), pool(50, 63)];
    const FAR: [Pool; 1] = [pool(70, 75)];
    let kept = Subnet {
        reservations: &RESERVATIONS,
        reserved: &RESERVED,
        authoritative: true,
        ..subnet(0, &WIDE)
    };
    [
        vec![subnet(0, &NARROW)],
        vec![kept],
        vec![subnet(0, &NARROW), subnet(64, &FAR)],
        Vec::new(),
    ]
});

/// One of them.
pub(super) fn plan(number: u8) -> Plan<'static> {
    let subnets = &SUBNETS[usize::from(number) % SUBNETS.len()];
    Plan::new(subnets, &CLASSES).expect("a good plan")
}
