//! `--pcap`: every frame that was sent or received, for people who look into a bug.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use whohas::Instant;
use whohas::sim::pcapng;

use super::failure::Failure;

/// A capture file that grows.
#[derive(Debug)]
pub(super) struct Capture {
    path: PathBuf,
    file: BufWriter<File>,
    block: Vec<u8>,
}

impl Capture {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::File {
            path: path.to_owned(),
            error,
        })?;
        let mut this = Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            block: Vec::new(),
        };
        pcapng::header(&mut this.block);
        this.write_block()?;
        Ok(this)
    }

    pub(super) fn record(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = Instant::ZERO + since.unwrap_or_default();
        pcapng::frame(&mut self.block, at, frame);
        self.write_block()
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        let flushed = self.file.flush();
        flushed.map_err(|error| self.failure(error))
    }

    fn write_block(&mut self) -> Result<(), Failure> {
        let written = self.file.write_all(&self.block);
        self.block.clear();
        written.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: std::io::Error) -> Failure {
        Failure::File {
            path: self.path.clone(),
            error,
        }
    }
}
