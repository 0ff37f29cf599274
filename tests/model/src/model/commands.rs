//! Holds, rules, and who we are ourselves.

use std::time::Duration;

use whohas::cache::{
    AddressError, Destination, HoldError, InsertError, LinkDown, MAX_ADDRESSES, NotKnown, Subject,
};
use whohas::{Key, Prefix, UnicastMac};

use super::arrows::Fate;
use super::neighbour::{Neighbour, State, Wait, Worth};
use super::{Model, Own};

impl Model {
    // --- Room ---------------------------------------------------------------------------------------

    pub(super) fn oldest(&self, worth: Worth) -> Option<Key> {
        let candidates = self
            .known
            .iter()
            .filter(|(_, entry)| entry.holds == 0 && entry.state.worth() == Some(worth));
        candidates
            .min_by_key(|(_, entry)| entry.used)
            .map(|(&key, _)| key)
    }

    /// Makes room for one more, if need be in place of one that is worth no more than `upto`.
    pub(super) fn make_room(&mut self, upto: Worth) -> bool {
        if self.known.len() + self.denied.len() < self.capacity {
            return true;
        }
        let victim = self.victim(upto);
        victim.is_some_and(|key| self.known.remove(&key).is_some())
    }

    /// Who is the first to go of those who are worth no more than `upto`.
    fn victim(&mut self, upto: Worth) -> Option<Key> {
        let worths = [Worth::Unresolved, Worth::Stale, Worth::Live];
        for worth in worths.into_iter().filter(|&worth| worth <= upto) {
            while let Some(oldest) = self.oldest(worth) {
                if self.may_forget(oldest) {
                    return Some(oldest);
                }
            }
        }
        None
    }

    pub(super) fn insert(&mut self, key: Key, state: State) {
        let (now, number) = (self.now(), self.happen());
        let neighbour = Neighbour {
            number,
            state,
            holds: 0,
            since: now,
            vouched: now,
            used: number,
            wait: Wait::Forever,
            waits_since: number,
        };
        self.known.insert(key, neighbour);
    }

    // --- Holds --------------------------------------------------------------------------------------

    pub(super) fn hold(&mut self, key: Key) -> Result<(), HoldError> {
        if self.denies(key.into()) {
            return Err(HoldError::Denied);
        }
        if !self.known.contains_key(&key) {
            self.check_neighbour(key)?;
            if !self.link_up && self.policy.link_down == LinkDown::Abort {
                return Err(HoldError::LinkDown);
            }
            self.make_room_to_ask()?;
            self.insert(key, State::Incomplete { asked: 0 });
            self.ask(key);
        }
        self.join(key);
        Ok(())
    }

    /// Whether there can be a neighbour with this address.
    pub(crate) fn check_neighbour(&self, key: Key) -> Result<(), HoldError> {
        match self.destination(key) {
            Destination::OnLink { .. } => Ok(()),
            Destination::OffLink if self.own.is_empty() => Err(HoldError::NoAddress),
            Destination::OffLink => Err(HoldError::OffLink),
            other => Err(HoldError::NotANeighbour(other)),
        }
    }

    pub(super) fn make_room_to_ask(&mut self) -> Result<(), HoldError> {
        let worth = |entry: &&Neighbour| entry.state.worth() == Some(Worth::Unresolved);
        let unresolved = self.known.values().filter(worth).count();
        let share = self.capacity * usize::from(self.policy.unresolved_eighths) / 8;
        if unresolved >= share.max(1) {
            let oldest = self.victim(Worth::Unresolved);
            let oldest = oldest.ok_or(HoldError::TooManyUnresolved)?;
            self.known.remove(&oldest);
        }
        let room = self.make_room(Worth::Live);
        room.then_some(()).ok_or(HoldError::TableFull)
    }

    pub(super) fn join(&mut self, key: Key) {
        let number = self.count(key);
        self.holds.push(number);
    }

    /// One more holds the entry.
    pub(super) fn count(&mut self, key: Key) -> u64 {
        let happened = self.happen();
        let neighbour = self.at(key);
        neighbour.holds += 1;
        neighbour.used = happened;
        let number = neighbour.number;
        match neighbour.state {
            State::Incomplete { asked } if neighbour.holds == 1 => {
                neighbour.state = State::Incomplete {
                    asked: asked.min(1),
                };
            }
            State::Stale(mac) => self.verify_soon(key, mac),
            _ => {}
        }
        number
    }

    pub(super) fn key_of(&self, number: u64) -> Option<Key> {
        let mut entries = self.known.iter();
        let found = entries.find(|(_, entry)| entry.number == number);
        found.map(|(&key, _)| key)
    }

    pub(crate) fn release(&mut self, number: u64) {
        let Some(key) = self.key_of(number) else {
            return;
        };
        let happened = self.happen();
        let neighbour = self.at(key);
        neighbour.holds -= 1;
        if neighbour.holds > 0 {
            return;
        }
        neighbour.used = happened;
        let asks = matches!(
            neighbour.state,
            State::Incomplete { .. } | State::Failed { asking: true, .. }
        );
        if asks && !neighbour.request_is_out() {
            self.known.remove(&key);
        }
    }

    // --- Rules --------------------------------------------------------------------------------------

    pub(super) fn denies(&self, subject: Subject) -> bool {
        self.denied.iter().any(|&(denied, _)| denied == subject)
    }

