//! What is measured of a table that many read and one changes.

use std::hint::{self, black_box};
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use whohas::UnicastMac;

use crate::measure::{BATCH, Laps, Work, per_operation, side_by_side};
use crate::peers::{Reader, Table, mac_of, neighbour};

/// What is done to every contender once in every round.
#[derive(Clone, Copy)]
pub(crate) enum Case {
    /// Finding neighbours in random order, on one thread and on two.
    Hit,
    /// Not finding others, which are on-link too.
    Miss,
    /// Finding neighbours while another thread changes them without a pause.
    HitWhileChanged,
    /// Giving neighbours another MAC, in random order.
    Change,
    /// Adding the second half of the neighbours, in random order, the clock read after each.
    Insert,
    /// Removing some of the neighbours.
    Remove,
    /// Learning that nothing has changed.
    Poll,
    /// From the change in one thread until another has seen it.
    PublishToSeen,
}

impl Case {
    pub(crate) const OF_EVERY_SIZE: [Self; 6] = [
        Self::Hit,
        Self::Miss,
        Self::HitWhileChanged,
        Self::Change,
        Self::Insert,
        Self::Remove,
    ];
    pub(crate) const OF_ANY_SIZE: [Self; 2] = [Self::Poll, Self::PublishToSeen];
}

/// One thing that was measured.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn new(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, unit }
    }

    pub(crate) fn nanos(name: &'static str, value: f64) -> Self {
        Self::new(name, value, "ns")
    }
}

/// Neighbours in random order, and as many addresses that nobody has.
pub(crate) struct Lan {
    known: Vec<Ipv4Addr>,
    unknown: Vec<Ipv4Addr>,
}

impl Lan {
    pub(crate) fn new(size: u32) -> Self {
        Self {
            known: shuffled((0..size).map(neighbour).collect()),
            unknown: shuffled((size..2 * size).map(neighbour).collect()),
        }
    }
}

fn shuffled(mut addresses: Vec<Ipv4Addr>) -> Vec<Ipv4Addr> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..addresses.len()).rev() {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        addresses.swap(last, (random % (last as u64 + 1)) as usize);
    }
    addresses
}

/// A design, whatever its type.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;
    /// Measures once. Nothing, if the design has no such thing.
    fn run(&mut self, case: Case) -> Vec<Figure>;
}

/// A table with all the neighbours of a LAN in it.
pub(crate) struct Filled<T> {
    table: T,
    /// Of the MACs that were last given out.
    generation: u8,
    lan: Rc<Lan>,
    /// How long to do a thing for one figure.
    slice: Duration,
}

impl<T: Table> Filled<T> {
    pub(crate) fn contender(lan: &Rc<Lan>, slice: Duration) -> Box<dyn Contender>
    where
        T: 'static,
    {
        let table = table_of::<T>(&lan.known);
        let mut reader = table.reader();
        for &ip in &lan.known {
            assert_eq!(reader.lookup(ip), Some(mac_of(ip, 0)), "{}", T::NAME);
        }
        for &ip in &lan.unknown {
            assert_eq!(reader.lookup(ip), None, "{}", T::NAME);
        }
        Box::new(Self {
            table,
            generation: 0,
            lan: Rc::clone(lan),
            slice,
        })
    }
}

fn table_of<T: Table>(ips: &[Ipv4Addr]) -> T {
    T::filled(ips.iter().map(|&ip| (ip, mac_of(ip, 0))))
}

impl<T: Table> Contender for Filled<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn run(&mut self, case: Case) -> Vec<Figure> {
        match case {
            Case::Hit => self.hit(),
            Case::Miss => self.miss(),
            Case::HitWhileChanged => self.hit_while_changed(),
            Case::Change => self.change(),
            Case::Insert => self.insert(),
            Case::Remove => self.remove(),
            Case::Poll => self.poll(),
            Case::PublishToSeen => self.publish_to_seen(),
        }
    }
}

