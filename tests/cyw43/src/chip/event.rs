//! What the chip tells unasked.

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: Kind,
    pub(crate) status: u32,
    pub(crate) reason: u32,
    pub(crate) flags: u16,
    /// How it is authenticated.
    pub(crate) auth: u32,
}

/// Of the events of such a chip, those that this one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A join is over.
    SetSsid = 0,
    /// The access point has let us in.
    Join = 1,
    /// It knows who we are.
    Auth = 3,
    /// It has thrown us out.
    DeauthInd = 6,
    /// It has taken us.
    Assoc = 7,
    /// The link is up or down.
    Link = 16,
    /// The keys are exchanged, or not.
    PskSup = 46,
}

impl Event {
    pub(crate) const SUCCESS: u32 = 0;
    pub(crate) const FAILURE: u32 = 1;
    pub(crate) const NO_NETWORKS: u32 = 3;
    /// What means success of a key exchange.
    pub(crate) const UNSOLICITED: u32 = 6;
    /// The first message of the key exchange was never followed by the third.
    pub(crate) const KEYS_WAIT: u32 = 8;

    pub(crate) const fn new(kind: Kind, status: u32) -> Self {
        Self {
            kind,
            status,
            reason: 0,
            flags: 0,
            auth: 0,
        }
    }

    pub(crate) const fn reason(mut self, reason: u32) -> Self {
        self.reason = reason;
        self
    }

    pub(crate) const fn link(up: bool, reason: u32) -> Self {
        let mut event = Self::new(Kind::Link, Self::SUCCESS).reason(reason);
        event.flags = up as u16;
        event
    }

    /// In the frame in which it comes to a host with this address.
    pub(super) fn to_bytes(self, mac: [u8; 6]) -> Vec<u8> {
        const ETHERTYPE: u16 = 0x886c;
        const LONG: u16 = 0x8001;
        const ORGANISATION: [u8; 3] = [0x00, 0x10, 0x18];
        const IS_EVENT: u16 = 1;
        /// The message, without data.
        const LEN: u16 = 48;
        let Self {
            kind,
            status,
            reason,
            flags,
            auth,
        } = self;
        let mut bytes = [mac, mac].concat();
        bytes.extend(ETHERTYPE.to_be_bytes());
        bytes.extend(LONG.to_be_bytes());
        bytes.extend((LEN + 10).to_be_bytes());
        bytes.push(0);
        bytes.extend(ORGANISATION);
        bytes.extend(IS_EVENT.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(flags.to_be_bytes());
        for word in [kind as u32, status, reason, auth, 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(mac);
        let mut name = [0; 16];
        name[..3].copy_from_slice(b"wl0");
        bytes.extend(name);
        bytes.extend([0, 0]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_long_as_its_headers_say() {
        let bytes = Event::link(true, 0).to_bytes([2; 6]);
        assert_eq!(bytes.len(), 14 + 10 + 48);
        assert_eq!(bytes[12..14], [0x88, 0x6c]);
        assert_eq!(bytes[26..28], [0, 1], "the link is up");
        assert_eq!(bytes[28..32], [0, 0, 0, 16]);
    }
}
