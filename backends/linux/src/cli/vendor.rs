//! Who made a station: the first half of its address, looked up in a list that the system has.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

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

/// The system's list, read when it is first asked for.
#[derive(Debug, Default)]
pub(super) struct Vendors(Option<HashMap<[u8; 3], String>>);

impl Vendors {
    /// Who made the station; `None` for addresses that somebody made up, and where there is no list.
    pub(super) fn of(&mut self, mac: UnicastMac) -> Option<&str> {
        let [a, b, c, ..] = mac.octets();
        if a & 2 != 0 {
            return None;
        }
        let list = self.0.get_or_insert_with(read_first);
        list.get(&[a, b, c]).map(String::as_str)
    }
}

fn read_first() -> HashMap<[u8; 3], String> {
    let list = FILES.iter().find_map(|path| {
        let mut bytes = Vec::new();
        let file = File::open(path).ok()?;
        file.take(LARGEST).read_to_end(&mut bytes).ok()?;
        let list = parse(&String::from_utf8_lossy(&bytes));
        (!list.is_empty()).then_some(list)
    });
    list.unwrap_or_default()
}

/// Lines that begin with three bytes in hexadecimal, with or without `-` between them, and end with
/// a name; between them `(hex)`, where the IEEE wrote the list itself. Everything else is passed over.
fn parse(text: &str) -> HashMap<[u8; 3], String> {
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<([u8; 3], String)> {
    let (number, name) = line.split_once(char::is_whitespace)?;
    let name = name.trim();
    let name = match name.strip_prefix("(base 16)") {
        // The same once more.
        Some(_) => return None,
        None => name.strip_prefix("(hex)").unwrap_or(name).trim(),
    };
    let digits: String = number.chars().filter(|&c| c != '-').collect();
    if digits.len() != 6 || name.is_empty() {
        return None;
    }
    let [_, a, b, c] = u32::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    // What is in a file is not to move anybody's cursor.
    let printable = name.chars().filter(|c| !c.is_control());
    Some(([a, b, c], printable.take(LONGEST_NAME).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<String> {
        parse(text).remove(&[0x28, 0x6f, 0xb9])
    }

    #[test]
    fn every_systems_list_is_understood() {
        let expected = Some("Some Maker, Ltd.".to_owned());
        assert_eq!(name("286FB9\tSome Maker, Ltd."), expected);
        assert_eq!(name("286FB9 Some Maker, Ltd."), expected);
        let ieee = "28-6F-B9   (hex)\t\tSome Maker, Ltd.\n286FB9     (base 16)\t\tAnother line\n\t\t\t\tA road\n";
        assert_eq!(name(ieee), expected);
    }

    #[test]
    fn nonsense_is_passed_over_and_nothing_moves_the_cursor() {
        for bad in [
            "",
            "# 286FB9",
            "286FB\tX",
            "286FB9",
            "286FB9   ",
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
