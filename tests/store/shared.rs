//! A store that two servers share, as one on etcd would be: one key for each address, claims that are
//! compared and set, the end of each in its value, news of what others write. It shows that the trait can
//! carry one.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::store::{
    Change, Claim, Expiry, Outcome, Record, Refusal, Store, Ticket, Version,
};

use crate::samples::Sample;

const START: Instant = Instant::from_secs(1_800_000_000);
const LEASE: Duration = Duration::from_secs(3_600);
const IP: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const OTHER_IP: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);

/// What all servers reach over the network.
#[derive(Default)]
struct Cluster {
    /// The version and the value of each key.
    keys: BTreeMap<Ipv4Addr, (Version, Sample)>,
    /// What was written, and by whom: each watcher reads on from where it was.
    history: Vec<(&'static str, Version, Sample)>,
    is_down: bool,
}

/// One server's way to it.
struct Shared {
    server: &'static str,
    cluster: Rc<RefCell<Cluster>>,
    submitted: Vec<(Ticket, Version, Sample)>,
    outcomes: VecDeque<Outcome>,
    /// Up to where it has read the history.
    seen: usize,
    /// The value that was told last.
    told: Option<Sample>,
}

impl Store for Shared {
    fn has_room(&self) -> bool {
        self.submitted.len() + self.outcomes.len() < 16
    }

    fn submit(&mut self, _now: Instant, change: &Change<'_>) {
        let value = Sample::of(&change.record);
        self.submitted.push((change.ticket, change.expects, value));
    }

    fn commit(&mut self, now: Instant) {
        let mut cluster = self.cluster.borrow_mut();
        for (ticket, expects, value) in self.submitted.drain(..) {
            let ip = value.record().ip;
            let known = cluster.keys.get(&ip);
            // What has ended is none for whoever knows of none.
            let known = known.filter(|(version, value)| value.lasts(now) || *version == expects);
            let version = known.map_or(Version(0), |(version, _value)| *version);
            let result = if cluster.is_down {
                Err(Refusal::Unavailable)
            } else if version != expects {
                Err(Refusal::Taken)
            } else {
                let version = version.next();
                cluster.keys.insert(ip, (version, value.clone()));
                cluster.history.push((self.server, version, value));
                Ok(version)
            };
            self.outcomes.push_back(Outcome { ticket, result });
        }
    }

    fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcomes.pop_front()
    }

    fn poll_foreign(&mut self) -> Option<(Version, Record<'_>)> {
        let cluster = self.cluster.borrow();
        if cluster.is_down {
            return None;
        }
        let news = cluster.history.get(self.seen..)?;
        let theirs = news
            .iter()
            .position(|(server, ..)| *server != self.server)?;
        let (_server, version, value) = news.get(theirs)?;
        self.seen += theirs + 1;
        Some((*version, self.told.insert(value.clone()).record()))
    }
}

/// As much of a server as a store gets to know: what it believes of each address.
struct Host {
    store: Shared,
    known: BTreeMap<Ipv4Addr, (Version, Sample)>,
    next: u32,
}

impl Host {
    fn new(server: &'static str, cluster: &Rc<RefCell<Cluster>>) -> Self {
        let store = Shared {
            server,
            cluster: Rc::clone(cluster),
            submitted: Vec::new(),
            outcomes: VecDeque::new(),
            seen: 0,
            told: None,
        };
        let (known, next) = (BTreeMap::new(), 0);
        Self { store, known, next }
    }

    /// Takes what others have written.
    fn listen(&mut self) {
        while let Some((version, record)) = self.store.poll_foreign() {
            self.known.insert(record.ip, (version, Sample::of(&record)));
        }
    }

    /// Whether the address can be given to somebody, as far as is known here.
    fn is_free(&self, ip: Ipv4Addr, now: Instant) -> bool {
        match self
            .known
            .get(&ip)
            .map(|(_version, value)| value.record().claim)
        {
            None | Some(Claim::Free) => true,
            Some(Claim::Leased { expiry, .. }) => expiry <= Expiry::At(now),
            Some(Claim::Quarantined { until, .. }) => until <= now,
        }
    }

    /// Wants these to be written.
    fn submit(&mut self, now: Instant, values: &[Sample]) {
        for value in values {
            let record = value.record();
            assert!(self.store.has_room());
            self.next += 1;
            let known = self.known.get(&record.ip);
            let change = Change {
                ticket: Ticket(self.next),
                expects: known.map_or(Version(0), |(version, _value)| *version),
                record,
            };
            self.store.submit(now, &change);
        }
    }

