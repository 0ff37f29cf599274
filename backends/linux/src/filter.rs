//! Programs for the kernel's packet filter, so that only what concerns us is copied to us.
//!
//! They see a frame as it lies on the wire, without its first VLAN tag: that has been taken off
//! before.

use std::net::Ipv4Addr;

use whohas::wire::dhcp::DHCP_SERVER_PORT;

/// One instruction of the classic packet filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_if: u8,
    pub(crate) jump_unless: u8,
    pub(crate) operand: u32,
}

const ETHERTYPE: u32 = 12;
const ARP: u32 = 0x0806;
const IPV4: u32 = 0x0800;
/// Where the IPv4 header begins.
const IPV4_AT: u32 = 14;
const IPV4_FRAGMENT: u32 = IPV4_AT + 6;
/// More are to come, or the part does not begin at zero.
const IS_FRAGMENT: u32 = 0x3fff;
const IPV4_PROTOCOL: u32 = IPV4_AT + 9;
const UDP: u32 = 17;
/// Counted from the end of the IPv4 header, with the Ethernet header in front of that.
const UDP_DESTINATION_PORT: u32 = IPV4_AT + 2;
/// Behind the Ethernet header and the first 16 bytes of the IPv4 header.
const IPV4_DESTINATION: u32 = 30;
/// Of the first byte of a hardware address.
const GROUP_BIT: u32 = 1;
/// Where a program reads what the kernel knows of a frame instead of the frame.
const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
const TO_A_GROUP: u32 = libc::PACKET_MULTICAST as u32;

/// Lets ARP pass and nothing else.
pub(crate) fn arp() -> Vec<Instruction> {
    vec![
        load_half(ETHERTYPE),
        skip_unless_equal(ARP, 1),
        accept(),
        reject(),
    ]
}

/// Lets pass what concerns a DHCP server: ARP, and unfragmented UDP to its port that is sent to the
/// machine, to a group or to all. Tells nothing apart beyond that: lengths and addresses are looked at
/// by those who parse the frame.
pub(crate) fn dhcp_server() -> Vec<Instruction> {
    vec![
        load_word(PACKET_TYPE),
        skip_unless_greater(TO_A_GROUP, 1),
        reject(),
        load_half(ETHERTYPE),
        skip_unless_equal(ARP, 1),
        accept(),
        skip_if_equal(IPV4, 1),
        reject(),
        load_byte(IPV4_PROTOCOL),
        skip_if_equal(UDP, 1),
        reject(),
        load_half(IPV4_FRAGMENT),
        skip_unless_any_bit(IS_FRAGMENT, 1),
        reject(),
        load_ipv4_header_len(),
        load_half_behind(UDP_DESTINATION_PORT),
        skip_unless_equal(DHCP_SERVER_PORT.into(), 1),
        accept(),
        reject(),
    ]
}

/// Lets nothing pass: for a socket that is there only so that its port is taken.
pub(crate) fn nothing() -> Vec<Instruction> {
    vec![reject()]
}

/// Lets pass what concerns a host with these addresses: ARP, and IPv4 to them or to groups. With no
/// address, or with more than a filter can list, all IPv4 that is sent to the machine.
pub(crate) fn host(addresses: &[Ipv4Addr]) -> Vec<Instruction> {
    let mut program = vec![
        // How the kernel saw the frame: to us (0), to all (1), to a group (2), to another machine
        // (3), or from us (4).
        load_word(PACKET_TYPE),
        skip_unless_greater(TO_A_GROUP, 1),
        reject(),
        load_half(ETHERTYPE),
        skip_unless_equal(ARP, 1),
        accept(),
        skip_if_equal(IPV4, 1),
        reject(),
    ];
    // Two instructions for each, of 4,096.
    const MOST_ADDRESSES: usize = 2_000;
    if addresses.is_empty() || addresses.len() > MOST_ADDRESSES {
        program.push(accept());
        return program;
    }
    program.extend([load_byte(0), skip_unless_any_bit(GROUP_BIT, 1), accept()]);
    program.push(load_word(IPV4_DESTINATION));
    for &address in addresses {
        program.extend([skip_unless_equal(address.into(), 1), accept()]);
    }
    program.push(reject());
    program
}

/// Lets everything pass: in place of a filter that is no longer wanted.
pub(crate) fn everything() -> Vec<Instruction> {
    vec![accept()]
}

fn instruction(code: u32, operand: u32) -> Instruction {
    Instruction {
        code: code as u16,
        jump_if: 0,
        jump_unless: 0,
        operand,
    }
}

fn load_byte(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, offset)
}

fn load_half(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, offset)
}

fn load_word(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

/// The length of the IPv4 header, to be added by [`load_half_behind`].
fn load_ipv4_header_len() -> Instruction {
    instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, IPV4_AT)
}

/// As [`load_half`], so much further back.
fn load_half_behind(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, offset)
}

fn skip_if_equal(value: u32, skip: u8) -> Instruction {
    Instruction {
        jump_if: skip,
        ..instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    }
}

fn skip_unless_equal(value: u32, skip: u8) -> Instruction {
    Instruction {
        jump_unless: skip,
        ..instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    }
}

fn skip_unless_greater(value: u32, skip: u8) -> Instruction {
    Instruction {
        jump_unless: skip,
        ..instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, value)
    }
}

fn skip_unless_any_bit(bits: u32, skip: u8) -> Instruction {
    Instruction {
        jump_unless: skip,
        ..instruction(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, bits)
    }
}

/// The whole frame.
fn accept() -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, u32::MAX)
}

fn reject() -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0)
}
