//! What is written at once.

use whohas::dhcp::store::log::{self, MOST_FRAME, Unfit};
use whohas::dhcp::store::{Change, Outcome, Record, Refusal, Ticket, Version};

/// Changes that become durable together, or not at all.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Their records.
    pub(super) frames: Vec<u8>,
    /// What each is called, and the version of its record when it is written.
    changes: Vec<(Ticket, Version)>,
    /// Whether the records are all there are: none is to be left but these.
    pub(super) is_everything: bool,
}

impl Batch {
    /// All there is.
    pub(super) fn everything() -> Self {
        Self {
            is_everything: true,
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && !self.is_everything
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn push(&mut self, change: &Change<'_>) -> Result<(), Unfit> {
        self.push_record(&change.record)?;
        self.changes.push((change.ticket, change.expects.next()));
        Ok(())
    }

    pub(super) fn push_record(&mut self, record: &Record<'_>) -> Result<(), Unfit> {
        let mut room = [0; MOST_FRAME];
        self.frames
            .extend_from_slice(log::frame(record, &mut room)?);
        Ok(())
    }

    /// Takes the changes of another one, later than its own.
    pub(super) fn append(&mut self, later: &mut Self) {
        self.frames.append(&mut later.frames);
        self.changes.append(&mut later.changes);
    }

    /// What became of each, as they all fared alike.
    pub(super) fn outcomes(&self, written: Result<(), Refusal>) -> impl Iterator<Item = Outcome> {
        let outcome = move |(ticket, version): &(Ticket, Version)| Outcome {
            ticket: *ticket,
            result: written.map(|()| *version),
        };
        self.changes.iter().map(outcome)
    }
}
