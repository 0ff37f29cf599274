//! The table of stations: which rows, in which order. Knows nothing of terminals.

use std::cmp::Ordering;
use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::{Instant, UnicastMac};

use super::monitor::{Monitor, Standing};
use crate::cli::vendor::Vendors;

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Ip,
    Mac,
    Vendor,
    State,
    Age,
    Heard,
    Flips,
    Conflicts,
}

impl Column {
    pub(super) const ALL: [Self; 8] = [
        Self::Ip,
        Self::Mac,
        Self::Vendor,
        Self::State,
        Self::Age,
        Self::Heard,
        Self::Flips,
        Self::Conflicts,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Ip => "IP",
            Self::Mac => "MAC",
            Self::Vendor => "VENDOR",
            Self::State => "STATE",
            Self::Age => "AGE",
            Self::Heard => "HEARD",
            Self::Flips => "FLIPS",
            Self::Conflicts => "CONFLICTS",
        }
    }

    /// The column beside it, round and round.
    pub(super) fn beside(self, steps: isize) -> Self {
        let all = Self::ALL.len() as isize;
        let at = (self as isize + steps).rem_euclid(all);
        Self::ALL[at as usize]
    }
}

/// A station as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) ip: Ipv4Addr,
    pub(super) mac: UnicastMac,
    pub(super) vendor: String,
    pub(super) standing: Standing,
    /// Since it was first heard.
    pub(super) age: Duration,
    /// Since it was last heard.
    pub(super) heard: Duration,
    pub(super) flips: u32,
    pub(super) conflicts: u32,
}

impl Row {
    pub(super) fn text(&self, column: Column) -> String {
        match column {
            Column::Ip => self.ip.to_string(),
            Column::Mac => self.mac.to_string(),
            Column::Vendor => self.vendor.clone(),
            Column::State => self.standing.name().to_owned(),
            Column::Age => short(self.age),
            Column::Heard => short(self.heard),
            Column::Flips => self.flips.to_string(),
            Column::Conflicts => self.conflicts.to_string(),
        }
    }

    /// What is worth looking at comes first: conflicts and flips are sorted from many to few.
    fn compare(&self, other: &Self, column: Column) -> Ordering {
        match column {
            Column::Ip => Ordering::Equal,
            Column::Mac => self.mac.cmp(&other.mac),
            Column::Vendor => self.vendor.cmp(&other.vendor),
            Column::State => self.standing.cmp(&other.standing),
            Column::Age => self.age.cmp(&other.age),
            Column::Heard => self.heard.cmp(&other.heard),
            Column::Flips => other.flips.cmp(&self.flips),
            Column::Conflicts => other.conflicts.cmp(&self.conflicts),
        }
        .then(self.ip.cmp(&other.ip))
    }

    /// Whether any of its texts contains this one, which is in lower case.
    fn matches(&self, filter: &str) -> bool {
        filter.is_empty()
            || [Column::Ip, Column::Mac, Column::Vendor, Column::State]
                .into_iter()
                .any(|column| self.text(column).to_lowercase().contains(filter))
    }
}

/// Such as `59s`, `3m05s`, `7h12m` or `12d03h`.
fn short(time: Duration) -> String {
    let secs = time.as_secs();
    let (large, small, units) = match secs {
        0..60 => return format!("{secs}s"),
        60..3_600 => (secs / 60, secs % 60, ['m', 's']),
        3_600..86_400 => (secs / 3_600, secs / 60 % 60, ['h', 'm']),
        _ => (secs / 86_400, secs / 3_600 % 24, ['d', 'h']),
    };
    format!("{large}{}{small:02}{}", units[0], units[1])
}

/// How the table is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) sort: Column,
    pub(super) reverse: bool,
    pub(super) filter: String,
}

impl Wanted {
    pub(super) const fn new() -> Self {
        Self {
            sort: Column::Ip,
            reverse: false,
            filter: String::new(),
        }
    }

    /// Leaves out what does not match, and sorts what does.
    pub(super) fn arrange(&self, rows: &mut Vec<Row>) {
        let filter = self.filter.to_lowercase();
        rows.retain(|row| row.matches(&filter));
        rows.sort_by(|a, b| a.compare(b, self.sort));
        if self.reverse {
            rows.reverse();
        }
    }
}

/// Everybody that the monitor knows, as of now.
pub(super) fn rows(monitor: &Monitor, vendors: &Vendors, now: Instant) -> Vec<Row> {
    let row = |(ip, station): (Ipv4Addr, &super::monitor::Station)| Row {
        ip,
        mac: station.mac,
        vendor: vendors.of(station.mac).unwrap_or_default(),
        standing: station.standing(now),
        age: now - station.first,
        heard: now - station.last,
        flips: station.flips,
        conflicts: station.conflicts,
    };
    monitor.stations().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(last: u8, vendor: &str, conflicts: u32) -> Row {
        Row {
            ip: Ipv4Addr::new(10, 0, 0, last),
            mac: UnicastMac::new([2, 0, 0, 0, 0, 100 - last]).unwrap(),
            vendor: vendor.to_owned(),
            standing: if conflicts > 0 {
                Standing::Conflict
            } else {
                Standing::Active
            },
            age: Duration::from_secs(last.into()),
            heard: Duration::ZERO,
            flips: 0,
            conflicts,
        }
    }

    fn arranged(wanted: &Wanted) -> Vec<u8> {
        let mut rows = vec![row(9, "Acme", 0), row(10, "Zeta", 2), row(2, "acme", 1)];
        wanted.arrange(&mut rows);
        rows.iter().map(|row| row.ip.octets()[3]).collect()
    }

    #[test]
    fn addresses_are_sorted_as_numbers_and_trouble_comes_first() {
        let by = |sort, reverse| {
            arranged(&Wanted {
                sort,
                reverse,
                filter: String::new(),
            })
        };
        assert_eq!(by(Column::Ip, false), [2, 9, 10]);
        assert_eq!(by(Column::Ip, true), [10, 9, 2]);
        assert_eq!(by(Column::Mac, false), [10, 9, 2]);
        assert_eq!(by(Column::Conflicts, false), [10, 2, 9]);
        assert_eq!(by(Column::State, false), [2, 10, 9]);
        assert_eq!(by(Column::Age, true), [10, 9, 2]);
    }

    #[test]
    fn a_filter_looks_at_all_texts_in_either_case() {
        let with = |filter: &str| {
            arranged(&Wanted {
                filter: filter.to_owned(),
                ..Wanted::new()
            })
        };
        assert_eq!(with("ACME"), [2, 9]);
        assert_eq!(with("conflict"), [2, 10]);
        assert_eq!(with("00:5a"), [10]);
        assert_eq!(with("10.0.0.1"), [10]);
        assert!(with("nobody").is_empty());
    }

    #[test]
    fn times_are_short() {
        let texts = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 1_048_000];
        let texts = texts.map(|secs| short(Duration::from_secs(secs)));
        let expected = [
            "0s", "59s", "1m00s", "59m59s", "1h00m", "23h59m", "1d00h", "12d03h",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn beside_the_last_column_is_the_first() {
        assert_eq!(Column::Conflicts.beside(1), Column::Ip);
        assert_eq!(Column::Ip.beside(-1), Column::Conflicts);
        assert_eq!(Column::Ip.beside(3), Column::State);
    }
}
