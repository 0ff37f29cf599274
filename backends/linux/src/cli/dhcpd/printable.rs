//! Text from elsewhere, made harmless for terminals and logs.

use std::fmt::{self, Display, Write};

/// A text whose control characters are written as escapes: it stays on its line, and moves nobody's
/// cursor.
pub(super) struct Printable<'a>(pub(super) &'a str);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            // Besides control characters, those that turn the direction of what follows.
            _ if c.is_control() || is_format(c) => write!(f, "{}", c.escape_unicode()),
            _ => f.write_char(c),
        })
    }
}

/// Whether a character is not seen itself but changes how others are.
pub(super) const fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_line_or_moves_the_cursor() {
        let text = |text| Printable(text).to_string();
        assert_eq!(text("nas-1.lan"), "nas-1.lan");
        assert_eq!(text("a\nb\r\x1b[31m\0"), r"a\u{a}b\u{d}\u{1b}[31m\u{0}");
        assert_eq!(text("\\n\u{202e}"), r"\\n\u{202e}");
        assert_eq!(text("\u{9b}31m\u{7f}"), r"\u{9b}31m\u{7f}");
    }
}
