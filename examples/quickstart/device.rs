//! The two programs on the device. Neither knows of the other, nor of neighbours: the hold is the
//! connection's.

use std::num::NonZeroU16;
use std::time::Duration;

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, ReadExactError, Write};
use whohas::net::TcpError;
use whohas::sim::{LanClock, Rng};
use whohas::time::{Clock, Timer};

use crate::diary::Diary;
use crate::host::{ANSWER, CONNACK, CONNECT, PINGREQ, PINGRESP, REQUEST};
use crate::story::{BROKER, COLLECTOR, HUNG, NOBODYS, Neighbours, Stack, at};

const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long MQTT waits before it tries again.
const PAUSE: Duration = Duration::from_secs(5);

const DIAL_EVERY: Duration = Duration::from_secs(30);
/// How long telemetry waits for a collector.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps a connection to the broker for ever: whenever it is lost, it connects again.
pub async fn mqtt<R: Neighbours>(stack: &Stack<'_, R>, clock: &LanClock, diary: &Diary) {
    loop {
        let Err(error) = session(stack, clock, diary).await else {
            diary.mqtt_is_offline(clock.now());
            continue;
        };
        diary.mqtt_is_offline(clock.now());
        if is_about_the_neighbour(error) {
            diary.mqtt_is_kept_out();
            clock.wait_until(clock.after(PAUSE)).await;
        }
    }
}

/// Connects to the broker and stays until it goes.
async fn session<R: Neighbours>(
    stack: &Stack<'_, R>,
    clock: &LanClock,
    diary: &Diary,
) -> Result<(), TcpError> {
    let mut broker = stack.dial(at(BROKER)).await?;
    broker.write_all(CONNECT).await?;
    hear(&mut broker, CONNACK).await?;
    diary.mqtt_is_online(clock.now());
    loop {
        let mut unasked = [0];
        let next_ping = clock.wait_until(clock.after(KEEP_ALIVE));
        match select(next_ping, broker.read(&mut unasked)).await {
            Either::First(()) => {
                broker.write_all(PINGREQ).await?;
                hear(&mut broker, PINGRESP).await?;
            }
            Either::Second(gone) => return gone.map(|_| ()),
        }
    }
}

/// Reads what is expected to come next.
pub async fn hear(
    connection: &mut impl Read<Error = TcpError>,
    expected: &[u8],
) -> Result<(), TcpError> {
    let mut heard = vec![0; expected.len()];
    connection
        .read_exact(&mut heard)
        .await
        .map_err(|error| match error {
            ReadExactError::UnexpectedEof => TcpError::Reset,
            ReadExactError::Other(error) => error,
        })?;
    assert_eq!(heard, expected, "TCP brings what was sent");
    Ok(())
}

/// What will become of a telemetry dial, if the neighbour is found.
#[derive(Clone, Copy)]
pub enum Fate {
    Cancelled,
    Refused,
    Success,
    TimedOut,
}

impl Fate {
    /// Where it leads to this, and how long telemetry waits for it.
    fn happens(self, rng: &mut Rng) -> (NonZeroU16, Duration) {
        match self {
            // Often before the connection is even made.
            Self::Cancelled => (HUNG, Duration::from_millis(rng.range(0..=50))),
            Self::Refused => (NOBODYS, PATIENCE),
            Self::Success => (COLLECTOR, PATIENCE),
            Self::TimedOut => (HUNG, PATIENCE),
        }
    }
}

/// Dials every 30 s, come what may.
pub async fn telemetry<R: Neighbours>(stack: &Stack<'_, R>, clock: &LanClock, diary: &Diary) {
    let mut rng = Rng::new(0xDA7);
    let mut due = clock.after(DIAL_EVERY / 2);
    loop {
        clock.wait_until(due).await;
        due += DIAL_EVERY;
        let fate = match rng.range(0..=9) {
            0 => Fate::Refused,
            1 => Fate::TimedOut,
            2 => Fate::Cancelled,
            _ => Fate::Success,
        };
        let (port, patience) = fate.happens(&mut rng);
        diary.dials(holds(stack));
        let end = clock.wait_until(clock.after(patience));
        match select(export(stack, port, diary), end).await {
            Either::First(Ok(())) => diary.succeeded(),
            Either::First(Err(TcpError::Refused)) => diary.refused(),
            Either::First(Err(error)) if is_about_the_neighbour(error) => diary.found_no_address(),
            Either::First(Err(error)) => panic!("no fate of a dial: {error}"),
            Either::Second(()) => diary.given_up(fate),
        }
    }
}

/// One export: a connection, a request, its answer.
async fn export<R: Neighbours>(
    stack: &Stack<'_, R>,
    port: NonZeroU16,
    diary: &Diary,
) -> Result<(), TcpError> {
    let mut collector = stack.dial(at(port)).await?;
    diary.telemetry_is_connected(holds(stack));
    collector.write_all(REQUEST).await?;
    hear(&mut collector, ANSWER).await?;
    collector.close().await
}

fn holds<R: Neighbours>(stack: &Stack<'_, R>) -> usize {
    stack.with_link(|link| link.resolver().in_use())
}

/// Whether the resolver is to blame.
fn is_about_the_neighbour(error: TcpError) -> bool {
    matches!(error, TcpError::NotHeld(_) | TcpError::Unreachable)
}
