//! What is done to which frame: one byte of the script for each, and what that one needs.

use std::time::Duration;

/// What is done to one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It arrives as it was sent.
    Pass,
    Drop,
    /// It arrives twice.
    Double,
    /// It takes this much longer, and those behind it overtake.
    HoldBack(Duration),
    /// It takes this much longer, and so do those behind it.
    Delay(Duration),
    /// One bit is another.
    Flip {
        at: u16,
    },
    /// Nothing behind this many bytes.
    Cut(u8),
    /// One byte is another, and all checksums are right again.
    Forge {
        at: u16,
        mask: u8,
    },
    /// After it comes a frame of these bytes.
    Inject(Vec<u8>),
    /// After it comes a packet of these bytes with the same Ethernet header, all its checksums right.
    InjectPacket(Vec<u8>),
}

/// The bytes of a script, and what they have come to so far.
#[derive(Debug)]
pub(super) struct Script<'b> {
    bytes: &'b [u8],
    /// How many more frames pass before the next byte is read.
    passing: u8,
    pub(super) harm: Harm,
}

/// What was done so far, as far as it says what may be expected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Harm {
    pub(super) dropped: u32,
    /// Frames that are not what was sent. No checksum is right for them by chance.
    pub(super) damaged: u32,
    /// Frames that are not what was sent although all their checksums may be right.
    pub(super) forged: u32,
}

impl Harm {
    /// Every checksum shows that one bit is wrong; but the TCP engine looks at none when it is built
    /// for a fuzzer, so that random bytes come far.
    const fn flip(&mut self) {
        if cfg!(fuzzing) {
            self.forged += 1;
        } else {
            self.damaged += 1;
        }
    }
}

impl<'b> Script<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            passing: 0,
            harm: Harm {
                dropped: 0,
                damaged: 0,
                forged: 0,
            },
        }
    }

    /// The next byte; zero behind the end.
    pub(super) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        first
    }

    fn pair(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn run(&mut self) -> Vec<u8> {
        let len = usize::from(self.byte()).min(self.bytes.len());
        let (run, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        run.to_vec()
    }

    /// What is done to the next frame. Behind the end of the script all frames pass.
    pub(super) fn next(&mut self) -> Deed {
        if self.passing > 0 {
            self.passing -= 1;
            return Deed::Pass;
        }
        let byte = self.byte();
        let much = byte >> 4;
        let millis = |each| Duration::from_millis(u64::from(much) * each);
        match byte & 0x0f {
            0..=5 => {
                self.passing = much;
                Deed::Pass
            }
            6 | 7 => {
                self.harm.dropped += 1;
                Deed::Drop
            }
            8 => Deed::Double,
            9 => Deed::HoldBack(millis(4)),
            // There and back is less than what an ARP request waits for.
            10 => Deed::Delay(millis(30)),
            11 => {
                self.harm.flip();
                Deed::Flip { at: self.pair() }
            }
            12 => {
                self.harm.damaged += 1;
                Deed::Cut(self.byte())
            }
            13 => {
                self.harm.forged += 1;
                Deed::Forge {
                    at: self.pair(),
                    mask: self.byte(),
                }
            }
            14 => {
                self.harm.forged += 1;
                Deed::Inject(self.run())
            }
            _ => {
                self.harm.forged += 1;
                Deed::InjectPacket(self.run())
            }
        }
    }
}
