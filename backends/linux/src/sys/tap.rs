//! TAP devices: network interfaces with a process where the cable would be.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;
use super::device::question;

/// Makes the open `/dev/net/tun` the other end of an interface of this name, created if it is not
/// there; returns its name. Every frame begins with what is said of it.
pub(crate) fn attach(fd: BorrowedFd<'_>, name: &str) -> io::Result<String> {
    let mut request = question(name)?;
    request.ifr_ifru.ifru_flags =
        (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: this request reads a name and flags and writes the name, all in one structure, which is
    // ours alone during the call; `fd` is open for as long as it is borrowed.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    // SAFETY: the kernel has written a name that ends with a zero, as all names of interfaces do.
    let name = unsafe { CStr::from_ptr(request.ifr_name.as_ptr()) };
    Ok(name.to_string_lossy().into_owned())
}

/// The kernel may send unfinished checksums.
pub(crate) fn accept_offloads(fd: BorrowedFd<'_>) -> io::Result<()> {
    let accepted = libc::c_ulong::from(libc::TUN_F_CSUM);
    // SAFETY: this request takes a number and touches no memory of ours.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, accepted) })?;
    Ok(())
}
