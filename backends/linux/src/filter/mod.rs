//! Programs for the kernel's packet filter, so that only what concerns us is copied to us.
//!
//! They see a frame as it lies on the wire, without its first VLAN tag: that has been taken off
//! before.

#[cfg(feature = "command")]
pub(crate) mod dhcp;

use std::net::Ipv4Addr;

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

/// Lets pass what concerns a host with these addresses: ARP, and IPv4 to them or to groups. With no
/// address, or with more than a filter can list, all IPv4 that is sent to the machine.
pub(crate) fn host(addresses: &[Ipv4Addr]) -> Vec<Instruction> {
    let mut program = incoming();
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

/// How filters for hosts begin: ARP passes, and what goes on is the IPv4 that is sent to the machine, to a
/// group or to all.
fn incoming() -> Vec<Instruction> {
    vec![
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
    ]
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
