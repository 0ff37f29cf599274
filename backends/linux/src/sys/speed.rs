//! How fast a link is, as its driver says.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::check;
use super::device::question;

/// `ETHTOOL_GSET`.
const GET_SETTINGS: u32 = 1;
/// The number of the request for all of ethtool's questions.
const SIOCETHTOOL: u64 = 0x8946;

/// The kernel's `struct ethtool_cmd`, in which question and answer are.
#[repr(C)]
#[derive(Default)]
struct Settings {
    command: u32,
    supported: u32,
    advertising: u32,
    speed_low: u16,
    duplex_and_port: [u8; 2],
    phy_and_others: [u8; 4],
    most_packets: [u32; 2],
    speed_high: u16,
    crossing: [u8; 2],
    partner: u32,
    reserved: [u32; 2],
}

const _: () = assert!(size_of::<Settings>() == 44);

/// Mbit/s; `None` if the driver does not know.
pub(crate) fn megabits(name: &str) -> io::Result<Option<u32>> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut settings = Settings {
        command: GET_SETTINGS,
        ..Settings::default()
    };
    let mut question = question(name)?;
    question.ifr_ifru.ifru_data = ptr::from_mut(&mut settings).cast();
    // SAFETY: this request reads the name, and reads and writes the structure of ethtool's that the
    // question points to, whose size its command tells the kernel. Both are ours alone during the
    // call.
    check(unsafe {
        libc::ioctl(
            socket.as_fd().as_raw_fd(),
            SIOCETHTOOL as _,
            &raw mut question,
        )
    })?;
    let speed = u32::from(settings.speed_high) << 16 | u32::from(settings.speed_low);
    // All ones, in 16 bits or in 32.
    let unknown = matches!(speed, 0 | 0xffff | u32::MAX);
    Ok((!unknown).then_some(speed))
}
