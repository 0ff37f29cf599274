//! JSON as it is written: no tree, no buffer, and no way to write anything else.
//!
//! serde-json-core writes into a slice and fails where that ends; here a body goes through a buffer
//! that is much shorter than it is.

use core::fmt::{self, Write};

/// Takes text.
pub(crate) trait Sink {
    /// Takes this, or as much of it as there is room for.
    fn put(&mut self, text: &str);
}

/// Writes values one after the other, with what belongs between them.
pub(crate) struct Json<'s> {
    sink: &'s mut dyn Sink,
    /// Something stands before, in the same object or array.
    follows: bool,
}

impl<'s> Json<'s> {
    /// The first of what is written there.
    pub(crate) fn new(sink: &'s mut dyn Sink) -> Self {
        Self {
            sink,
            follows: false,
        }
    }

    /// One that stands behind others in an array.
    pub(crate) fn following(sink: &'s mut dyn Sink) -> Self {
        Self {
            sink,
            follows: true,
        }
    }

    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.open("{");
        fill(self);
        self.close("}");
    }

    pub(crate) fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.open("[");
        fill(self);
        self.close("]");
    }

    /// Opens an object or array that somebody else closes.
    pub(crate) fn open(&mut self, bracket: &str) {
        self.separate();
        self.sink.put(bracket);
        self.follows = false;
    }

    pub(crate) fn close(&mut self, bracket: &str) {
        self.sink.put(bracket);
        self.follows = true;
    }

    /// The name of the value that comes next.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.sink.put(":");
        self.follows = false;
        self
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.separate();
        self.sink.put("\"");
        self.escape(text);
        self.sink.put("\"");
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.separate();
        self.sink.put(if value { "true" } else { "false" });
    }

    pub(crate) fn unsigned(&mut self, value: u64) {
        self.separate();
        self.digits(value);
    }

    /// A number of 64 bits as OTLP wants it: as a string, since a number of JSON's may lose bits.
    pub(crate) fn unsigned_text(&mut self, value: u64) {
        self.separate();
        self.sink.put("\"");
        self.digits(value);
        self.sink.put("\"");
    }

    /// As [`Self::unsigned_text`].
    pub(crate) fn signed_text(&mut self, value: i64) {
        self.separate();
        self.sink.put(if value < 0 { "\"-" } else { "\"" });
        self.digits(value.unsigned_abs());
        self.sink.put("\"");
    }

    /// JSON has no number that is none: such become their name.
    pub(crate) fn float(&mut self, value: f64) {
        if !value.is_finite() {
            self.string(name_of(value));
            return;
        }
        self.separate();
        // Debug has exponents, where Display would write three hundred digits.
        let _ = write!(Formatted(self.sink), "{value:?}");
    }

    /// Bytes in hexadecimal, as a string.
    pub(crate) fn hex(&mut self, bytes: &[u8]) {
        self.separate();
        self.sink.put("\"");
        for byte in bytes {
            self.sink.put(hex_digit(byte >> 4));
            self.sink.put(hex_digit(byte & 15));
        }
        self.sink.put("\"");
    }

    fn separate(&mut self) {
        if self.follows {
            self.sink.put(",");
        }
        self.follows = true;
    }

    fn digits(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.sink
            .put(core::str::from_utf8(&digits[first..]).unwrap_or("0"));
    }

    /// RFC 8259, section 7: the quote, the backslash and everything below the space.
    fn escape(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            let (plain, special) = rest.split_at(at);
            self.sink.put(plain);
            let byte = special.as_bytes()[0];
            match byte {
                b'"' => self.sink.put("\\\""),
                b'\\' => self.sink.put("\\\\"),
                b'\n' => self.sink.put("\\n"),
                b'\r' => self.sink.put("\\r"),
                b'\t' => self.sink.put("\\t"),
                _ => {
                    self.sink.put("\\u00");
                    self.sink.put(hex_digit(byte >> 4));
                    self.sink.put(hex_digit(byte & 15));
                }
            }
            rest = &special[1..];
        }
        self.sink.put(rest);
    }
}

fn name_of(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

fn hex_digit(nibble: u8) -> &'static str {
    let at = usize::from(nibble & 15);
    &"0123456789abcdef"[at..=at]
}

struct Formatted<'s>(&'s mut dyn Sink);

impl Write for Formatted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text);
        Ok(())
    }
}