impl<T: Table> Filled<T> {
    fn hit(&self) -> Vec<Figure> {
        let (front, back) = self.lan.known.split_at(self.lan.known.len() / 2);
        // The second one starts elsewhere, so that neither follows the other. Alone comes last, when
        // the table is as warm as it gets: the other way round two would seem more than twice as fast.
        let both = [self.reading([front, back]), self.reading([back, front])];
        let [one, other] = side_by_side(both, self.slice);
        let [alone] = side_by_side([self.reading([front, back])], self.slice);
        let scaled = alone / one + alone / other;
        vec![
            Figure::nanos("hit", alone),
            Figure::new("two-readers-vs-one", scaled, "x"),
        ]
    }

    fn miss(&self) -> Vec<Figure> {
        let [miss] = side_by_side([self.reading([&self.lan.unknown, &[]])], self.slice);
        vec![Figure::nanos("miss", miss)]
    }

    fn hit_while_changed(&mut self) -> Vec<Figure> {
        if !T::SHARED {
            return Vec::new();
        }
        let (lan, slice) = (Rc::clone(&self.lan), self.slice);
        let works = [self.reading([&lan.known, &[]]), self.changing(&lan.known)];
        let [hit, change] = side_by_side(works, slice);
        vec![
            Figure::nanos("hit-while-changed", hit),
            Figure::nanos("change-while-read", change),
        ]
    }

    fn change(&mut self) -> Vec<Figure> {
        let (lan, slice) = (Rc::clone(&self.lan), self.slice);
        let [change] = side_by_side([self.changing(&lan.known)], slice);
        vec![Figure::nanos("change", change)]
    }

    /// On the whole, and one by one: to read the clock after each insert is to wait until it is done,
    /// while a processor begins the next ones before that.
    fn insert(&self) -> Vec<Figure> {
        /// A share of one in a hundred of so many is a number to rely on.
        const ENOUGH: usize = 2_000;

        let known = &self.lan.known;
        let new = some::<T>(known.len(), known.len() / 2);
        let (old, new) = known.split_at(known.len() - new);
        // Once for nothing: whoever comes first would pay for the allocator's pages.
        drop(table_of::<T>(known));
        let (mut elapsed, mut inserted) = (Duration::ZERO, 0);
        let mut laps = Laps::new();
        let started = Instant::now();
        loop {
            let mut table = table_of::<T>(old);
            let began = Instant::now();
            for &ip in new {
                table.set(ip, mac_of(ip, 0));
            }
            elapsed += began.elapsed();
            inserted += new.len();

            let mut table = table_of::<T>(old);
            laps.time(new, |&ip| table.set(ip, mac_of(ip, 0)));
            if laps.count() >= ENOUGH || started.elapsed() >= self.slice {
                break;
            }
        }
        let mean = Figure::nanos("insert-mean", per_operation(elapsed, inserted));
        [mean].into_iter().chain(laps_of_insert(laps)).collect()
    }

    fn remove(&mut self) -> Vec<Figure> {
        let known = &self.lan.known;
        let gone = &known[..some::<T>(known.len(), known.len() / 2)];
        let (mut elapsed, mut removed) = (Duration::ZERO, 0);
        loop {
            let started = Instant::now();
            for &ip in gone {
                self.table.remove(ip);
            }
            elapsed += started.elapsed();
            removed += gone.len();
            for &ip in gone {
                self.table.set(ip, mac_of(ip, self.generation));
            }
            if elapsed >= self.slice {
                break;
            }
        }
        vec![Figure::nanos("remove", per_operation(elapsed, removed))]
    }

