//! What queues do while somebody has the token, and what the cache then makes of it: the frames that
//! were left, queue by queue, the times, and the addresses whose claims went from none to some or
//! back.

use std::collections::BTreeMap;

use whohas::cache::{HoldError, Status};
use whohas::resolver::Hold;
use whohas::resolver::shared::{Brought, OutboxFull};
use whohas::{Instant, Key};

use super::QUEUES;
use super::queues::{Held, Queues};
use super::step::{Meanwhile, Queue};
use crate::bench::Bench;
use crate::ledger::Stimulus;
use crate::outcome::Machine;
use crate::step::Pick;

/// What was left for later.
#[derive(Debug, Default)]
struct Left {
    work: [Work; QUEUES],
    claims: BTreeMap<Key, Claims>,
    /// The neighbours that are to be looked at, in this order.
    listed: Vec<Key>,
    /// Whom the queues themselves refused.
    refused: Vec<(Key, HoldError)>,
}

/// What one queue left.
#[derive(Debug, Default)]
struct Work {
    frames: Vec<(Instant, Vec<u8>)>,
    time: Option<Instant>,
}

/// What became of the claims on one neighbour.
#[derive(Debug, Default)]
struct Claims {
    before: u32,
    now: u32,
    new: Vec<Held>,
    given_back: Vec<u64>,
}

impl Bench<Queues> {
    pub(super) fn is_busy(&mut self, doings: &[(Queue, Meanwhile)]) {
        let resolver = self.tested.resolver.clone();
        let mut left = Left::default();
        resolver.inspect(|_| {
            for (queue, meanwhile) in doings {
                self.tested.acts(*queue);
                self.leaves(&mut left, queue.at(), meanwhile);
            }
            // Nobody has noticed yet.
            self.tested.check_lookups(&self.view);
        });
        self.makes_up_for(left);
        self.settle(Stimulus::Time);
    }

    fn leaves(&mut self, left: &mut Left, queue: usize, meanwhile: &Meanwhile) {
        match meanwhile {
            Meanwhile::Hold(place) => self.claims(left, place.key()),
            Meanwhile::HoldAgain(pick) => {
                if let Some(key) = self.picked(left, *pick) {
                    self.claims(left, key);
                }
            }
            Meanwhile::Release(pick) => self.gives_back(left, *pick),
            // Put off until the next time.
            Meanwhile::ConfirmHeld(pick) => self.tested.confirm(*pick, self.now),
            Meanwhile::Receive(frame) => {
                let (us, our_ip) = self.ourselves(frame.place.segment);
                let bytes = frame.bytes(us, our_ip);
                match self.tested.reader().receive(self.now, &bytes) {
                    Ok(Brought::Left) => left.work[queue].frames.push((self.now, bytes)),
                    Err(OutboxFull) => {
                        assert_eq!(left.work[queue].frames.len(), self.tested.outbox);
                    }
                    Ok(Brought::Taken(received)) => panic!("by whom? {received:?}"),
                }
            }
            Meanwhile::Sleep(span) => {
                self.now += span.duration();
                let reader = self.tested.reader();
                if reader.poll_timeout().is_some_and(|due| due <= self.now) {
                    left.work[queue].time = Some(self.now);
                }
                reader.handle_timeout(self.now);
            }
        }
    }

    // --- Claims -----------------------------------------------------------------------------------

    /// How many hold a neighbour, and what became of that since.
    fn claims_on<'l>(&self, left: &'l mut Left, key: Key) -> &'l mut Claims {
        left.claims.entry(key).or_insert_with(|| {
            let before = self.view.row(key).map_or(0, |row| row.holds);
            Claims {
                before,
                now: before,
                ..Claims::default()
            }
        })
    }

    fn claims(&self, left: &mut Left, key: Key) {
        let held = match self.tested.hold(key) {
            Ok(held) => held,
            Err(error) => return left.refused.push((key, error)),
        };
        let claims = self.claims_on(left, key);
        claims.now += 1;
        let is_first = claims.now == 1;
        let expected = match self.view.row(key) {
            Some(row) if row.mac.is_some() => row.mac.map(Status::Resolved),
            // Those who hold it were told that it does not answer; nobody else was.
            Some(row) if claims.before > 0 => Some(row.status()),
            Some(_) | None => Some(Status::Pending),
        };
        assert_eq!(Some(held.hold.status()), expected, "{key} meanwhile");
        claims.new.push(held);
        left.list(key, is_first);
    }

    /// The neighbour of a hold that is alive, if that is picked.
    fn picked(&self, left: &Left, pick: Pick) -> Option<Key> {
        let new = left.claims.values().flat_map(|claims| &claims.new);
        let holds: Vec<_> = self.tested.holds.iter().chain(new).collect();
        let hold = &holds[pick.of(holds.len())?].hold;
        (hold.status() != Status::Gone).then(|| hold.key())
    }

    fn gives_back(&mut self, left: &mut Left, pick: Pick) {
        let old = self.tested.holds.len();
        let new: usize = left.claims.values().map(|claims| claims.new.len()).sum();
        let Some(at) = pick.of(old + new) else { return };
        let (held, number) = if at < old {
            (self.tested.take_hold(at), Some(self.model.take_hold(at)))
        } else {
            (left.take_new(at - old), None)
        };
        let key = held.hold.key();
        let is_gone = held.hold.status() == Status::Gone;
        drop(held);
        if is_gone {
            return;
        }
        let claims = self.claims_on(left, key);
        claims.now -= 1;
        claims.given_back.extend(number);
        let is_last = claims.now == 0;
        left.list(key, is_last);
    }

    // --- Making up for it -------------------------------------------------------------------------

    fn makes_up_for(&mut self, left: Left) {
        let Left {
            work,
            mut claims,
            listed,
            refused,
        } = left;
        for (key, error) in refused {
            self.assert_refuses(key, error);
        }
        let news = claims.iter().filter(|(_, it)| it.before == 0 && it.now > 0);
        self.model.claim(news.map(|(&key, _)| key));
        for Work { frames, time } in work {
            self.tested.frames += frames.len() as u64;
            for (at, frame) in frames {
                // What comes late is no earlier time.
                self.model.receive(at.max(self.model.latest()), &frame);
            }
            if let Some(time) = time {
                self.model.handle_timeout(time.max(self.model.latest()));
            }
        }
        for key in listed {
            if let Some(claims) = claims.remove(&key) {
                self.agrees(key, claims);
            }
        }
        for (key, claims) in claims {
            self.agrees(key, claims);
        }
    }

    fn agrees(&mut self, key: Key, claims: Claims) {
        let Claims {
            new, given_back, ..
        } = claims;
        match self.model.agree(key, new.len(), given_back) {
            Ok(()) => self.tested.holds.extend(new),
            Err(error) => new.iter().for_each(|held| held.assert_refused(error)),
        }
    }
}

impl Left {
    /// Puts a neighbour on the list, if there is cause and it is not there yet.
    fn list(&mut self, key: Key, cause: bool) {
        if cause && !self.listed.contains(&key) {
            self.listed.push(key);
        }
    }

    fn take_new(&mut self, mut at: usize) -> Held {
        for claims in self.claims.values_mut() {
            match at.checked_sub(claims.new.len()) {
                None => return claims.new.remove(at),
                Some(rest) => at = rest,
            }
        }
        unreachable!("picked from as many as there are")
    }
}
