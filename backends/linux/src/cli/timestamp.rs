//! Times as RFC 3339 writes them, in UTC. A calendar that never has to know another time zone is a
//! few lines.

use std::time::{SystemTime, UNIX_EPOCH};

/// Such as `2026-01-31T23:59:59.123456Z`. What is before 1970 is 1970.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

const DAYS_IN_400_YEARS: u64 = 146_097;

/// Year, month and day, this many days after the first of January 1970.
///
/// Counted from a first of March, a leap day is the last day of its year and disturbs nobody.
fn date(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day) = (days / DAYS_IN_400_YEARS, days % DAYS_IN_400_YEARS);
    let leap_days_before = day / 1_460 - day / 36_524 + day / 146_096;
    let year = (day - leap_days_before) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // March to July and August to December have the same 153 days, and so have January and a piece
    // of what would follow.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (400 * era + year + next_year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn days_that_calendars_get_wrong() {
        let text = |secs, micros| {
            rfc3339(UNIX_EPOCH + Duration::from_secs(secs) + Duration::from_micros(micros))
        };
        assert_eq!(text(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(text(951_782_399, 7), "2000-02-28T23:59:59.000007Z");
        assert_eq!(text(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(text(951_868_800, 0), "2000-03-01T00:00:00.000000Z");
        assert_eq!(text(1_709_164_800, 0), "2024-02-29T00:00:00.000000Z");
        assert_eq!(text(1_767_225_599, 999_999), "2025-12-31T23:59:59.999999Z");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
        assert_eq!(text(253_402_300_799, 0), "9999-12-31T23:59:59.000000Z");
    }

    #[test]
    fn every_day_of_four_hundred_years_follows_the_one_before() {
        let mut previous = date(0);
        for days in 1..=DAYS_IN_400_YEARS {
            let (year, month, day) = date(days);
            let (py, pm, pd) = previous;
            let next = (year, month, day) == (py, pm, pd + 1)
                || (year, month, day) == (py, pm + 1, 1)
                || (year, month, day, pm, pd) == (py + 1, 1, 1, 12, 31);
            assert!(
                next && (1..=31).contains(&day),
                "{previous:?} {year}-{month}-{day}"
            );
            previous = (year, month, day);
        }
        assert_eq!(previous, (2370, 1, 1));
    }
}
