//! Domain names as they are on the wire, in lower case (RFC 1035 section 3.1, RFC 4343).

use core::net::Ipv4Addr;

/// The longest name, its lengths and the root included.
const MOST: usize = 255;
const LABEL: usize = 63;

/// A name: labels with their lengths in front, and the root behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; MOST],
    len: u8,
}

impl Name {
    pub(super) const ROOT: Self = Self {
        bytes: [0; MOST],
        len: 1,
    };

    /// The name that a user writes; the dot at its end may be missing.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut name = Self::ROOT;
        for label in text.split('.') {
            let is_legal = label.bytes().all(is_host_byte);
            if !is_legal || !name.push(label.as_bytes()) {
                return None;
            }
        }
        Some(name)
    }

    /// Where the name of the host with this address is found (RFC 1035 section 3.5).
    pub(super) fn of_address(ip: Ipv4Addr) -> Self {
        let mut name = Self::ROOT;
        for byte in ip.octets().into_iter().rev() {
            let digits = [b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10];
            let zeros = match byte {
                0..10 => 2,
                10..100 => 1,
                100..=255 => 0,
            };
            name.push(&digits[zeros..]);
        }
        name.push(b"in-addr");
        name.push(b"arpa");
        name
    }

    /// Appends a label; false if there cannot be such a one.
    pub(super) fn push(&mut self, label: &[u8]) -> bool {
        // The new label's length stands where the root was.
        let start = usize::from(self.len);
        let end = start + label.len();
        if label.is_empty() || label.len() > LABEL || end >= MOST {
            return false;
        }
        self.bytes[start - 1] = label.len() as u8;
        self.bytes[start..end].copy_from_slice(label);
        self.bytes[start..end].make_ascii_lowercase();
        self.bytes[end] = 0;
        self.len = end as u8 + 1;
        true
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Writes the name as a user reads it. `None` if it does not fit, or could be mistaken for
    /// another: names of hosts have letters, digits, hyphens and underscores only.
    pub(super) fn to_text(self, text: &mut [u8]) -> Result<usize, TextError> {
        let mut rest = self.as_bytes();
        let mut len = 0;
        while let Some((&label, behind)) = rest.split_first()
            && label > 0
        {
            let (label, behind) = behind.split_at(label.into());
            rest = behind;
            if !label.iter().copied().all(is_host_byte) {
                return Err(TextError::NotAHost);
            }
            let dot: &[u8] = if len == 0 { b"" } else { b"." };
            for part in [dot, label] {
                text.get_mut(len..len + part.len())
                    .ok_or(TextError::TooLong)?
                    .copy_from_slice(part);
                len += part.len();
            }
        }
        Ok(len)
    }
}

/// Why a name cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextError {
    NotAHost,
    TooLong,
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_with_their_lengths_in_lower_case() {
        let name = Name::from_text("Broker.Example.").unwrap();
        assert_eq!(name.as_bytes(), b"\x06broker\x07example\0");
        assert_eq!(Name::from_text("broker.example"), Some(name));
        let mut text = [0; 14];
        assert_eq!(name.to_text(&mut text), Ok(14));
        assert_eq!(&text, b"broker.example");
        assert_eq!(name.to_text(&mut [0; 13]), Err(TextError::TooLong));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let label = "a".repeat(63);
        let longest = [&label[..], &label, &label, &label[..61]].join(".");
        assert_eq!(longest.len(), 253);
        assert_eq!(Name::from_text(&longest).unwrap().as_bytes().len(), 255);
        let too_long = std::format!("{longest}a");
        let long_label = "a".repeat(64);
        for text in [
            "",
            ".",
            "a..b",
            ".a",
            "a b",
            "a\0",
            "ä",
            &too_long,
            &long_label,
        ] {
            assert_eq!(Name::from_text(text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_looked_up_backwards() {
        let name = Name::of_address(Ipv4Addr::new(203, 0, 13, 9));
        assert_eq!(Name::from_text("9.13.0.203.in-addr.arpa"), Some(name));
    }
}
