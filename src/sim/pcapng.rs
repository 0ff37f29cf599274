//! Captures for other people's tools: blocks of the pcapng format, appended to a byte vector.
//!
//! A capture is one [`header`] and any number of [`frame`]s behind it; where the bytes go from
//! there is the caller's business. Times count from our epoch, in the format's default unit of
//! microseconds.

use alloc::vec::Vec;

use crate::time::Instant;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const LINKTYPE_ETHERNET: u16 = 1;

/// Appends what every capture begins with: a section with one Ethernet interface.
pub fn header(out: &mut Vec<u8>) {
    block(out, SECTION_HEADER, |body| {
        put_u32(body, BYTE_ORDER_MAGIC);
        put_u16(body, 1); // version 1.0
        put_u16(body, 0);
        body.extend(u64::MAX.to_le_bytes()); // a section of unknown length: up to the end
    });
    block(out, INTERFACE_DESCRIPTION, |body| {
        put_u16(body, LINKTYPE_ETHERNET);
        put_u16(body, 0);
        put_u32(body, 0); // no limit to a frame's length
    });
}

/// Appends one frame, seen whole at this time. Bytes past 4 GiB are not written.
pub fn frame(out: &mut Vec<u8>, at: Instant, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    block(out, ENHANCED_PACKET, |body| {
        put_u32(body, 0); // the one interface
        put_u32(body, (at.as_micros() >> 32) as u32);
        put_u32(body, at.as_micros() as u32);
        put_u32(body, len); // captured
        put_u32(body, len); // on the wire
        body.extend(&bytes[..len as usize]);
    });
}

/// A block: type, length, body padded to 32 bits, and the length again for who reads backwards.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    put_u32(out, kind);
    put_u32(out, 0);
    body(out);
    let padded = (out.len() - start).next_multiple_of(4);
    out.resize(start + padded, 0);
    let total = (padded + size_of::<u32>()) as u32;
    put_u32(out, total);
    out[start + 4..start + 8].copy_from_slice(&total.to_le_bytes());
}

fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(bytes: &[u8], offset: usize) -> u32 {
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }

    #[test]
    fn the_header_is_a_section_and_an_ethernet_interface() {
        let mut out = Vec::new();
        header(&mut out);
        #[rustfmt::skip]
        let expected = [
            0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0,
            0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0,
            1, 0, 0, 0, 20, 0, 0, 0,
            1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0,
        ];
        assert_eq!(out, expected);
    }

    #[test]
    fn frames_of_every_length_are_padded_and_framed_by_their_block_length() {
        for len in 0..70_u32 {
            let bytes: Vec<u8> = (1..=len as u8).collect();
            let mut out = Vec::new();
            frame(&mut out, Instant::from_micros(0x0102_0304_0506), &bytes);
            let total = u32_at(&out, 4);
            assert_eq!(total as usize, out.len());
            assert_eq!(u32_at(&out, out.len() - 4), total);
            assert_eq!(total, 32 + len.next_multiple_of(4));
            assert_eq!((u32_at(&out, 12), u32_at(&out, 16)), (0x0102, 0x0304_0506));
            assert_eq!((u32_at(&out, 20), u32_at(&out, 24)), (len, len));
            assert_eq!(&out[28..28 + bytes.len()], bytes);
            assert!(
                out[28 + bytes.len()..out.len() - 4]
                    .iter()
                    .all(|&pad| pad == 0)
            );
        }
    }
}
