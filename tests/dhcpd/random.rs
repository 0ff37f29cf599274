//! Random numbers, the same for the same seed.

use std::time::SystemTime;

/// xorshift64.
pub struct Random(u64);

impl Random {
    /// From a seed that is not zero.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other ones every time.
    pub fn from_time() -> Self {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("it is later");
        let seed = now.as_nanos() as u64 | 1;
        println!("random: seed {seed:#x}");
        Self(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