    pub(super) fn allow(&mut self, subject: Subject) -> bool {
        let before = self.denied.len();
        self.denied.retain(|&(denied, _)| denied != subject);
        self.denied.len() < before
    }

    pub(super) fn deny(
        &mut self,
        subject: Subject,
        period: Option<Duration>,
    ) -> Result<(), InsertError> {
        if let Subject::Address(key) = subject {
            self.known.remove(&key);
        }
        if !self.allow(subject) && !self.make_room(Worth::Live) {
            return Err(InsertError::TableFull);
        }
        let end = period.map(|period| self.now() + period);
        self.denied.push((subject, end));
        if let Subject::Station(mac) = subject {
            self.known
                .retain(|_, entry| !entry.is_learnt() || entry.state.mac() != Some(mac));
        }
        Ok(())
    }

    pub(super) fn insert_static(&mut self, key: Key, mac: UnicastMac) -> Result<(), InsertError> {
        match self.destination(key) {
            Destination::OnLink { .. } | Destination::OffLink => {}
            other => return Err(InsertError::NotANeighbour(other)),
        }
        if self.denies(key.into()) {
            return Err(InsertError::Denied);
        }
        if !self.known.contains_key(&key) {
            if !self.make_room(Worth::Live) {
                return Err(InsertError::TableFull);
            }
            self.insert(key, State::Static(mac));
        }
        self.at(key).vouched = self.now();
        self.set(key, State::Static(mac), Wait::Forever);
        Ok(())
    }

    pub(super) fn remove(&mut self, key: Key) -> bool {
        match self.known.get(&key) {
            None => false,
            Some(entry) if entry.holds > 0 && !entry.is_learnt() => {
                self.ask_anew(key);
                true
            }
            Some(_) => self.known.remove(&key).is_some(),
        }
    }

    pub(super) fn verify(&mut self, key: Key) -> Result<(), NotKnown> {
        let entry = self.known.get(&key).ok_or(NotKnown)?;
        let mac = entry.state.mac().ok_or(NotKnown)?;
        if !matches!(entry.state, State::Probe { .. }) {
            self.probe(key, mac);
        }
        Ok(())
    }

    pub(super) fn touch(&mut self, key: Key) -> Option<UnicastMac> {
        let happened = self.happen();
        let entry = self.known.get_mut(&key)?;
        entry.used = happened;
        if let State::Stale(mac) = entry.state {
            self.verify_soon(key, mac);
        }
        self.known[&key].state.mac()
    }

    // --- Ourselves ----------------------------------------------------------------------------------

    pub(super) fn set_addresses(&mut self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        for prefix in prefixes {
            if prefix.broadcast() == Some(prefix.ip()) {
                return Err(AddressError::NotAHost(prefix.ip()));
            }
        }
        let own = prefixes.iter().map(|&prefix| {
            let same =
                |own: &&Own| (own.prefix.ip(), own.prefix.vlan()) == (prefix.ip(), prefix.vlan());
            let fresh = Own {
                prefix,
                announcements: self.policy.announcements,
                not_before: self.now(),
            };
            self.own
                .iter()
                .find(same)
                .map_or(fresh, |&own| Own { prefix, ..own })
        });
        self.own = own.collect();
        self.replies.clear();
        self.forget(|model, key, _| match model.destination(key) {
            Destination::OnLink { .. } => Fate::Stays,
            _ => Fate::Goes,
        });
        Ok(())
    }

    pub(super) fn set_proxied(&mut self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        if prefixes.len() > MAX_ADDRESSES {
            return Err(AddressError::TooMany);
        }
        self.proxied = prefixes.to_vec();
        self.replies.clear();
        self.forget(|model, key, _| match model.destination(key) {
            Destination::Local => Fate::Goes,
            _ => Fate::Stays,
        });
        Ok(())
    }

    pub(super) fn set_mac(&mut self, mac: UnicastMac) {
        let old = self.mac.replace(mac);
        if old == Some(mac) {
            return;
        }
        self.replies.clear();
        if old.is_some() {
            self.forget(|_, _, is_held| Self::asked_anew_if(is_held));
        }
        self.schedule_announcements();
    }

    pub(super) fn set_link(&mut self, up: bool) {
        if std::mem::replace(&mut self.link_up, up) == up {
            return;
        }
        self.replies.clear();
        if up {
            let waits = |entry: &Neighbour| entry.wait == Wait::Forever && entry.is_learnt();
            let entries = self.known.iter().filter(|(_, entry)| waits(entry));
            let parked: Vec<_> = entries.map(|(&key, _)| key).collect();
            for &key in &parked {
                self.ask(key);
            }
            self.all_at_once(&parked);
            self.schedule_announcements();
        } else {
            let parks = self.policy.link_down == LinkDown::Park;
            self.forget(|_, _, is_held| Self::asked_anew_if(parks && is_held));
        }
    }

    fn asked_anew_if(keeps: bool) -> Fate {
        if keeps { Fate::IsAskedAnew } else { Fate::Goes }
    }

    pub(super) fn schedule_announcements(&mut self) {
        let now = self.now();
        for own in &mut self.own {
            own.announcements = self.policy.announcements;
            own.not_before = own.not_before.max(now);
        }
    }

    pub(super) fn announce(&mut self, key: Key) -> bool {
        let mut own = self.own.iter_mut();
        let found = own.find(|own| (own.prefix.vlan(), own.prefix.ip()) == (key.vlan, key.ip));
        found
            .map(|own| own.announcements = own.announcements.max(1))
            .is_some()
    }
}
