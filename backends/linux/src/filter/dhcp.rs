//! What concerns a DHCP server.

use whohas::wire::dhcp::DHCP_SERVER_PORT;

use super::{
    Instruction, accept, incoming, instruction, load_byte, load_half, reject, skip_if_equal,
    skip_unless_any_bit, skip_unless_equal,
};

/// Where the IPv4 header begins.
const IPV4_AT: u32 = 14;
const FRAGMENT: u32 = IPV4_AT + 6;
/// More are to come, or the part does not begin at zero.
const IS_FRAGMENT: u32 = 0x3fff;
const PROTOCOL: u32 = IPV4_AT + 9;
const UDP: u32 = 17;
/// With an IPv4 header of no length: that is added by [`load_half_behind`].
const DESTINATION_PORT: u32 = IPV4_AT + 2;

/// Lets pass ARP, and unfragmented UDP to a server's port, that is sent to the machine, to a group or to
/// all. Tells nothing apart beyond that: lengths and addresses are looked at by those who parse the
/// frame.
pub(crate) fn server() -> Vec<Instruction> {
    let mut program = incoming();
    program.extend([
        load_byte(PROTOCOL),
        skip_if_equal(UDP, 1),
        reject(),
        load_half(FRAGMENT),
        skip_unless_any_bit(IS_FRAGMENT, 1),
        reject(),
        load_header_len(),
        load_half_behind(DESTINATION_PORT),
        skip_unless_equal(DHCP_SERVER_PORT.into(), 1),
        accept(),
        reject(),
    ]);
    program
}

/// Lets nothing pass: for a socket that is there only so that its port is taken.
pub(crate) fn nothing() -> Vec<Instruction> {
    vec![reject()]
}

/// The length of the IPv4 header, for [`load_half_behind`].
fn load_header_len() -> Instruction {
    instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, IPV4_AT)
}

/// As [`load_half`], so much further back.
fn load_half_behind(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, offset)
}