    /// Commits what it wanted, and believes what was written.
    fn commit(&mut self, now: Instant, values: &[Sample]) -> Vec<Result<Version, Refusal>> {
        self.store.commit(now);
        let mut results = Vec::new();
        for value in values {
            let outcome = self.store.poll_outcome().expect("one for each change");
            if let Ok(version) = outcome.result {
                self.known
                    .insert(value.record().ip, (version, value.clone()));
            }
            results.push(outcome.result);
        }
        assert_eq!(self.store.poll_outcome(), None);
        results
    }

    fn write(&mut self, now: Instant, values: &[Sample]) -> Vec<Result<Version, Refusal>> {
        self.submit(now, values);
        self.commit(now, values)
    }
}

fn cluster() -> (Rc<RefCell<Cluster>>, Host, Host) {
    let cluster = Rc::<RefCell<Cluster>>::default();
    let host = |server| Host::new(server, &cluster);
    let (one, other) = (host("one"), host("other"));
    (cluster, one, other)
}

#[test]
fn of_two_servers_that_claim_an_address_one_gets_it_and_the_other_learns_for_whom() {
    let (_cluster, mut one, mut other) = cluster();
    let end = START + LEASE;
    let ours = [Sample::lease(IP, 1, end)];
    let theirs = [Sample::lease(OTHER_IP, 2, end), Sample::lease(IP, 2, end)];
    one.submit(START, &ours);
    other.submit(START, &theirs);
    assert_eq!(one.commit(START, &ours), [Ok(Version(1))]);
    // What else is in the batch does not suffer.
    let lost = Err(Refusal::Taken);
    assert_eq!(other.commit(START, &theirs), [Ok(Version(1)), lost]);
    // And until the news has come it loses again.
    assert_eq!(other.write(START, &theirs[1..]), [lost]);

    other.listen();
    assert!(!other.is_free(IP, START));
    assert_eq!(other.known[&IP].1.record(), ours[0].record());
    // Nobody is told what it has written itself.
    assert_eq!(other.store.poll_foreign(), None);
    one.listen();
    assert!(!one.is_free(OTHER_IP, START));
}

#[test]
fn a_lease_ends_for_every_server_at_the_same_time() {
    let (_cluster, mut one, mut other) = cluster();
    let end = START + LEASE;
    assert_eq!(
        one.write(START, &[Sample::lease(IP, 1, end)]),
        [Ok(Version(1))]
    );
    other.listen();
    assert!(!other.is_free(IP, end - Duration::from_micros(1)));
    assert!(other.is_free(IP, end));
    let taken_over = [Sample::lease(IP, 2, end + LEASE)];
    assert_eq!(other.write(end, &taken_over), [Ok(Version(2))]);
    // Who has not heard of it cannot renew for the first client.
    let renewed = [Sample::lease(IP, 1, end + LEASE)];
    assert_eq!(one.write(end, &renewed), [Err(Refusal::Taken)]);
}

#[test]
fn what_one_server_was_told_is_in_use_no_server_offers() {
    let (_cluster, mut one, mut other) = cluster();
    let (end, until) = (START + LEASE, START + Duration::from_secs(300));
    let lease = [Sample::lease(IP, 1, end)];
    assert_eq!(one.write(START, &lease), [Ok(Version(1))]);
    let declined = lease.map(|lease| lease.declined(until));
    assert_eq!(one.write(START, &declined), [Ok(Version(2))]);
    other.listen();
    assert!(!other.is_free(IP, until - Duration::from_micros(1)));
    assert!(other.is_free(IP, until));
}

#[test]
fn a_store_that_cannot_be_reached_loses_nothing() {
    let (cluster, mut one, mut other) = cluster();
    let end = START + LEASE;
    let lease = [Sample::lease(IP, 1, end)];
    assert_eq!(one.write(START, &lease), [Ok(Version(1))]);

    cluster.borrow_mut().is_down = true;
    let renewed = [Sample::lease(IP, 1, end + LEASE)];
    assert_eq!(one.write(START, &renewed), [Err(Refusal::Unavailable)]);
    // What it knows it still knows, on the same version.
    assert_eq!(one.known[&IP].1.record(), lease[0].record());
    other.listen();
    assert!(other.known.is_empty());

    cluster.borrow_mut().is_down = false;
    assert_eq!(one.write(START, &renewed), [Ok(Version(2))]);
    other.listen();
    assert_eq!(other.known[&IP].0, Version(2));
    assert_eq!(other.known[&IP].1.record(), renewed[0].record());
}
