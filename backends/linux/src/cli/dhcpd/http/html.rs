//! Texts and numbers as the page shows them.

use std::fmt::{self, Display, Write};
use std::time::Duration;

use crate::cli::dhcpd::meters::Histogram;
use crate::cli::dhcpd::printable::Printable;

/// Text in HTML, or in an attribute between quotation marks.
pub(super) struct Html<T>(pub(super) T);

impl<T: Display> Display for Html<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);
        impl Write for Escaping<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                text.chars().try_for_each(|c| match c {
                    '<' => self.0.write_str("&lt;"),
                    '>' => self.0.write_str("&gt;"),
                    '&' => self.0.write_str("&amp;"),
                    '"' => self.0.write_str("&quot;"),
                    '\'' => self.0.write_str("&#39;"),
                    _ => self.0.write_char(c),
                })
            }
        }
        write!(Escaping(f), "{}", self.0)
    }
}

/// Text from elsewhere, in HTML.
pub(super) fn foreign(text: &str) -> Html<Printable<'_>> {
    Html(Printable(text))
}

/// A number whose thousands are apart.
pub(super) struct Grouped(pub(super) u64);

impl Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char('\u{2009}')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// A part of a whole.
pub(super) struct Percent(pub(super) u64, pub(super) u64);

impl Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            0 => f.write_str("no pool"),
            whole => write!(f, "{:.0} %", self.0 as f64 * 100.0 / whole as f64),
        }
    }
}

/// What so many took no longer than.
pub(super) struct Quantile<'a>(pub(super) &'a Histogram, pub(super) f64);

impl Display for Quantile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(histogram, share) = self;
        match histogram.quantile(*share) {
            None if histogram.count() == 0 => f.write_str("–"),
            None => f.write_str("&gt; 5 s"),
            Some(end) if end < Duration::from_secs(1) => {
                write!(f, "{} ms", end.as_secs_f64() * 1e3)
            }
            Some(end) => write!(f, "{} s", end.as_secs_f64()),
        }
    }
}

/// Text in a query.
pub(super) struct Query<'a>(pub(super) &'a str);

impl Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| {
            if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
                f.write_char(byte.into())
            } else {
                write!(f, "%{byte:02X}")
            }
        })
    }
}

/// A number of which nothing is said if it is nothing.
pub(super) struct Count(pub(super) u64);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("–"),
            count => Grouped(count).fmt(f),
        }
    }
}
