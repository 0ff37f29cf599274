//! Programs for the kernel's packet filter, so that only what concerns us is copied to us.
//!
//! They see a frame as it lies on the wire, without its first VLAN tag: that has been taken off
//! before.

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

/// Lets ARP pass and nothing else.
pub(crate) fn arp() -> Vec<Instruction> {
    vec![
        load_half(ETHERTYPE),
        skip_unless_equal(ARP, 1),
        accept(),
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

fn load_half(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, offset)
}

fn skip_unless_equal(value: u32, skip: u8) -> Instruction {
    Instruction {
        jump_unless: skip,
        ..instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    }
}

/// The whole frame.
fn accept() -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, u32::MAX)
}

fn reject() -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0)
}
