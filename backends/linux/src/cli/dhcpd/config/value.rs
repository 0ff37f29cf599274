//! What single values of the file can be, and how they are written.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU16, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};
use whohas::dhcp::server::Pool;
use whohas::wire::dhcp::LeaseTime;
use whohas::{MacAddr, Prefix, UnicastMac};

use super::super::super::args;

/// A value that can stand in the file: as a text, a number, or `true` and `false`.
pub(super) trait Value: Sized {
    /// What it is, with an example.
    const WHAT: &'static str;

    fn of_text(_text: &str) -> Option<Self> {
        None
    }

    fn of_number(_number: i64) -> Option<Self> {
        None
    }

    fn of_bool(_bool: bool) -> Option<Self> {
        None
    }

    /// The value, or a message that says what was expected.
    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let read = match value {
            DeValue::String(text) => Self::of_text(text),
            DeValue::Integer(integer) => number(integer).and_then(Self::of_number),
            DeValue::Boolean(bool) => Self::of_bool(*bool),
            DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                None
            }
        };
        let what = Self::WHAT;
        read.ok_or_else(|| format!("expected {what}, found {}", describe(value)))
    }
}

/// A word of a file, for messages: without its control characters, and not all of a long one.
pub(super) fn quote(word: &str) -> String {
    const LONGEST: usize = 60;
    let shown: String = word.chars().take(LONGEST).collect();
    let more = if shown.len() < word.len() { "..." } else { "" };
    format!("`{}{more}`", shown.escape_debug())
}

/// What a value is, for messages.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text".into(),
        DeValue::String(text) => format!("the text {}", quote(text)),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Float(float) => format!("the number {float}"),
        DeValue::Boolean(bool) => format!("`{bool}`"),
        DeValue::Datetime(_) => "a date or a time of day".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

fn number(integer: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

impl Value for bool {
    const WHAT: &'static str = "`true` or `false`";

    fn of_bool(bool: bool) -> Option<Self> {
        Some(bool)
    }
}

impl Value for String {
    const WHAT: &'static str = "a text";

    fn of_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Value for PathBuf {
    const WHAT: &'static str = "the path of a file";

    fn of_text(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.into())
    }
}

macro_rules! numbers {
    ($($number:ty: $what:literal),* $(,)?) => {$(
        impl Value for $number {
            const WHAT: &'static str = $what;

            fn of_number(number: i64) -> Option<Self> {
                Self::try_from(number).ok()
            }
        }
    )*};
}
numbers! {
    u8: "a number from 0 to 255",
    u16: "a number from 0 to 65535",
    u32: "a number from 0 to 4294967295",
    i32: "a number from -2147483648 to 2147483647",
}

macro_rules! positive_numbers {
    ($($number:ty = $plain:ty: $what:literal),* $(,)?) => {$(
        impl Value for $number {
            const WHAT: &'static str = $what;

            fn of_number(number: i64) -> Option<Self> {
                <$plain>::try_from(number).ok().and_then(Self::new)
            }
        }
    )*};
}
positive_numbers! {
    NonZeroU8 = u8: "a number from 1 to 255",
    NonZeroU16 = u16: "a number from 1 to 65535",
    NonZeroU32 = u32: "a number from 1 to 4294967295",
}

impl Value for Ipv4Addr {
    const WHAT: &'static str = "an IPv4 address such as `192.168.1.10`";

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for SocketAddr {
    const WHAT: &'static str = "an address and a port such as `127.0.0.1:9167`";

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Value for UnicastMac {
    const WHAT: &'static str = "the MAC address of one host, such as `02:00:5e:10:00:01`";

    fn of_text(text: &str) -> Option<Self> {
        text.parse::<MacAddr>().ok()?.unicast().ok()
    }
}

impl Value for Prefix {
    const WHAT: &'static str = "a network such as `192.168.1.0/24`";

    fn of_text(text: &str) -> Option<Self> {
        let (ip, len) = text.split_once('/')?;
        Self::new(ip.parse().ok()?, len.parse().ok()?).ok()
    }
}

impl Value for Pool {
    const WHAT: &'static str = "addresses such as `192.168.1.100-192.168.1.199`";

    fn of_text(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Self {
            first: first.trim().parse().ok()?,
            last: last.trim().parse().ok()?,
        })
    }
}

impl Value for Duration {
    const WHAT: &'static str = "a time such as `100ms`, `5m` or `12h`, more than none";

    fn of_text(text: &str) -> Option<Self> {
        args::duration(text).ok()
    }

    fn of_number(seconds: i64) -> Option<Self> {
        Self::of_text(&seconds.to_string())
    }
}

impl Value for LeaseTime {
    const WHAT: &'static str =
        "a time of whole seconds such as `45m`, `12h` or `7d`, or `infinite`";

    fn of_text(text: &str) -> Option<Self> {
        if text == "infinite" {
            return Some(Self::Infinite);
        }
        let time = args::duration(text).ok()?;
        let seconds = u32::try_from(time.as_secs()).ok()?;
        (time.subsec_nanos() == 0).then_some(Self::Seconds(seconds))
    }

    fn of_number(seconds: i64) -> Option<Self> {
        Self::of_text(&seconds.to_string())
    }
}

/// Bytes that are written as hexadecimal numbers, with or without `:` between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hex(pub(super) Vec<u8>);

impl Value for Hex {
    const WHAT: &'static str = "hexadecimal bytes such as `01:04:0a:00:00:01`";

    fn of_text(text: &str) -> Option<Self> {
        let digits: String = text.split([':', '-', ' ']).collect();
        let pairs = digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| {
            let digit = |&digit: &u8| char::from(digit).to_digit(16);
            match pair {
                [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
                _odd => None,
            }
        };
        pairs.map(byte).collect::<Option<Vec<u8>>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_times_are_whole_seconds_or_infinite() {
        for (text, expected) in [
            ("infinite", Some(LeaseTime::Infinite)),
            ("12h", Some(LeaseTime::Seconds(43_200))),
            ("7d", Some(LeaseTime::Seconds(604_800))),
            ("90", Some(LeaseTime::Seconds(90))),
            ("1.5m", Some(LeaseTime::Seconds(90))),
            ("0", None),
            ("500ms", None),
            ("-1s", None),
            ("100000d", None),
        ] {
            assert_eq!(LeaseTime::of_text(text), expected, "{text}");
        }
        assert_eq!(LeaseTime::of_number(3_600), Some(LeaseTime::Seconds(3_600)));
        assert_eq!(LeaseTime::of_number(0), None);
    }

    #[test]
    fn hexadecimal_bytes_may_have_colons_between_them() {
        let bytes = Some(Hex(vec![1, 0xfe, 0x10]));
        assert_eq!(Hex::of_text("01:fe:10"), bytes);
        assert_eq!(Hex::of_text("01FE10"), bytes);
        assert_eq!(Hex::of_text(""), Some(Hex(vec![])));
        for bad in ["1", "0x01", "01:f", "zz"] {
            assert_eq!(Hex::of_text(bad), None, "{bad}");
        }
    }
}
