//! The arrows between the states, and what time does.

use std::time::Duration;

use whohas::{Instant, Key, UnicastMac};

use super::Model;
use super::neighbour::{Neighbour, State, Wait};

/// What becomes of an entry when many are forgotten at once.
pub(super) enum Fate {
    Goes,
    IsAskedAnew,
    Stays,
}

impl Model {
    pub(super) fn set(&mut self, key: Key, state: State, wait: Wait) {
        let (now, happened) = (self.now(), self.happen());
        let neighbour = self.at(key);
        neighbour.state = state;
        neighbour.since = now;
        neighbour.used = happened;
        neighbour.wait = wait;
        neighbour.waits_since = happened;
    }

    pub(super) fn set_for(&mut self, key: Key, state: State, period: Duration) {
        let deadline = self.now() + period;
        self.set(key, state, Wait::Until(deadline));
    }

    /// Waits for its turn to be asked for; while the link is down there is none. Whom there is no own
    /// address to ask from is unreachable.
    pub(super) fn ask(&mut self, key: Key) {
        if self.link_up && self.source_for(key).is_none() {
            return match self.known[&key].state {
                State::Failed { step, .. } => self.back_off(key, (step + 1).min(8)),
                _ => self.back_off(key, 0),
            };
        }
        let happened = self.happen();
        let wait = if self.link_up {
            Wait::ForItsTurn
        } else {
            Wait::Forever
        };
        let neighbour = self.at(key);
        neighbour.wait = wait;
        neighbour.waits_since = happened;
    }

    pub(super) fn ask_anew(&mut self, key: Key) {
        self.set(key, State::Incomplete { asked: 0 }, Wait::Forever);
        self.ask(key);
    }

    pub(super) fn accept(&mut self, key: Key, mac: UnicastMac, is_answer: bool) {
        self.at(key).vouched = self.now();
        if is_answer {
            self.set_for(key, State::Reachable(mac), self.policy.reachable_time);
        } else {
            self.become_stale(key, mac);
        }
    }

    pub(super) fn become_stale(&mut self, key: Key, mac: UnicastMac) {
        if self.known[&key].holds > 0 {
            self.verify_soon(key, mac);
        } else {
            self.set_for(key, State::Stale(mac), self.policy.stale_time);
        }
    }

    pub(super) fn verify_soon(&mut self, key: Key, mac: UnicastMac) {
        if self.policy.delay_first_probe.is_zero() {
            self.probe(key, mac);
        } else {
            self.set_for(key, State::Delay(mac), self.policy.delay_first_probe);
        }
    }

    pub(super) fn probe(&mut self, key: Key, mac: UnicastMac) {
        let retransmit = self.policy.retransmit;
        let probe = State::Probe { mac, asked: 0 };
        let neighbour = self.known[&key];
        if neighbour.is_on_its_way() {
            self.set(key, probe, neighbour.wait);
            self.at(key).waits_since = neighbour.waits_since;
        } else if neighbour.vouched_within(retransmit, self.now()) {
            self.set_for(key, probe, retransmit);
        } else {
            self.set(key, probe, Wait::Forever);
            self.ask(key);
        }
    }

    pub(super) fn confirm(&mut self, key: Key) {
        let Some(&Neighbour { state, vouched, .. }) = self.known.get(&key) else {
            return;
        };
        let Some(mac) = state.mac().filter(|_| self.known[&key].is_learnt()) else {
            return;
        };
        // Known to 1,024 us only, and in doubt too young.
        let units = |at: Instant| at.as_micros() / 1_024;
        let age = (units(self.now()) - units(vouched)).saturating_sub(1);
        let age = Duration::from_micros(age * 1_024);
        let reachable_time = self.policy.reachable_time;
        if self
            .policy
            .max_age
            .is_none_or(|max| age + reachable_time <= max)
        {
            self.set_for(key, State::Reachable(mac), reachable_time);
        }
    }

    /// What was waited for did not come.
    pub(super) fn fire(&mut self, key: Key) {
        let neighbour = self.known[&key];
        let held = neighbour.holds > 0;
        let probes = self.policy.unicast_probes + self.policy.broadcast_probes;
        match neighbour.state {
            State::Incomplete { .. } | State::Failed { .. } if !held => {
                self.known.remove(&key);
            }
            State::Stale(_) if !held => {
                if self.may_forget(key) {
                    self.known.remove(&key);
                }
            }
            State::Incomplete { asked } if asked < self.policy.requests.get() => self.ask(key),
            State::Incomplete { .. } => self.back_off(key, 0),
            State::Reachable(mac) if held => self.probe(key, mac),
            State::Reachable(mac) => self.become_stale(key, mac),
            State::Delay(mac) => self.probe(key, mac),
            State::Probe { asked, .. } if asked < probes.max(1) => self.ask(key),
            State::Probe { .. } => self.back_off(key, 0),
            State::Failed { step, asking: true } => self.back_off(key, (step + 1).min(8)),
            State::Failed {
                step,
                asking: false,
            } => {
                self.at(key).state = State::Failed { step, asking: true };
                self.ask(key);
            }
            State::Stale(_) | State::Static(_) => unreachable!("{neighbour:?} waits for nothing"),
        }
    }

    pub(super) fn back_off(&mut self, key: Key, step: u8) {
        let silence = self.policy.backoff_first * 3_u32.pow(step.into());
        let state = State::Failed {
            step,
            asking: false,
        };
        self.set_for(key, state, silence.min(self.policy.backoff_max));
    }

    /// Judges every learnt entry, by whether it is held.
    pub(super) fn forget(&mut self, judge: impl Fn(&Self, Key, bool) -> Fate) {
        let mut parked = Vec::new();
        let mut learnt = self.known.clone();
        learnt.retain(|_, entry| entry.is_learnt());
        for (key, entry) in learnt {
            match judge(self, key, entry.holds > 0) {
                Fate::Stays => {}
                Fate::Goes => {
                    self.known.remove(&key);
                }
                Fate::IsAskedAnew => {
                    self.ask_anew(key);
                    parked.push(key);
                }
            }
        }
        self.all_at_once(&parked);
    }

    /// Nobody says in which order they are to be asked for: see `follow`.
    pub(super) fn all_at_once(&mut self, keys: &[Key]) {
        let happened = self.happen();
        for &key in keys {
            self.at(key).waits_since = happened;
        }
    }

    /// Whose deadline has passed, and who is the first of them.
    pub(super) fn next_due(&self) -> Option<Key> {
        let due = self
            .known
            .iter()
            .filter_map(|(&key, entry)| match entry.wait {
                Wait::Until(deadline) if deadline <= self.now() => {
                    Some(((entry.state.turn(), deadline, entry.waits_since), key))
                }
                Wait::Until(_) | Wait::ForItsTurn | Wait::Forever => None,
            });
        due.min().map(|(_, key)| key)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let waits = self.known.values().filter_map(|entry| match entry.wait {
            Wait::Until(deadline) => Some(deadline),
            Wait::ForItsTurn | Wait::Forever => None,
        });
        let rules = self.denied.iter().filter_map(|&(_, end)| end);
        waits.chain(rules).chain(self.next_frame()).min()
    }

    pub(super) fn next_frame(&self) -> Option<Instant> {
        self.mac.filter(|_| self.link_up)?;
        let reply = self.replies.front().map(|_| self.now());
        let own = self.own.iter().filter(|own| own.announcements > 0);
        let turn = self.requests.next(self.policy.request_rate);
        let request = self.next_in_turn().map(|_| turn);
        let announcement = own.map(|own| own.not_before);
        announcement.chain(reply).chain(request).min()
    }
}
