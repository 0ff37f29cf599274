//! The checksum of the internet protocols (RFC 1071): one sum for IPv4, UDP and, in backends, TCP.

/// A one's complement sum in the making: the checksum of the internet protocols (RFC 1071).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// With these bytes added; if their number is odd, they are the last.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        self.add(bytes)
    }

    /// Adds these bytes; if their number is odd, they are the last.
    ///
    /// Taken as 32-bit words: 2^16 is 1 modulo 2^16 - 1, so the sum folds to the same 16 bits, and
    /// 64 bits of it overflow for no slice that fits a memory. And taken in the processor's own order,
    /// which only swaps the bytes of the result.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        let (words, tail) = bytes.as_chunks::<4>();
        let sum = words.iter().map(|&word| widen(word)).sum::<u64>();
        let mut last = [0; 4];
        for (byte, &value) in last.iter_mut().zip(tail) {
            *byte = value;
        }
        Self(self.0 + sum + widen(last))
    }

    /// The checksum: what a header's field must say, or zero if the field was among the bytes and
    /// is right.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    pub fn checksum(self) -> u16 {
        let mut sum = self.0;
        while let carry @ 1.. = sum >> 16 {
            sum = (sum & 0xffff) + carry;
        }
        u16::from_be(!(sum as u16))
    }
}

fn widen(word: [u8; 4]) -> u64 {
    u64::from(u32::from_ne_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(bytes: &[u8]) -> u16 {
        Sum::default().add(bytes).checksum()
    }

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), !0xddf2);
    }

    #[test]
    fn a_tail_is_padded_with_zeros() {
        assert_eq!(checksum(&[]), 0xffff);
        assert_eq!(checksum(&[0x12]), !0x1200);
        assert_eq!(checksum(&[0x12, 0x34]), !0x1234);
        assert_eq!(checksum(&[0x12, 0x34, 0x56]), !(0x1234 + 0x5600));
        assert_eq!(checksum(&[0x00, 0x01, 0xff, 0xff, 0x00, 0x02]), !3);
    }

    #[test]
    fn parts_of_even_length_add_up() {
        let bytes: [u8; 22] = core::array::from_fn(|index| (index as u8).wrapping_mul(0x9d));
        for cut in (0..=bytes.len()).step_by(2) {
            let (head, tail) = bytes.split_at(cut);
            let sum = Sum::default().add(head).add(tail);
            assert_eq!(sum.checksum(), checksum(&bytes), "cut at {cut}");
        }
    }

    #[test]
    fn carries_of_the_longest_datagram_are_all_folded_in() {
        let bytes = std::vec![0xff; 65_535];
        assert_eq!(checksum(&bytes), 0x00ff);
    }
}
