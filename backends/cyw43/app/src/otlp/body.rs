//! A body as it goes out: written piece by piece, of which none has to be kept.
//!
//! A piece is written anew for each chunk that it spans, and what was sent before is skipped. So no
//! buffer has to hold a record, and writing JSON need not wait for the network.

use super::chunk::{Chunk, Window};
use super::ring::Batch;
use super::telemetry::{Stored, Telemetry, WallClock};
use super::{Json, Sink};

/// What an export sends, for whom it does not matter what it is.
pub(super) trait Source {
    fn path(&self) -> &'static str;

    /// Begins again.
    fn rewind(&mut self);

    /// Puts as much as fits into the chunk. True if that was the last of it.
    fn fill(&mut self, chunk: &mut Chunk) -> bool;
}

/// The body that says all of a batch that is still there.
pub(super) struct Body<'a, S, const LOGS: usize, const POINTS: usize, const SPANS: usize> {
    telemetry: &'a Telemetry<LOGS, POINTS, SPANS>,
    resource: &'a [(&'a str, &'a str)],
    clock: WallClock,
    batch: Batch,
    piece: Piece<S>,
    /// How much of the piece is out.
    skip: usize,
    /// The number of the record that comes after the piece.
    next: u64,
    /// How many records are written, the piece included.
    sent: u64,
}

enum Piece<S> {
    Opening,
    /// A copy: its ring may have lost it when the rest of it is written.
    Record(S),
    Closing,
}

impl<'a, S: Stored, const LOGS: usize, const POINTS: usize, const SPANS: usize>
    Body<'a, S, LOGS, POINTS, SPANS>
{
    pub(super) fn new(
        telemetry: &'a Telemetry<LOGS, POINTS, SPANS>,
        resource: &'a [(&'a str, &'a str)],
        batch: Batch,
    ) -> Self {
        Self {
            telemetry,
            resource,
            clock: telemetry.with(|state| state.clock),
            batch,
            piece: Piece::Opening,
            skip: 0,
            next: batch.first,
            sent: 0,
        }
    }

    /// How many records were sent. Fewer than the batch has if some were pushed out of their ring
    /// before their turn.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// The number of the record before which writing has ended: the end of the batch, if nothing was in
    /// the way.
    pub(super) const fn reached(&self) -> u64 {
        self.next
    }

    fn write(&self, sink: &mut dyn Sink) {
        match &self.piece {
            Piece::Opening => open::<S>(sink, self.resource),
            Piece::Record(record) => {
                let mut json = match self.sent {
                    1 => Json::new(sink),
                    _ => Json::following(sink),
                };
                record.write(&mut json, self.clock);
            }
            Piece::Closing => close(sink),
        }
    }

    /// The next record that is still there, or else the end.
    fn advance(&mut self) {
        self.skip = 0;
        while self.next < self.batch.end {
            let number = self.next;
            self.next += 1;
            if let Some(record) = self.telemetry.queue(|queue| queue.record(number)) {
                self.sent += 1;
                self.piece = Piece::Record(record);
                return;
            }
        }
        self.piece = Piece::Closing;
    }
}

impl<S: Stored, const LOGS: usize, const POINTS: usize, const SPANS: usize> Source
    for Body<'_, S, LOGS, POINTS, SPANS>
{
    fn path(&self) -> &'static str {
        S::PATH
    }

    fn rewind(&mut self) {
        *self = Self::new(self.telemetry, self.resource, self.batch);
    }

    fn fill(&mut self, chunk: &mut Chunk) -> bool {
        loop {
            let mut window = Window::new(chunk, self.skip);
            self.write(&mut window);
            if window.is_cut {
                self.skip += window.taken;
                return false;
            }
            if let Piece::Closing = self.piece {
                return true;
            }
            self.advance();
        }
    }
}

fn open<S: Stored>(sink: &mut dyn Sink, resource: &[(&str, &str)]) {
    let mut json = Json::new(sink);
    json.open("{");
    json.key(S::RESOURCES).open("[");
    json.open("{");
    json.key("resource").object(|json| {
        json.key("attributes").array(|json| {
            for (key, value) in resource {
                json.object(|json| {
                    json.key("key").string(key);
                    json.key("value")
                        .object(|json| json.key("stringValue").string(value));
                });
            }
        });
    });
    json.key(S::SCOPES).open("[");
    json.open("{");
    json.key("scope")
        .object(|json| json.key("name").string(env!("CARGO_PKG_NAME")));
    json.key(S::RECORDS).open("[");
}

/// What `open` has opened.
fn close(sink: &mut dyn Sink) {
    sink.put("]}]}]}");
}
