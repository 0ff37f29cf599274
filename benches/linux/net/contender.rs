//! What every contender has to do, and how that is measured.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::far::{Arrived, Far};

/// The buffers of a connection, each way, the same for every stack of user space.
pub(crate) const WINDOW: usize = 256 << 10;
/// How much is written or read at once.
pub(crate) const CHUNK: usize = 64 << 10;
/// A small message.
pub(crate) const MESSAGE: usize = 32;
/// What is in a datagram.
pub(crate) const DATAGRAM: usize = 64;
/// Room for datagrams that wait, each way.
pub(crate) const DATAGRAMS: usize = 64 << 10;
/// Where datagrams are received.
pub(crate) const PORT: u16 = 5_000;

/// For how much longer datagrams come than they are received.
const OVERTIME: Duration = Duration::from_millis(20);
/// How long it then takes until the last of them has been taken in.
const REST: Duration = Duration::from_millis(10);

/// A stack, and the cable that it is on. Every method goes on until the deadline.
pub(crate) trait Contender {
    fn who(&self) -> &'static str;

    /// Writes to [`DISCARD`](crate::far::DISCARD).
    fn send(&mut self, deadline: Instant);

    /// Reads from [`SOURCE`](crate::far::SOURCE): how many bytes.
    fn receive(&mut self, deadline: Instant) -> u64;

    /// Says small messages to [`ECHO`](crate::far::ECHO), each when the last one has come back: how
    /// many.
    fn round_trips(&mut self, deadline: Instant) -> u64;

    /// Dials [`GREET`](crate::far::GREET), hears that this was all, and resets, one after the other:
    /// how often. So nobody dials faster than the other end accepts, and nobody waits for old
    /// connections to be forgotten.
    fn connects(&mut self, deadline: Instant) -> u64;

    /// Sends datagrams to [`DISCARD`](crate::far::DISCARD).
    fn send_datagrams(&mut self, deadline: Instant);

    /// Receives datagrams at [`PORT`], where there always is a next one: how many.
    fn receive_datagrams(&mut self, deadline: Instant) -> u64;

    /// Takes in what is left of all that.
    fn rest(&mut self, deadline: Instant);

    /// Where [`receive_datagrams`](Self::receive_datagrams) does.
    fn address(&self) -> Ipv4Addr;
}

/// A thing to do, and the units that it is told in.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    run: fn(&mut dyn Contender, &mut Far, Duration) -> u64,
    figure: Figure,
}

enum Figure {
    /// Bytes: MB/s, and processor time per MB.
    Bytes,
    /// Packets: packets per second, and processor time per packet.
    Packets,
    /// Things done one after the other: how many a second, and processor time for each.
    Turns,
    /// The same, by the time that each takes.
    Waits,
}

pub(crate) const CASES: [Case; 6] = [
    Case {
        name: "tcp out",
        run: |contender, far, slice| {
            let before = far.arrived();
            contender.send(Instant::now() + slice);
            since(before, far).bytes
        },
        figure: Figure::Bytes,
    },
    Case {
        name: "tcp in",
        run: |contender, _, slice| contender.receive(Instant::now() + slice),
        figure: Figure::Bytes,
    },
    Case {
        name: "round trip",
        run: |contender, _, slice| contender.round_trips(Instant::now() + slice),
        figure: Figure::Waits,
    },
    Case {
        name: "connects",
        run: |contender, _, slice| contender.connects(Instant::now() + slice),
        figure: Figure::Turns,
    },
    Case {
        name: "udp out",
        run: |contender, far, slice| {
            let before = far.arrived();
            contender.send_datagrams(Instant::now() + slice);
            since(before, far).datagrams
        },
        figure: Figure::Packets,
    },
    Case {
        name: "udp in",
        run: |contender, far, slice| {
            let to = (contender.address(), PORT).into();
            far.pour(to, DATAGRAM, slice + OVERTIME);
            contender.receive_datagrams(Instant::now() + slice)
        },
        figure: Figure::Packets,
    },
];

fn since(before: Arrived, far: &mut Far) -> Arrived {
    let now = far.arrived();
    Arrived {
        bytes: now.bytes - before.bytes,
        datagrams: now.datagrams - before.datagrams,
    }
}

/// One figure: its name, how much, of what.
pub(crate) type Measured = (String, f64, &'static str);

impl Case {
    /// Does it once, for about this long.
    pub(crate) fn measure(
        &self,
        contender: &mut dyn Contender,
        far: &mut Far,
        slice: Duration,
    ) -> [Measured; 2] {
        let (started, cpu_before) = (Instant::now(), cpu());
        let count = (self.run)(contender, far, slice) as f64;
        let (took, cpu) = (started.elapsed(), cpu() - cpu_before);
        let who = contender.who();
        assert!(count > 0.0, "{who}: nothing was done in `{}`", self.name);
        let rate = count / took.as_secs_f64();
        let (value, unit, each, of) = match self.figure {
            Figure::Bytes => (rate / 1e6, "MB/s", count / 1e6, "MB"),
            Figure::Packets => (rate / 1e3, "kpackets/s", count, "packet"),
            Figure::Turns => (rate, "/s", count, "connect"),
            Figure::Waits => (1e6 / rate, "us", count, "round trip"),
        };
        thread::sleep(2 * OVERTIME);
        contender.rest(Instant::now() + REST);
        let cost = cpu.as_secs_f64() * 1e6 / each;
        [
            (self.name.to_owned(), value, unit),
            (format!("{}, CPU per {of}", self.name), cost, "us"),
        ]
    }
}

/// The processor time that this process has had.
fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime)
        .try_into()
        .expect("not negative")
}
