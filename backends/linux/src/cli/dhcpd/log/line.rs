//! One line, put together in a buffer that it cannot outgrow.

use std::fmt::{self, Display, Write};

use whohas::Instant;

use super::{Format, Kind, Level};
use crate::cli::dhcpd::control::time;
use crate::cli::dhcpd::printable::is_format;

/// The longest line, its end included.
pub(super) const LONGEST: usize = 256;
/// What is kept for the end of a value that was cut off, and of the line: `…"}` and a line feed.
const RESERVE: usize = 6;

/// Something that is said by name.
#[derive(Clone, Copy)]
pub(in crate::cli::dhcpd) struct Field<'a> {
    pub(super) key: &'static str,
    pub(super) value: &'a dyn Display,
    /// Whether JSON has it as a number.
    pub(super) number: bool,
}

/// A line that is being written.
pub(super) struct Line {
    format: Format,
    bytes: [u8; LONGEST],
    len: usize,
}

impl Line {
    pub(super) fn begin(
        format: Format,
        now: Instant,
        level: Level,
        kind: Kind,
        message: &str,
    ) -> Self {
        let mut line = Self {
            format,
            bytes: [0; LONGEST],
            len: 0,
        };
        let (name, kind) = (level.name(), kind.name());
        // All of these are ours and short: they fit, and need no escapes.
        let _ = match format {
            Format::Journal => write!(line, "<{}>{message}", level as u8),
            Format::Plain => write!(line, "{} {name:<7} {message}", time(now)),
            Format::Json => write!(
                line,
                r#"{{"v":1,"type":"log","time":"{}","level":"{name}","event":"{kind}","message":"{message}""#,
                time(now)
            ),
        };
        line
    }

    /// Appends a field, as much of it as there is room for.
    pub(super) fn field(&mut self, field: &Field<'_>) {
        let before = self.len;
        let begun = match self.format {
            Format::Json => write!(self, ",\"{}\":", field.key),
            Format::Journal | Format::Plain => write!(self, " {}=", field.key),
        };
        let written = begun.and_then(|()| {
            if field.number {
                write!(self, "{}", field.value)
            } else {
                self.value(field.value)
            }
        });
        if written.is_err() {
            self.len = before;
        }
    }

    /// The bytes, with the end of the line.
    pub(super) fn end(&mut self) -> &[u8] {
        let end = match self.format {
            Format::Json => "}\n",
            Format::Journal | Format::Plain => "\n",
        };
        self.append(end);
        &self.bytes[..self.len]
    }

    /// A value in quotation marks, where they are needed. Cut off where it does not fit.
    fn value(&mut self, value: &dyn Display) -> fmt::Result {
        let quotes = self.format == Format::Json || {
            let mut plain = IsPlain(true);
            let _ = write!(plain, "{value}");
            !plain.0
        };
        if quotes {
            self.write_char('"')?;
        }
        let mut escaped = Escaped {
            line: self,
            cut: false,
        };
        let _ = write!(escaped, "{value}");
        if escaped.cut {
            self.append("…");
        }
        if quotes {
            self.append("\"");
        }
        Ok(())
    }

    /// Uses what is kept in reserve.
    fn append(&mut self, text: &str) {
        let end = self.len + text.len();
        if let Some(room) = self.bytes.get_mut(self.len..end) {
            room.copy_from_slice(text.as_bytes());
            self.len = end;
        }
    }
}

/// All or nothing of each piece, and never the reserve.
impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.len + text.len() > LONGEST - RESERVE {
            return Err(fmt::Error);
        }
        self.append(text);
        Ok(())
    }
}

/// A value on its way into a line.
struct Escaped<'a> {
    line: &'a mut Line,
    cut: bool,
}

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            // Both formats understand JSON's escapes.
            let mut piece = Piece::default();
            match c {
                '"' | '\\' => write!(piece, "\\{c}")?,
                '\n' => piece.write_str("\\n")?,
                _ if c.is_control() || is_format(c) => write!(piece, "\\u{:04x}", u32::from(c))?,
                _ => piece.write_char(c)?,
            }
            // An escape is not cut in two.
            if self.line.write_str(piece.text()).is_err() {
                self.cut = true;
                return Err(fmt::Error);
            }
        }
        Ok(())
    }
}

/// A character or what stands for it.
#[derive(Default)]
struct Piece {
    bytes: [u8; 8],
    len: usize,
}

impl Piece {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl Write for Piece {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Whether a value can do without quotation marks.
struct IsPlain(bool);

impl Write for IsPlain {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '=');
        self.0 &= text.chars().all(plain);
        Ok(())
    }
}
