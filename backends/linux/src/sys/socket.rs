//! Options and messages of packet sockets.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use super::check;
use crate::filter::Instruction;

/// Sets an option whose value is plain data of type `T`.
pub(super) fn set_option<T>(
    fd: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which the kernel only reads, during the
    // call; `fd` is open for as long as it is borrowed.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Leaves out the copies of what this machine sends. Since Linux 4.20.
pub(crate) fn ignore_outgoing(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1i32)
}

/// Asks for what is not in the frame any more: the VLAN tag.
pub(crate) fn enable_auxdata(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, &1i32)
}

/// Sets the filter that decides which frames come up, in place of the one before.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    let mut program = program
        .iter()
        .map(|instruction| libc::sock_filter {
            code: instruction.code,
            jt: instruction.jump_if,
            jf: instruction.jump_unless,
            k: instruction.operand,
        })
        .collect::<Vec<_>>();
    let description = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: program.as_mut_ptr(),
    };
    // `program`, to which the description points, lives until the kernel has copied it.
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &description)
}

/// Has a socket send and receive over this interface only. Whoever has not the right to raw sockets can
/// do it once.
#[cfg(feature = "command")]
pub(crate) fn bind_to_device(fd: BorrowedFd<'_>, interface: u32) -> io::Result<()> {
    set_option(
        fd,
        libc::SOL_SOCKET,
        libc::SO_BINDTOIFINDEX,
        &(interface as i32),
    )
}

/// Has every frame that is sent begin with what is said of it to the kernel.
pub(crate) fn enable_virtio_header(fd: BorrowedFd<'_>) -> io::Result<()> {
    set_option(fd, libc::SOL_PACKET, libc::PACKET_VNET_HDR, &1i32)
}

/// What a socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receives {
    /// All protocols: a socket bound to one protocol gets frames whose tag is lost.
    All,
    Nothing,
}

/// Binds to one interface.
pub(crate) fn bind(fd: BorrowedFd<'_>, interface: u32, receives: Receives) -> io::Result<()> {
    // SAFETY: all zeros is a valid value of this structure of integers.
    let mut address: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = match receives {
        Receives::All => (libc::ETH_P_ALL as u16).to_be(),
        Receives::Nothing => 0,
    };
    address.sll_ifindex = interface as libc::c_int;
    // SAFETY: the pointer and the length describe `address`, which the kernel only reads, during the
    // call; `fd` is open for as long as it is borrowed.
    check(unsafe {
        libc::bind(
            fd.as_raw_fd(),
            ptr::from_ref(&address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// A received frame: how much of the buffer it fills, and the tag that was taken from it.
pub(crate) struct Frame {
    pub(crate) len: usize,
    pub(crate) tag: Option<[u8; 4]>,
}

/// Room for one control message with auxiliary data, aligned as such messages are.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Receives a frame into `buffer`, cut off where it does not fit.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Frame> {
    let mut control = Control([0; 64]);
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeros is a valid value of this structure of integers and null pointers.
    let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the message points to `buffer` and `control` with their true lengths, both borrowed
    // mutably here and alive during the call, and to nothing else.
    let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, 0) };
    let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
    Ok(Frame {
        len: len.min(buffer.len()),
        tag: tag_in(&message),
    })
}

/// The tag among the control messages.
fn tag_in(message: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: `message` was filled by recvmsg, so its control pointer and length describe memory
    // that the kernel has written messages to, in `receive`'s frame, which is still there.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: a header that the macros return is inside of the control memory, and aligned, as
        // that memory is.
        let (level, kind, len) = unsafe {
            (
                (*header).cmsg_level,
                (*header).cmsg_type,
                (*header).cmsg_len,
            )
        };
        let wanted = size_of::<libc::tpacket_auxdata>();
        // SAFETY: plain arithmetic.
        let enough = len >= unsafe { libc::CMSG_LEN(wanted as u32) } as _;
        if (level, kind) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) && enough {
            // SAFETY: the message says that this many bytes of data follow its header; the
            // structure is made of integers, and read without regard to alignment.
            let aux = unsafe {
                ptr::read_unaligned(libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>())
            };
            return tag(aux.tp_status, aux.tp_vlan_tci, aux.tp_vlan_tpid);
        }
        // SAFETY: as for the first header.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// The tag that a frame had on the wire, as the kernel describes it beside the frame.
pub(crate) fn tag(status: u32, control: u16, protocol: u16) -> Option<[u8; 4]> {
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let protocol = match status & libc::TP_STATUS_VLAN_TPID_VALID {
        0 => 0x8100,
        _ => protocol,
    };
    let [[a, b], [c, d]] = [protocol.to_be_bytes(), control.to_be_bytes()];
    Some([a, b, c, d])
}

/// The groups, besides its own, of whoever is at the other end of a Unix socket. Since Linux 4.13.
#[cfg(feature = "command")]
pub(crate) fn peer_groups(fd: BorrowedFd<'_>) -> io::Result<Vec<libc::gid_t>> {
    /// As many as the kernel lets a process have.
    const MOST: usize = 65_536;
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut len = size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: the pointer and the length describe `groups`, borrowed mutably here; the kernel
        // writes no more than that, and into `len` how much; `fd` is open for as long as it is borrowed.
        let result = check(unsafe {
            libc::getsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut len,
            )
        });
        let count = len as usize / size_of::<libc::gid_t>();
        match result {
            Ok(_) => {
                groups.truncate(count);
                return Ok(groups);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < MOST => {
                groups.resize(MOST, 0);
            }
            Err(error) => return Err(error),
        }
    }
}
