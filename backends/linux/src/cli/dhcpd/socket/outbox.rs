//! Replies on their way out: written once, where they leave from, and sent many at a time.

use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use whohas::wire::MacAddr;

use super::envelope::{ETHERNET_LEN, Envelope, FRAME_HEADERS, PACKET_HEADERS};

/// How many replies wait at most for sockets that have no room.
const SLOTS: usize = 256;
/// How many leave with one call.
const AT_ONCE: usize = 64;

/// Memory for replies.
#[derive(Debug)]
pub(super) struct Outbox {
    memory: Box<[u8]>,
    slot_len: usize,
    /// How much of a slot is used: its rest is there so that slots begin on cache lines of their own.
    longest: usize,
    free: Vec<usize>,
}

/// A reply that is written.
#[derive(Debug)]
pub(super) struct Letter {
    slot: usize,
    bytes: Range<usize>,
    /// Where to, unless it is a frame.
    to: Option<SocketAddrAny>,
}

/// How a reply leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// As a frame of ours to this station: nobody is asked for it.
    Frame { from: MacAddr, to: MacAddr },
    /// As a packet that the kernel routes.
    Routed,
}

impl Outbox {
    /// For datagrams of up to `longest` bytes, with their IP header.
    pub(super) fn new(longest: usize) -> Self {
        let longest = ETHERNET_LEN + longest.max(PACKET_HEADERS);
        let slot_len = longest.next_multiple_of(64);
        Self {
            memory: vec![0; SLOTS * slot_len].into_boxed_slice(),
            slot_len,
            longest,
            free: (0..SLOTS).rev().collect(),
        }
    }

    /// Room for the payload of the next reply, if there is any.
    pub(super) fn room(&mut self) -> Option<&mut [u8]> {
        let &slot = self.free.last()?;
        let start = slot * self.slot_len;
        self.memory
            .get_mut(start + FRAME_HEADERS..start + self.longest)
    }

    /// Makes a letter of the `len` bytes that were written to the [room](Self::room).
    pub(super) fn seal(&mut self, len: usize, envelope: Envelope, way: Way) -> Option<Letter> {
        let slot = self.free.pop()?;
        let start = slot * self.slot_len;
        let end = start + (FRAME_HEADERS + len).min(self.longest);
        let (begin, to) = match way {
            Way::Frame { from, to } => {
                envelope.write_frame(from, to, &mut self.memory[start..end]);
                (start, None)
            }
            Way::Routed => {
                let begin = start + ETHERNET_LEN;
                envelope.write_packet(&mut self.memory[begin..end]);
                // The port is in the packet; the kernel wants none.
                let to = SocketAddrV4::new(envelope.destination.0, 0);
                (begin, Some(to.as_any()))
            }
        };
        Some(Letter {
            slot,
            bytes: begin..end,
            to,
        })
    }

