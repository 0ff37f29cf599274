//! The `Date` of an answer.

use core::time::Duration;

/// Since 1970, from `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7), which is how servers
/// have to write it.
pub(super) fn parse(text: &str) -> Option<Duration> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_weekday, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day = number(parts.next()?, 1..=31)?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year = number(parts.next()?, 1970..=9999)?;
    let mut time = parts.next()?.split(':');
    let hours = number(time.next()?, 0..=23)?;
    let minutes = number(time.next()?, 0..=59)?;
    let seconds = number(time.next()?, 0..=60)?;
    if time.next().is_some() || parts.next() != Some("GMT") || parts.next().is_some() {
        return None;
    }
    let seconds = ((days(year, month, day)? * 24 + hours) * 60 + minutes) * 60 + seconds;
    Some(Duration::from_secs(seconds))
}

fn number(text: &str, range: core::ops::RangeInclusive<u64>) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_plain)?;
    range.contains(&number).then_some(number)
}

/// Days from 1970-01-01, by the Gregorian calendar, whose years are taken to begin in March.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let in_year = (153 * month + 2) / 5 + day - 1;
    let since = year * 365 + year / 4 - year / 100 + year / 400 + in_year;
    since.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_what_they_are() {
        let of = |text| parse(text).map(|time| time.as_secs());
        assert_eq!(of("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(of("Tue, 29 Feb 2000 23:59:59 GMT"), Some(951_868_799));
        assert_eq!(of("Wed, 01 Mar 2000 00:00:00 GMT"), Some(951_868_800));
        assert_eq!(of("Fri, 01 Jan 2100 00:00:00 GMT"), Some(4_102_444_800));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, +6 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
