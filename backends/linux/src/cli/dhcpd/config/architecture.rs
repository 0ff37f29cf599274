//! The architectures that clients boot with (option 93, RFC 4578), by name.

/// Names, and the numbers that clients say for them. Some say 7 and some 9 for the same.
const NAMES: &[(&str, &[u16])] = &[
    ("x86-bios", &[0]),
    ("itanium-uefi", &[2]),
    ("x86-uefi", &[6]),
    ("x64-uefi", &[7, 9]),
    ("arm32-uefi", &[10]),
    ("arm64-uefi", &[11]),
    ("x86-uefi-http", &[15]),
    ("x64-uefi-http", &[16]),
    ("arm32-uefi-http", &[18]),
    ("arm64-uefi-http", &[19]),
    ("x86-bios-http", &[20]),
    ("riscv32-uefi", &[25]),
    ("riscv32-uefi-http", &[26]),
    ("riscv64-uefi", &[27]),
    ("riscv64-uefi-http", &[28]),
    ("loongarch64-uefi", &[39]),
    ("loongarch64-uefi-http", &[40]),
];

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|&(name, _)| name)
}

/// The numbers that a name or a number stands for.
pub(super) fn numbers(text: &str) -> Option<Vec<u16>> {
    if let Some((_, numbers)) = NAMES.iter().find(|&&(name, _)| name == text) {
        return Some(numbers.to_vec());
    }
    text.parse().ok().map(|number| vec![number])
}
