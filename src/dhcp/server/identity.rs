//! Who a client is: its client identifier if it has one, else its hardware address (RFC 2131 section 2).

use crate::wire::dhcp::ClientHardware;

/// A client as the table knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    pub(super) hardware: ClientHardware,
    pub(super) client_id: Option<&'a [u8]>,
}

impl Identity<'_> {
    /// The same for the same client, and for no seed but this one.
    pub(super) fn hash(&self, seed: u64) -> u64 {
        match self.client_id {
            Some(id) => hash(seed, id),
            None => hash(
                seed ^ u64::from(self.hardware.kind()) << 32,
                self.hardware.as_bytes(),
            ),
        }
    }

    pub(super) fn is(&self, other: &Identity<'_>) -> bool {
        match (self.client_id, other.client_id) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.hardware == other.hardware,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let mut state = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        state = mix(state ^ u64::from_le_bytes(word));
    }
    mix(state)
}

pub(super) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 32)).wrapping_mul(MULTIPLIER);
    word ^ (word >> 29)
}

/// A name that log lines, lease files and other programs can take: what a host name is made of, and
/// not too much of it. Anything else is no name (RFC 1123 section 2.1, with the underscores that are
/// about).
pub(super) fn host_name(bytes: &[u8]) -> Option<&str> {
    const LONGEST: usize = 253;
    // Some clients count a zero at the end.
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    if bytes.is_empty() || bytes.len() > LONGEST || !bytes.iter().all(good) {
        return None;
    }
    core::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_host_names_are_made_of() {
        for good in ["a", "sensor-7", "under_score", "full.example.org"] {
            assert_eq!(host_name(good.as_bytes()), Some(good));
        }
        assert_eq!(host_name(b"windows\0"), Some("windows"));
        for bad in [
            &b""[..],
            b"\0",
            b"two words",
            b"new\nline",
            b"\xff",
            &[b'a'; 254],
        ] {
            assert_eq!(host_name(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_client_is_known_by_its_identifier_and_by_its_address_only_without_one() {
        let hardware = |last| ClientHardware::new(1, &[2, 0, 0, 0, 0, last]).unwrap();
        let identity = |last, client_id| Identity {
            hardware: hardware(last),
            client_id,
        };
        let named = identity(1, Some(&b"me"[..]));
        assert!(named.is(&identity(2, Some(b"me"))));
        assert_eq!(named.hash(7), identity(2, Some(b"me")).hash(7));
        assert!(!named.is(&identity(1, Some(b"mf"))));
        assert!(!named.is(&identity(1, None)));
        assert!(identity(1, None).is(&identity(1, None)));
        assert!(!identity(1, None).is(&identity(2, None)));
        let other_kind = ClientHardware::new(6, &[2, 0, 0, 0, 0, 1]).unwrap();
        let other_kind = Identity {
            hardware: other_kind,
            client_id: None,
        };
        assert!(!identity(1, None).is(&other_kind));
        assert_ne!(identity(1, None).hash(7), other_kind.hash(7));
        assert_ne!(named.hash(7), named.hash(8));
    }
}
