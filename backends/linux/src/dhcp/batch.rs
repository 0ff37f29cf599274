//! What is written at once.

use whohas::dhcp::store::log::{self, MOST_FRAME, Unfit};
use whohas::dhcp::store::{Change, Outcome, Record, Refusal, Ticket, Version};

/// Changes that become durable together, or not at all.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Their records.
    pub(super) frames: Vec<u8>,
    /// What each is called, and the version of its record when it is written; or why it will not be.
    changes: Vec<(Ticket, Result<Version, Refusal>)>,
}

impl Batch {
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Takes a change, of which something can be told in any case.
    pub(super) fn push(&mut self, change: &Change<'_>) {
        match self.push_record(&change.record) {
            Ok(()) => self
                .changes
                .push((change.ticket, Ok(change.expects.next()))),
            Err(_too_long) => self.refuse(change),
        }
    }

    /// Takes a change that is not going to be written.
    pub(super) fn refuse(&mut self, change: &Change<'_>) {
        self.changes
            .push((change.ticket, Err(Refusal::Unavailable)));
    }

    /// Takes the changes of another one, later than its own.
    pub(super) fn append(&mut self, later: &mut Self) {
        self.frames.append(&mut later.frames);
        self.changes.append(&mut later.changes);
    }

    /// What became of each, as they all fared alike.
    pub(super) fn outcomes(&self, written: Result<(), Refusal>) -> impl Iterator<Item = Outcome> {
        let outcome = move |(ticket, version): &(Ticket, Result<Version, Refusal>)| Outcome {
            ticket: *ticket,
            result: version.and_then(|version| written.map(|()| version)),
        };
        self.changes.iter().map(outcome)
    }

    fn push_record(&mut self, record: &Record<'_>) -> Result<(), Unfit> {
        let mut room = [0; MOST_FRAME];
        self.frames
            .extend_from_slice(log::frame(record, &mut room)?);
        Ok(())
    }
}
