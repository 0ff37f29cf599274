//! A packet socket on one interface: for tools that send and receive a few frames.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::filter;
use crate::interface::Interface;
use crate::open::OpenError;
use crate::sys::socket::{self, Frame, Receives};

/// Which frames a [`RawSocket`] receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocols {
    /// All that the interface receives.
    All,
    /// ARP, tagged or not. The kernel drops the rest before it is copied.
    Arp,
}

/// A packet socket on one interface. It sends and receives whole Ethernet frames, and never blocks.
///
/// It sees what the interface receives, VLAN tags included, and nothing that this machine sends. The
/// segments of a TCP stream may have been joined, and a peer on the same machine may leave checksums
/// unfinished: for more than ARP take a [`PacketRing`](crate::PacketRing).
///
/// ```no_run
/// use whohas_linux::{Protocols, RawSocket};
///
/// let socket = RawSocket::open("eth0", Protocols::Arp)?;
/// let mut frame = [0; 1514];
/// while let Some(len) = socket.recv(&mut frame)? {
///     println!("{:02x?}", &frame[..len]);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RawSocket {
    fd: OwnedFd,
    interface: Interface,
}

impl RawSocket {
    /// Opens a socket on the interface of that name, which must be Ethernet and up.
    pub fn open(name: &str, protocols: Protocols) -> Result<Self, OpenError> {
        let interface = usable(name)?;
        let fd = packet_socket()?;
        let program = match protocols {
            Protocols::All => filter::everything(),
            Protocols::Arp => filter::arp(),
        };
        // In this order nothing is received before the filter is there.
        socket::attach_filter(fd.as_fd(), &program)
            .map_err(OpenError::io("cannot attach the packet filter"))?;
        socket::enable_auxdata(fd.as_fd())
            .map_err(OpenError::io("cannot ask for the VLAN tags of frames"))?;
        socket::bind(fd.as_fd(), interface.index, Receives::All)
            .map_err(OpenError::io("cannot bind the packet socket"))?;
        Ok(Self { fd, interface })
    }

    /// The interface, as it was when the socket was opened.
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The interface as it is now: its state, its addresses.
    pub fn refresh(&mut self) -> Result<&Interface, OpenError> {
        self.interface = Interface::find(&self.interface.name)?;
        Ok(&self.interface)
    }

    /// The next frame, if one waits, at the start of `buffer`; what does not fit is cut off.
    ///
    /// # Errors
    ///
    /// [`NetworkDown`](io::ErrorKind::NetworkDown) once when the interface goes down; the socket
    /// receives again when it is back up.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match socket::receive(self.fd.as_fd(), buffer) {
            Ok(Frame { len, tag }) => Ok(Some(match tag {
                Some(tag) => insert_tag(buffer, len, tag),
                None => len,
            })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a whole frame, header included.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is no room: wait until the socket is
    /// writable and send it again.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        rustix::net::send(&self.fd, frame, rustix::net::SendFlags::empty())?;
        Ok(())
    }
}

impl AsFd for RawSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The interface of that name, if frames can be sent over it.
pub(crate) fn usable(name: &str) -> Result<Interface, OpenError> {
    let interface = Interface::find(name)?;
    if !interface.is_ethernet() {
        return Err(OpenError::NotEthernet {
            name: interface.name,
            hardware_type: interface.hardware_type,
        });
    }
    if !interface.up {
        return Err(OpenError::Down {
            name: interface.name,
        });
    }
    Ok(interface)
}

/// A packet socket that is bound to nothing yet, and so receives nothing.
pub(crate) fn packet_socket() -> Result<OwnedFd, OpenError> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let fd = socket_with(
        AddressFamily::PACKET,
        SocketType::RAW,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )
    .map_err(io::Error::from)
    .map_err(OpenError::permission("open a packet socket", "CAP_NET_RAW"))?;
    socket::ignore_outgoing(fd.as_fd())
        .map_err(OpenError::io("cannot leave out the frames that we send"))?;
    Ok(fd)
}

/// The length of two addresses: where a tag stands.
const TAG_AT: usize = 12;
const TAG_LEN: usize = 4;

/// Puts a tag back where the kernel took it from; returns the new length.
fn insert_tag(buffer: &mut [u8], len: usize, tag: [u8; TAG_LEN]) -> usize {
    if len < TAG_AT || buffer.len() < TAG_AT + TAG_LEN {
        return len;
    }
    let tagged = (len + TAG_LEN).min(buffer.len());
    buffer.copy_within(TAG_AT..tagged - TAG_LEN, TAG_AT + TAG_LEN);
    buffer[TAG_AT..TAG_AT + TAG_LEN].copy_from_slice(&tag);
    tagged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_goes_between_the_addresses_and_the_type() {
        let mut buffer = [0; 20];
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = index as u8;
        }
        assert_eq!(insert_tag(&mut buffer, 15, [0x81, 0, 0, 7]), 19);
        assert_eq!(buffer[10..19], [10, 11, 0x81, 0, 0, 7, 12, 13, 14]);
    }

    #[test]
    fn a_tag_with_no_room_costs_the_end_of_the_frame() {
        let mut buffer = [1; 18];
        assert_eq!(insert_tag(&mut buffer, 18, [0x81, 0, 0, 7]), 18);
        assert_eq!(buffer[12..], [0x81, 0, 0, 7, 1, 1]);
    }

    #[test]
    fn a_frame_shorter_than_its_addresses_has_no_place_for_a_tag() {
        let mut buffer = [1; 18];
        assert_eq!(insert_tag(&mut buffer, 11, [0x81, 0, 0, 7]), 11);
        let mut short = [1; 13];
        assert_eq!(insert_tag(&mut short, 13, [0x81, 0, 0, 7]), 13);
    }
}
