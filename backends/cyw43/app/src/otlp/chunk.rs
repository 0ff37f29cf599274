//! The one buffer that requests leave through: chunks of HTTP/1.1 (RFC 9112, section 7.1).

use super::Sink;

/// How many bytes of a request are written at once.
pub const CHUNK: usize = 512;

/// The length of a chunk, with leading zeros, and the end of its line.
const SIZE: usize = 5;
const END: &[u8] = b"\r\n";
const LAST: &[u8] = b"0\r\n\r\n";

/// Bytes that stand as they are (a request's head), and a chunk behind them.
pub(super) struct Chunk {
    bytes: [u8; CHUNK],
    /// Where the chunk begins.
    start: usize,
    /// Where what was put in ends.
    end: usize,
}

impl Chunk {
    pub(super) fn new(head: &[u8]) -> Self {
        // Heads are ours, and shorter.
        let len = head.len().min(CHUNK / 2);
        let mut bytes = [0; CHUNK];
        bytes[..len].copy_from_slice(&head[..len]);
        Self {
            bytes,
            start: len,
            end: len + SIZE,
        }
    }

    fn room(&self) -> usize {
        CHUNK - END.len() - LAST.len() - self.end
    }

    /// What is to be written, which may be nothing.
    pub(super) fn framed(&mut self, is_last: bool) -> &[u8] {
        let len = self.end - self.start - SIZE;
        if len == 0 {
            // A chunk of nothing would be the last.
            self.end = self.start;
        } else {
            let digit = |shift: u32| b"0123456789abcdef"[(len >> shift) & 15];
            let size = [digit(8), digit(4), digit(0), b'\r', b'\n'];
            self.bytes[self.start..self.start + SIZE].copy_from_slice(&size);
            self.append(END);
        }
        if is_last {
            self.append(LAST);
        }
        &self.bytes[..self.end]
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// It was written.
    pub(super) const fn clear(&mut self) {
        self.start = 0;
        self.end = SIZE;
    }
}

/// What of a text is put into a chunk: from somewhere on, as much as there is room for.
pub(super) struct Window<'c> {
    chunk: &'c mut Chunk,
    skip: usize,
    /// How much was put in.
    pub(super) taken: usize,
    /// There is more than there was room for.
    pub(super) is_cut: bool,
}

impl<'c> Window<'c> {
    pub(super) const fn new(chunk: &'c mut Chunk, skip: usize) -> Self {
        Self {
            chunk,
            skip,
            taken: 0,
            is_cut: false,
        }
    }
}

impl Sink for Window<'_> {
    /// Characters may be cut in the middle: the rest is in the next chunk.
    fn put(&mut self, text: &str) {
        let skipped = self.skip.min(text.len());
        self.skip -= skipped;
        let rest = &text.as_bytes()[skipped..];
        let fits = rest.len().min(self.chunk.room());
        self.chunk.append(&rest[..fits]);
        self.taken += fits;
        self.is_cut |= fits < rest.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_a_chunk_and_the_end_fit_into_one_write() {
        let mut chunk = Chunk::new(b"HEAD\r\n\r\n");
        Window::new(&mut chunk, 1).put("{{}");
        assert_eq!(chunk.framed(true), b"HEAD\r\n\r\n002\r\n{}\r\n0\r\n\r\n");
    }

    #[test]
    fn a_chunk_of_nothing_is_not_written() {
        let mut chunk = Chunk::new(b"HEAD");
        assert_eq!(chunk.framed(false), b"HEAD");
        chunk.clear();
        assert_eq!(chunk.framed(true), LAST);
    }

    #[test]
    fn what_does_not_fit_is_cut_and_comes_next() {
        let mut chunk = Chunk::new(b"");
        let text = "0123456789abcdef".repeat(64);
        let mut whole = std::string::String::new();
        let mut skip = 0;
        loop {
            let mut window = Window::new(&mut chunk, skip);
            window.put(&text[..10]);
            window.put(&text[10..]);
            let (taken, is_cut) = (window.taken, window.is_cut);
            skip += taken;
            let framed = chunk.framed(false);
            assert!(framed.len() <= CHUNK);
            whole += core::str::from_utf8(&framed[SIZE..framed.len() - 2]).unwrap();
            chunk.clear();
            if !is_cut {
                break;
            }
        }
        assert_eq!(whole, text);
    }
}
