//! The flow of a received frame.
//!
//! Whether the frame is sound is the link's business: checksums are not looked at here.

use std::net::SocketAddrV4;

use whohas::link::Flow;
use whohas::wire::Transport;

/// Where in an IPv4 header both addresses are, the sender's first.
const ADDRESSES: usize = 12;

/// From where to where a frame goes that has all of a TCP or UDP header in it, and no fragment.
#[inline]
pub(super) fn flow_of(frame: &[u8]) -> Option<Flow> {
    let transport = Transport::find(frame)?;
    let addresses = frame.get(transport.network() + ADDRESSES..)?;
    let &[a, b, c, d, e, f, g, h] = addresses.first_chunk()?;
    let &[i, j, k, l] = frame.get(transport.start()..)?.first_chunk()?;
    let port = u16::from_be_bytes;
    Some(Flow {
        protocol: transport.protocol(),
        local: SocketAddrV4::new([e, f, g, h].into(), port([k, l])),
        remote: Some(SocketAddrV4::new([a, b, c, d].into(), port([i, j]))),
    })
}
