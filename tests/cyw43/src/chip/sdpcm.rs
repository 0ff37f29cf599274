//! Packets between host and chip: the frame that carries them, and the permission to send more.

/// Length, its complement, number, channel, ..., where the content begins, ..., credit.
const HEADER_LEN: usize = 12;
/// What stands before a frame or an event.
const DATA_HEADER: [u8; 4] = [0x20, 0, 0, 0];

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Control = 0,
    Event = 1,
    Data = 2,
}

/// A packet for the host.
pub(super) struct Packet {
    pub(super) channel: Channel,
    content: Vec<u8>,
}

impl Packet {
    pub(super) fn control(answer: &[u8]) -> Self {
        Self {
            channel: Channel::Control,
            content: answer.to_vec(),
        }
    }

    pub(super) fn event(event: &[u8]) -> Self {
        Self {
            channel: Channel::Event,
            content: [&DATA_HEADER, event].concat(),
        }
    }

    pub(super) fn data(frame: &[u8]) -> Self {
        Self {
            channel: Channel::Data,
            content: [&DATA_HEADER, frame].concat(),
        }
    }

    /// Nothing but a header. It is no frame, so it takes none's place.
    pub(super) const fn credit() -> Self {
        Self {
            channel: Channel::Event,
            content: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        HEADER_LEN + self.content.len()
    }

    pub(super) fn to_bytes(&self, sequence: u8, credit: u8) -> Vec<u8> {
        // Nothing is longer than a frame and its headers.
        let len = self.len() as u16;
        let [a, b] = len.to_le_bytes();
        let [c, d] = (!len).to_le_bytes();
        let channel = self.channel as u8;
        let start = HEADER_LEN as u8;
        let header = [a, b, c, d, sequence, channel, 0, start, 0, credit, 0, 0];
        [&header, self.content.as_slice()].concat()
    }
}

/// A packet from the host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent<'a> {
    Control(&'a [u8]),
    Data(&'a [u8]),
}

impl<'a> Sent<'a> {
    /// The bytes may be followed by padding.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header: &[u8; HEADER_LEN] = bytes.first_chunk()?;
        let [a, b, c, d, _sequence, channel, _next, start, ..] = *header;
        let (len, complement) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        if len != !complement {
            return None;
        }
        let content = bytes.get(usize::from(start)..usize::from(len))?;
        match channel & 0x0f {
            0 => Some(Self::Control(content)),
            2 => {
                let (header, frame) = content.split_first_chunk::<{ DATA_HEADER.len() }>()?;
                Some(Self::Data(frame.get(4 * usize::from(header[3])..)?))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the driver sends it: two bytes between the headers, padding behind.
    fn sent(channel: u8, content: &[u8], gap: usize) -> Vec<u8> {
        let start = HEADER_LEN + gap;
        let len = (start + content.len()) as u16;
        let [a, b] = len.to_le_bytes();
        let [c, d] = (!len).to_le_bytes();
        let mut bytes = vec![a, b, c, d, 7, channel, 0, start as u8, 0, 0, 0, 0];
        bytes.resize(start, 0);
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0xa5);
        bytes
    }

    #[test]
    fn what_the_driver_sends_is_read_without_its_padding() {
        let frame = [&DATA_HEADER, &b"a frame"[..]].concat();
        assert_eq!(
            Sent::parse(&sent(2, &frame, 2)),
            Some(Sent::Data(b"a frame"))
        );
        assert_eq!(
            Sent::parse(&sent(0, b"question", 0)),
            Some(Sent::Control(b"question"))
        );
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        let good = sent(0, b"question", 0);
        for len in 0..good.len() {
            assert_eq!(Sent::parse(&good[..len]), None, "{len} bytes");
        }
        let mut lies = good.clone();
        lies[2] ^= 1;
        assert_eq!(Sent::parse(&lies), None, "the complement is none");
        assert_eq!(Sent::parse(&sent(5, b"?", 0)), None, "no such channel");
        assert_eq!(
            Sent::parse(&sent(2, &[0, 0, 0, 9], 2)),
            None,
            "beyond its end"
        );
    }

    #[test]
    fn lengths_are_exact() {
        for (packet, len) in [
            (Packet::credit(), 12),
            (Packet::data(&[0; 60]), 76),
            (Packet::data(&[0; 1514]), 1530),
        ] {
            assert_eq!((packet.len(), packet.to_bytes(1, 2).len()), (len, len));
        }
    }
}
