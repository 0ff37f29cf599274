//! Who made a station: the first half of its address, looked up in a list that the system has.

use std::fs::File;
use std::io::Read;
use std::ops::Range;

use whohas::UnicastMac;

/// Where distributions put their list, those that are quick to read first.
const FILES: [&str; 8] = [
    "/usr/share/arp-scan/ieee-oui.txt",
    "/etc/arp-scan/ieee-oui.txt",
    "/usr/share/nmap/nmap-mac-prefixes",
    "/usr/share/ieee-data/oui.txt",
    "/usr/share/hwdata/oui.txt",
    "/usr/share/misc/oui.txt",
    "/var/lib/ieee-data/oui.txt",
    "/usr/local/share/arp-scan/ieee-oui.txt",
];
/// More than four times what the longest of them has today.
const LARGEST: u64 = 32 << 20;
/// What is longer is cut off: nobody's line is to be filled by it.
const LONGEST_NAME: usize = 60;

/// A list of makers; empty where the system has none.
///
/// Of the forty thousand names in it few are ever asked for, so they stay in the text that they came
/// in, and only where they are is noted.
#[derive(Debug, Default)]
pub(super) struct Vendors {
    text: String,
    /// Sorted by the first half of the address.
    names: Vec<(u32, Range<u32>)>,
}

impl Vendors {
    /// The system's list. Takes a few milliseconds, so it is not read while answers are timed.
    pub(super) fn read() -> Self {
        let mut lists = FILES.iter().filter_map(|path| {
            let mut bytes = Vec::new();
            let file = File::open(path).ok()?;
            file.take(LARGEST).read_to_end(&mut bytes).ok()?;
            // Only a name that is not text is worth a copy of all of it.
            let text = String::from_utf8(bytes)
                .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
            Some(Self::parse(text))
        });
        lists
            .find(|list| !list.names.is_empty())
            .unwrap_or_default()
    }

    /// Who made the station; `None` for addresses that somebody made up, and where there is no list.
    pub(super) fn of(&self, mac: UnicastMac) -> Option<String> {
        let [a, b, c, ..] = mac.octets();
        if a & 2 != 0 {
            return None;
        }
        let prefix = u32::from_be_bytes([0, a, b, c]);
        let at = self.names.binary_search_by_key(&prefix, |(key, _)| *key);
        let (_, place) = self.names.get(at.ok()?)?;
        let name = self.text.get(place.start as usize..place.end as usize)?;
        // What is in a file is not to move anybody's cursor.
        let printable = name.chars().filter(|c| !c.is_control());
        Some(printable.take(LONGEST_NAME).collect())
    }

    /// Lines that begin with three bytes in hexadecimal, with or without `-` between them, and end
    /// with a name; between them `(hex)`, where the IEEE wrote the list itself. Everything else is
    /// passed over.
    fn parse(text: String) -> Self {
        let place = |name: &str| {
            let start = name.as_ptr().addr() - text.as_ptr().addr();
            start as u32..(start + name.len()) as u32
        };
        let entries = text.lines().filter_map(entry);
        let mut names: Vec<_> = entries.map(|(key, name)| (key, place(name))).collect();
        names.sort_by_key(|(key, _)| *key);
        Self { text, names }
    }
}

fn entry(line: &str) -> Option<(u32, &str)> {
    let (number, name) = line.split_once([' ', '\t'])?;
    let name = name.trim_ascii();
    let name = match name.strip_prefix('(') {
        None => name,
        // `(base 16)` says the same once more.
        Some(rest) => rest.strip_prefix("hex)")?.trim_ascii(),
    };
    (!name.is_empty()).then_some(())?;
    let mut digits = 0;
    let mut key = 0;
    for byte in number.bytes().filter(|&byte| byte != b'-') {
        key = key << 4 | char::from(byte).to_digit(16)?;
        digits += 1;
        if digits > 6 {
            return None;
        }
    }
    (digits == 6).then_some((key, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        let mac = UnicastMac::new([0x28, 0x6f, 0xb9, 1, 2, 3]).unwrap();
        Vendors::parse(text.to_owned()).of(mac)
    }

    #[test]
    fn every_systems_list_is_understood() {
        let expected = Some("Some Maker, Ltd.".to_owned());
        assert_eq!(name("286FB9\tSome Maker, Ltd."), expected);
        assert_eq!(name("286FB9 Some Maker, Ltd."), expected);
        assert_eq!(
            name("FFFFFF\tX\r\n286fb9\tSome Maker, Ltd.\r\n000000\tY"),
            expected
        );
        let ieee = "28-6F-B9   (hex)\t\tSome Maker, Ltd.\n286FB9     (base 16)\t\tAnother line\n\t\t\t\tA road\n";
        assert_eq!(name(ieee), expected);
        let made_up = UnicastMac::new([0x2a, 0x6f, 0xb9, 1, 2, 3]).unwrap();
        assert_eq!(Vendors::parse("2A6FB9\tX".to_owned()).of(made_up), None);
    }

    #[test]
    fn nonsense_is_passed_over_and_nothing_moves_the_cursor() {
        for bad in [
            "",
            "# 286FB9",
            "286FB\tX",
            "286FB90\tX",
            "286FB9",
            "286FB9   ",
            "286FB9 (hex)",
            "286FBG X",
            "\u{feff}",
        ] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
        assert_eq!(name("286FB9\tA\x1b[31m"), Some("A[31m".to_owned()));
        let long = name(&format!("286FB9\t{}", "x".repeat(10_000)));
        assert_eq!(long.map(|name| name.len()), Some(LONGEST_NAME));
    }
}