    /// Sends what the kernel has room for; the rest stays. How many it has refused: the link is down,
    /// there is no route, or its queue is full.
    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>, letters: &mut Vec<Letter>) -> u64 {
        let mut refused = 0;
        let mut done = 0;
        while let left @ [_, ..] = &letters[done..] {
            match self.send_some(socket, left) {
                Ok(sent) => done += sent,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                // The first one cannot be sent. Its client asks again.
                Err(_) => {
                    refused += 1;
                    done += 1;
                }
            }
        }
        self.discard(letters.drain(..done));
        refused
    }

    /// Takes the room of these back.
    pub(super) fn discard(&mut self, letters: impl IntoIterator<Item = Letter>) -> u64 {
        let before = self.free.len();
        self.free
            .extend(letters.into_iter().map(|letter| letter.slot));
        (self.free.len() - before) as u64
    }

    fn send_some(&self, socket: BorrowedFd<'_>, letters: &[Letter]) -> rustix::io::Result<usize> {
        let letters = &letters[..letters.len().min(AT_ONCE)];
        let parts: Vec<[IoSlice<'_>; 1]> = letters
            .iter()
            .map(|letter| [IoSlice::new(&self.memory[letter.bytes.clone()])])
            .collect();
        let mut controls = [const { None }; AT_ONCE];
        let mut headers: Vec<MMsgHdr<'_>> = letters
            .iter()
            .zip(&parts)
            .zip(&mut controls)
            .map(|((letter, parts), control)| {
                let control = control.insert(SendAncillaryBuffer::default());
                match &letter.to {
                    Some(to) => MMsgHdr::new_with_addr(to, parts, control),
                    None => MMsgHdr::new(parts, control),
                }
            })
            .collect();
        sendmmsg(socket, &mut headers, SendFlags::DONTWAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;
    use whohas::wire::{EthernetFrame, Ipv4Packet, UdpChecksum, UdpDatagram};

    const ENVELOPE: Envelope = Envelope {
        source: (Ipv4Addr::new(10, 0, 0, 1), 67),
        destination: (Ipv4Addr::new(10, 0, 0, 9), 68),
    };
    const FRAME: Way = Way::Frame {
        from: MacAddr::new([2, 0, 0, 0, 0, 1]),
        to: MacAddr::new([2, 0, 0, 0, 0, 9]),
    };

    fn write(outbox: &mut Outbox, payload: &[u8], way: Way) -> Option<Letter> {
        outbox.room()?[..payload.len()].copy_from_slice(payload);
        outbox.seal(payload.len(), ENVELOPE, way)
    }

    fn payload(packet: &[u8]) -> Vec<u8> {
        let packet = Ipv4Packet::parse(packet).unwrap();
        let (source, destination) = (packet.header.source, packet.header.destination);
        assert_eq!(
            (source, destination),
            (ENVELOPE.source.0, ENVELOPE.destination.0)
        );
        UdpDatagram::parse(packet.payload, source, destination, UdpChecksum::Verify)
            .unwrap()
            .payload
            .to_vec()
    }

    #[test]
    fn letters_leave_in_order_and_their_room_is_used_again() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let mut outbox = Outbox::new(576);
        let mut buffer = [0; 2_048];
        for round in 0..3 * SLOTS / AT_ONCE {
            let numbers = (0..AT_ONCE as u8).map(|number| [round as u8, number]);
            let letters = numbers.clone().map(|text| write(&mut outbox, &text, FRAME));
            let mut letters: Vec<Letter> = letters.collect::<Option<_>>().unwrap();
            assert_eq!(outbox.flush(ours.as_fd(), &mut letters), 0);
            assert!(letters.is_empty());
            for text in numbers {
                let len = theirs.recv(&mut buffer).unwrap();
                let frame = EthernetFrame::parse(&buffer[..len]).unwrap();
                assert_eq!(payload(frame.payload), text);
            }
        }
    }

    #[test]
    fn a_letter_that_is_routed_begins_with_its_ip_header() {
        let mut outbox = Outbox::new(576);
        let letter = write(&mut outbox, b"reply", Way::Routed).unwrap();
        assert_eq!(payload(&outbox.memory[letter.bytes.clone()]), b"reply");
        assert!(letter.to.is_some());
    }

    #[test]
    fn what_finds_no_room_in_the_kernel_stays_until_it_is_given_up() {
        let (ours, _theirs) = UnixDatagram::pair().unwrap();
        // For a few, which nobody reads.
        rustix::net::sockopt::set_socket_send_buffer_size(&ours, 4_096).unwrap();
        let mut outbox = Outbox::new(576);
        let mut letters = Vec::new();
        while let Some(letter) = write(&mut outbox, b"reply", FRAME) {
            letters.push(letter);
        }
        assert_eq!(letters.len(), SLOTS);
        assert_eq!(outbox.flush(ours.as_fd(), &mut letters), 0);
        let waiting = letters.len();
        assert!((1..SLOTS).contains(&waiting));
        assert_eq!(outbox.discard(letters.drain(..)), waiting as u64);
        assert_eq!(outbox.free.len(), SLOTS);
    }

    #[test]
    fn what_the_kernel_refuses_is_counted_and_gone() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        drop(theirs);
        let mut outbox = Outbox::new(576);
        let letters = [b"one", b"two"].map(|text| write(&mut outbox, text, FRAME).unwrap());
        let mut letters = Vec::from(letters);
        assert_eq!(outbox.flush(ours.as_fd(), &mut letters), 2);
        assert!(letters.is_empty());
        assert_eq!(outbox.free.len(), SLOTS);
    }

    #[test]
    fn a_payload_has_the_room_that_the_link_leaves_it() {
        assert_eq!(Outbox::new(576).room().unwrap().len(), 576 - 28);
        assert_eq!(Outbox::new(1_500).room().unwrap().len(), 1_500 - 28);
    }
}
