//! UF2: a program as the file that is copied to a Pico in its boot mode.
//!
//! A file is a row of blocks of 512 bytes, each with 256 bytes of flash and where they belong. The
//! format is Microsoft's and public, the family of the RP2350's programs and
//! the block before all others (erratum RP2350-E10) in its datasheet.

use anyhow::{Context, Result, bail, ensure};

const BLOCK: usize = 512;
/// The bytes of flash in a block.
const PAGE: usize = 256;
const DATA: std::ops::Range<usize> = 32..32 + PAGE;

const MAGIC: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const MAGIC_END: u32 = 0x0ab1_6f30;
const HAS_FAMILY: u32 = 0x2000;
const HAS_EXTENSION: u32 = 0x8000;
/// Programs for the secure state of the RP2350's Arm cores.
const RP2350_ARM_S: u32 = 0xe48b_ff59;
const ABSOLUTE: u32 = 0xe48b_ff57;
/// The extension of a block that is not to be written.
const IGNORED: u32 = 0x9957_e304;
/// Where the block that is not to be written would belong.
const IGNORED_AT: u32 = 0x10ff_ff00;

/// A part of flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) start: u32,
    pub(crate) bytes: Vec<u8>,
}

/// The file for this image.
pub(crate) fn encode(image: &Image) -> Result<Vec<u8>> {
    ensure!(
        (image.start as usize).is_multiple_of(PAGE),
        "the program starts in the middle of a page, at {:#x}",
        image.start
    );
    let pages = image.bytes.chunks(PAGE);
    let count = u32::try_from(pages.len())?;
    let mut file = ignored_block().to_vec();
    for (number, page) in (0..).zip(pages) {
        let address = image.start + number * PAGE as u32;
        file.extend(block(
            HAS_FAMILY,
            address,
            (number, count),
            RP2350_ARM_S,
            page,
        ));
    }
    Ok(file)
}

/// Without it, the boot ROM of the first RP2350s does not find the end of a file.
fn ignored_block() -> [u8; BLOCK] {
    let flags = HAS_FAMILY | HAS_EXTENSION;
    let mut block = block(flags, IGNORED_AT, (0, 2), ABSOLUTE, &[0xef; PAGE]);
    block[DATA.end..DATA.end + 4].copy_from_slice(&IGNORED.to_le_bytes());
    block
}

fn block(
    flags: u32,
    address: u32,
    (number, count): (u32, u32),
    family: u32,
    page: &[u8],
) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let header = [
        MAGIC[0],
        MAGIC[1],
        flags,
        address,
        PAGE as u32,
        number,
        count,
        family,
    ];
    for (place, word) in block.chunks_exact_mut(4).zip(header) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    block[DATA][..page.len()].copy_from_slice(page);
    block[BLOCK - 4..].copy_from_slice(&MAGIC_END.to_le_bytes());
    block
}

/// What the boot ROM of an RP2350 would write, if it is one piece.
pub(crate) fn decode(file: &[u8]) -> Result<Image> {
    ensure!(
        file.len().is_multiple_of(BLOCK),
        "the last block is cut off"
    );
    let mut blocks = file.chunks_exact(BLOCK).peekable();
    let first = blocks.next_if(|block| *block == ignored_block());
    ensure!(first.is_some(), "there is no block for erratum RP2350-E10");
    let count = u32::try_from(blocks.len())?;
    let mut image = Image {
        start: blocks.peek().map_or(0, |block| word(block, 3)),
        bytes: Vec::new(),
    };
    for (number, block) in (0..).zip(blocks) {
        let header = [0, 1, 2, 4, 5, 6, 7, BLOCK / 4 - 1].map(|index| word(block, index));
        let [magic @ .., last] = header;
        let expected = [
            MAGIC[0],
            MAGIC[1],
            HAS_FAMILY,
            PAGE as u32,
            number,
            count,
            RP2350_ARM_S,
        ];
        if magic != expected || last != MAGIC_END {
            bail!("block {number} is not one of a program: {header:x?}");
        }
        let end = u32::try_from(image.bytes.len())?.checked_add(image.start);
        let end = end.context("the program does not fit into the memory")?;
        ensure!(
            word(block, 3) == end,
            "block {number} leaves a gap before it"
        );
        image.bytes.extend_from_slice(&block[DATA]);
    }
    Ok(image)
}

fn word(block: &[u8], index: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&block[index * 4..][..4]);
    u32::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(len: usize) -> Image {
        Image {
            start: 0x1000_0000,
            bytes: (0..len).map(|n| (n % 251) as u8).collect(),
        }
    }

    #[test]
    fn what_is_encoded_is_decoded_up_to_the_end_of_the_page() {
        for len in [1, 255, 256, 257, 10_000] {
            let image = image(len);
            let file = encode(&image).unwrap();
            assert_eq!(file.len(), (1 + len.div_ceil(PAGE)) * BLOCK);
            let decoded = decode(&file).unwrap();
            assert_eq!(decoded.start, image.start);
            let (program, padding) = decoded.bytes.split_at(len);
            assert_eq!(program, image.bytes);
            assert!(padding.len() < PAGE && padding.iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_file_that_is_cut_off_or_changed_is_refused() {
        let file = encode(&image(1_000)).unwrap();
        assert!(decode(&file[..file.len() - 1]).is_err());
        assert!(
            decode(&file[..file.len() - BLOCK]).is_err(),
            "a block is missing"
        );
        assert!(decode(&file[BLOCK..]).is_err(), "without the first block");
        for byte in [0, 12, 20, 28, BLOCK - 1] {
            let mut file = file.clone();
            file[2 * BLOCK + byte] ^= 1;
            assert!(decode(&file).is_err(), "byte {byte} is another one");
        }
    }
}