    fn poll(&self) -> Vec<Figure> {
        let mut reader = self.table.reader();
        if reader.has_changed().is_none() {
            return Vec::new();
        }
        let polling: Work<'_> = Box::new(move || {
            for _ in 0..BATCH {
                black_box(reader.has_changed());
            }
            BATCH
        });
        let [poll] = side_by_side([polling], self.slice);
        vec![Figure::nanos("poll-nothing-changed", poll)]
    }

    /// Half of the time it takes to change one table, to see that on another thread, to change a
    /// second table there, and to see that here.
    fn publish_to_seen(&self) -> Vec<Figure> {
        if !T::SHARED {
            return Vec::new();
        }
        let mut there = table_of::<T>(&self.lan.known);
        let mut back = table_of::<T>(&self.lan.known);
        let (mut seen_there, mut seen_back) = (there.reader(), back.reader());
        let ip = self.lan.known[0];
        let trips = if self.slice.is_zero() { 10 } else { 10_000 };
        let elapsed = thread::scope(|scope| {
            let other = scope.spawn(move || {
                for trip in 1..=trips {
                    wait_for(&mut seen_there, ip, stamp(trip));
                    back.set(ip, stamp(trip));
                }
                // Not gone before its last change was seen: some tables take their readers with them.
                back
            });
            let started = Instant::now();
            for trip in 1..=trips {
                there.set(ip, stamp(trip));
                wait_for(&mut seen_back, ip, stamp(trip));
            }
            let elapsed = started.elapsed();
            drop(other.join());
            elapsed
        });
        let hops = 2 * trips as usize;
        vec![Figure::nanos(
            "publish-to-seen",
            per_operation(elapsed, hops),
        )]
    }

    /// Looks all of these up.
    fn reading<'w>(&self, parts: [&'w [Ipv4Addr]; 2]) -> Work<'w>
    where
        T: 'w,
    {
        let mut reader = self.table.reader();
        let count = parts[0].len() + parts[1].len();
        let passes = BATCH.div_ceil(count);
        Box::new(move || {
            for part in parts.iter().cycle().take(parts.len() * passes) {
                // All six bytes of each are wanted, but none has to go through memory, which would take
                // as long as the quickest look-ups.
                let macs = black_box(*part).iter().map(|&ip| number(reader.lookup(ip)));
                black_box(macs.fold(0, u64::wrapping_add));
            }
            passes * count
        })
    }

    /// Gives some of these another MAC.
    fn changing<'w>(&'w mut self, ips: &'w [Ipv4Addr]) -> Work<'w> {
        let some = &ips[..some::<T>(ips.len(), ips.len())];
        let Self {
            table, generation, ..
        } = self;
        Box::new(move || {
            *generation = generation.wrapping_add(1);
            for &ip in some {
                table.set(ip, mac_of(ip, *generation));
            }
            some.len()
        })
    }
}

/// How many of this many entries are written to between two readings of the clock: few, where each
/// write copies a table of this size.
fn some<T: Table>(size: usize, many: usize) -> usize {
    /// Entries.
    const COPIED: usize = 1 << 23;
    if T::COPIES {
        many.min(COPIED / size)
    } else {
        many
    }
}

/// As many laps as an insert of half the neighbours has, with a little arithmetic in each.
pub(crate) fn nothing(lan: &Lan) -> Vec<Figure> {
    let mut laps = Laps::new();
    laps.time(&lan.known[lan.known.len() / 2..], |&ip| {
        let hash = (0..20).fold(ip.to_bits(), |hash, _| black_box(hash.rotate_left(5)));
        black_box(hash);
    });
    laps_of_insert(laps).into()
}

fn laps_of_insert(mut laps: Laps) -> [Figure; 2] {
    [
        Figure::nanos("insert-p99", laps.quantile(0.99)),
        Figure::nanos("insert-max", laps.quantile(1.0)),
    ]
}

fn number(mac: Option<UnicastMac>) -> u64 {
    mac.map_or(0, |mac| {
        let [a, b, c, d, e, f] = mac.get().octets();
        u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
    })
}

/// The MAC that tells one trip from another.
fn stamp(trip: u32) -> UnicastMac {
    mac_of(Ipv4Addr::from_bits(trip), 0)
}

fn wait_for(reader: &mut impl Reader, ip: Ipv4Addr, mac: UnicastMac) {
    while reader.lookup(ip) != Some(mac) {
        hint::spin_loop();
    }
}
