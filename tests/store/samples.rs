//! Records of every kind.

use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use whohas::dhcp::store::log::{self, Found, MOST_FRAME, Reader, Skipped};
use whohas::dhcp::store::{Cause, Claim, Expiry, Holder, Record};
use whohas::wire::dhcp::ClientHardware;
use whohas::{Instant, UnicastMac};

/// A record that owns what it says.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    ip: Ipv4Addr,
    kind: Kind,
    time: Instant,
    hardware: ClientHardware,
    mac: UnicastMac,
    id: Option<Vec<u8>>,
    name: Option<String>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Free,
    Leased,
    LeasedForEver,
    Declined,
    InUse,
    InUseBySomebody,
}

impl Sample {
    /// The `n`th client's lease of an address.
    pub(crate) fn lease(ip: Ipv4Addr, n: u8, end: Instant) -> Self {
        let mac = UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the first byte is even");
        Self {
            ip,
            kind: Kind::Leased,
            time: end,
            hardware: ClientHardware::ethernet(mac),
            mac,
            id: None,
            name: None,
        }
    }

    /// Whether it says something of what is now.
    pub(crate) fn lasts(&self, now: Instant) -> bool {
        match self.kind {
            Kind::Free => false,
            Kind::LeasedForEver => true,
            Kind::Leased | Kind::Declined | Kind::InUse | Kind::InUseBySomebody => self.time > now,
        }
    }

    /// What a record says.
    pub(crate) fn of(record: &Record<'_>) -> Self {
        let Record { ip, claim } = *record;
        let nobody = Self::lease(ip, 0, Instant::ZERO);
        match claim {
            Claim::Free => Self {
                kind: Kind::Free,
                ..nobody
            },
            Claim::Leased { holder, expiry } => {
                let (kind, time) = match expiry {
                    Expiry::At(end) => (Kind::Leased, end),
                    Expiry::Never => (Kind::LeasedForEver, Instant::ZERO),
                };
                Self {
                    kind,
                    time,
                    hardware: holder.hardware,
                    id: holder.client_id.map(Into::into),
                    name: holder.host_name.map(Into::into),
                    ..nobody
                }
            }
            Claim::Quarantined { until, cause } => match cause {
                Cause::Declined { by } => Self {
                    hardware: by,
                    ..nobody.declined(until)
                },
                Cause::InUse { by: Some(mac) } => Self {
                    kind: Kind::InUse,
                    time: until,
                    mac,
                    ..nobody
                },
                Cause::InUse { by: None } => Self {
                    kind: Kind::InUseBySomebody,
                    time: until,
                    ..nobody
                },
            },
        }
    }

    /// The address when that client has declined it.
    pub(crate) fn declined(self, until: Instant) -> Self {
        Self {
            kind: Kind::Declined,
            time: until,
            ..self
        }
    }

    pub(crate) fn record(&self) -> Record<'_> {
        let until = self.time;
        let holder = Holder {
            hardware: self.hardware,
            client_id: self.id.as_deref(),
            host_name: self.name.as_deref(),
        };
        let quarantined = |cause| Claim::Quarantined { until, cause };
        let claim = match self.kind {
            Kind::Free => Claim::Free,
            Kind::Leased => Claim::Leased {
                holder,
                expiry: Expiry::At(self.time),
            },
            Kind::LeasedForEver => Claim::Leased {
                holder,
                expiry: Expiry::Never,
            },
            Kind::Declined => quarantined(Cause::Declined { by: self.hardware }),
            Kind::InUse => quarantined(Cause::InUse { by: Some(self.mac) }),
            Kind::InUseBySomebody => quarantined(Cause::InUse { by: None }),
        };
        Record { ip: self.ip, claim }
    }
}

/// Any record of an address that is not free; times are whole seconds if they have to be.
pub(crate) fn sample(whole_seconds: bool) -> impl Strategy<Value = Sample> {
    let ip = any::<u16>().prop_map(|low| Ipv4Addr::from(0x0a_07_00_00 | u32::from(low)));
    let kind = prop_oneof![
        4 => Just(Kind::Leased),
        1 => Just(Kind::LeasedForEver),
        1 => Just(Kind::Declined),
        1 => Just(Kind::InUse),
        1 => Just(Kind::InUseBySomebody),
    ];
    let time = prop_oneof![1_u64..3_000_000_000, Just(u64::MAX / 1_000_000)];
    let time = (time, 0..1_000_000_u64).prop_map(move |(seconds, micros)| match whole_seconds {
        true => Instant::from_secs(seconds),
        false => Instant::from_secs(seconds) + Duration::from_micros(micros),
    });
    let hardware = prop_oneof![
        4 => (Just(1), prop::collection::vec(1..=255_u8, 6)),
        1 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..=ClientHardware::MOST)),
    ];
    // All zeros are nobody's.
    let is_somebody = |(kind, bytes): &(u8, Vec<u8>)| *kind != 1 || *bytes != [0; 6];
    let hardware = hardware.prop_filter("somebody's", is_somebody);
    let hardware =
        hardware.prop_map(|(kind, bytes)| ClientHardware::new(kind, &bytes).expect("it fits"));
    let mac = any::<[u8; 5]>().prop_map(|[a, b, c, d, e]| {
        UnicastMac::new([2, a, b, c, d, e]).expect("the first byte is even")
    });
    let id = prop::option::of(prop::collection::vec(any::<u8>(), 2..=Holder::MOST));
    let name = prop::option::of("[a-zA-Z0-9._-]{1,255}");
    (ip, kind, time, hardware, mac, id, name).prop_map(
        |(ip, kind, time, hardware, mac, id, name)| Sample {
            ip,
            kind,
            time,
            hardware,
            mac,
            id,
            name,
        },
    )
}

/// One of each kind, and a few of what is long or awkward.
pub(crate) fn samples() -> Vec<Sample> {
    let at = |n: u8, kind| Sample {
        kind,
        ..Sample::lease(
            Ipv4Addr::new(10, 7, 0, n),
            n,
            Instant::from_micros(1_800_000_000_000_000 + u64::from(n) * 257),
        )
    };
    let long = Sample {
        id: Some((0..=254).collect()),
        name: Some("n".repeat(Holder::MOST)),
        ..at(7, Kind::Leased)
    };
    vec![
        at(1, Kind::Leased),
        at(2, Kind::LeasedForEver),
        at(3, Kind::Declined),
        at(4, Kind::InUse),
        at(5, Kind::InUseBySomebody),
        Sample {
            id: Some(vec![0; 7]),
            name: Some("sensor-7.lab".into()),
            ..at(6, Kind::Leased)
        },
        long,
        Sample {
            hardware: ClientHardware::new(32, &[0xff; 16]).expect("sixteen bytes fit"),
            ..at(8, Kind::Leased)
        },
        at(9, Kind::Leased),
    ]
}

/// A record as its frame, which says all that it says.
pub(crate) fn frame(record: &Record<'_>) -> Vec<u8> {
    let frame = log::frame(record, &mut [0; MOST_FRAME]).map(<[u8]>::to_vec);
    frame.expect("it fits")
}

/// What is in a log: the frame of each record, and what was skipped.
pub(crate) fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<Skipped>) {
    let mut reader = Reader::new(bytes);
    let (mut records, mut skipped) = (Vec::new(), Vec::new());
    while let Some(found) = reader.read() {
        match found {
            Found::Header { version } => assert_eq!(version, log::VERSION),
            Found::Record(record) => records.push(frame(&record)),
            Found::Skipped(piece) => skipped.push(piece),
        }
    }
    (records, skipped)
}
