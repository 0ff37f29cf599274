//! dnsmasq's lease file as the only place where leases are: written whole for each batch.

use std::time::Duration;

use whohas::dhcp::store::dnsmasq::Document;

use super::committer::Sink;
use super::lease_file::{Files, LeaseFile, Place, wall};
use super::{Status, Trouble, image};

#[derive(Debug)]
pub(super) struct OnlyFile {
    file: LeaseFile,
    document: Document,
    /// What is on the disk may not be what the document says.
    is_behind: bool,
    len: u64,
}

impl OnlyFile {
    /// A file of which this was read.
    pub(super) fn new(file: LeaseFile, document: Document) -> Self {
        Self {
            file,
            document,
            is_behind: false,
            len: 0,
        }
    }

    fn save(&mut self) -> Result<(), Trouble> {
        self.is_behind = true;
        let files = Files::of(&self.document);
        self.file.write(&files, Place::New)?;
        self.is_behind = false;
        self.len = files.len() as u64;
        Ok(())
    }
}

impl Sink for OnlyFile {
    fn repair(&mut self) -> Result<(), Trouble> {
        match self.is_behind {
            true => self.save(),
            false => Ok(()),
        }
    }

    fn write(&mut self, frames: &[u8]) -> Result<(), Trouble> {
        let now = wall();
        let mut changed = Vec::new();
        image::each(frames, |record| {
            // What is in a frame fits into a line.
            changed.extend(self.document.set(now, record).ok().flatten());
        });
        if changed.is_empty() {
            return Ok(());
        }
        let saved = self.save();
        if saved.is_err() {
            for old in changed.into_iter().rev() {
                self.document.undo(old);
            }
        }
        saved
    }

    fn tend(&mut self, status: &mut Status) -> Option<Duration> {
        status.file_len = self.len;
        None
    }
}
