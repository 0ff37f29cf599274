//! Posting what was recorded, for ever.

use core::convert::Infallible;
use core::fmt::Write as _;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::pin::{Pin, pin};
use core::task::Poll;
use core::time::Duration;

use embedded_io_async::{Read, Write};
use embedded_nal_async::TcpConnect;
use whohas::Instant;
use whohas::time::Timer;

use super::answer::Answer;
use super::body::{Body, Source};
use super::chunk::Chunk;
use super::config::Config;
use super::record::{Log, Point, Span, Text};
use super::telemetry::{Rejection, Stored, Telemetry};
use crate::backoff::Backoff;
use crate::reach::Trouble;
use crate::timed::within;

/// The longest head of a request: its path and the collector's address are the only parts that vary.
const HEAD: usize = 192;

/// Empties a [`Telemetry`] into a collector.
pub struct Exporter<'a, const LOGS: usize = 16, const POINTS: usize = 64, const SPANS: usize = 8> {
    telemetry: &'a Telemetry<LOGS, POINTS, SPANS>,
    config: Config<'a>,
    /// After exports without an answer.
    silence: Backoff,
    paces: [Pace; Kind::ALL.len()],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Logs,
    Points,
    Spans,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Logs, Self::Points, Self::Spans];
}

/// When the records of one signal go out.
struct Pace {
    /// Not with the others, but then.
    retry: Option<Instant>,
    /// After answers that told us to come again.
    backoff: Backoff,
}

/// What became of an export.
enum Verdict {
    /// The collector has decided, or there was nothing to say.
    Settled,
    /// It wants the same again later; after this time, if it says so.
    Later(Option<Duration>),
    /// It was not heard.
    Unheard,
}

/// Why there is no answer.
enum Failure {
    Malformed,
    Trouble(Trouble),
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl<'a, const LOGS: usize, const POINTS: usize, const SPANS: usize>
    Exporter<'a, LOGS, POINTS, SPANS>
{
    /// Exports this. The seed is for the jitter of its waits.
    pub fn new(
        telemetry: &'a Telemetry<LOGS, POINTS, SPANS>,
        config: Config<'a>,
        seed: u64,
    ) -> Self {
        let backoff = |n: u64| Backoff::new(config.patience, seed.wrapping_add(n));
        Self {
            telemetry,
            config,
            silence: backoff(0),
            paces: Kind::ALL.map(|kind| Pace {
                retry: None,
                backoff: backoff(1 + kind as u64),
            }),
        }
    }

    /// Exports every [`Config::period`], for ever. Before each time `measure` is asked to record what
    /// is to be measured then.
    ///
    /// Dropping the future loses no record.
    pub async fn run<C: TcpConnect, T: Timer>(
        mut self,
        tcp: &C,
        timer: &T,
        mut measure: impl FnMut(Instant),
    ) -> Infallible {
        let mut connection = None;
        let mut flush = timer.now() + self.config.period;
        loop {
            timer.wait_until(self.next_retry().min(flush)).await;
            let now = timer.now();
            let is_flush = flush <= now;
            if is_flush {
                measure(now);
                // Whatever was missed meanwhile is not made up for.
                while flush <= now {
                    flush += self.config.period.max(Duration::from_millis(1));
                }
            }
            for kind in Kind::ALL {
                let retry = self.paces[kind as usize].retry;
                if retry.map_or(is_flush, |retry| retry <= now) {
                    let verdict = match kind {
                        Kind::Logs => self.export::<Log, _, _>(tcp, timer, &mut connection).await,
                        Kind::Points => {
                            self.export::<Point, _, _>(tcp, timer, &mut connection)
                                .await
                        }
                        Kind::Spans => self.export::<Span, _, _>(tcp, timer, &mut connection).await,
                    };
                    let is_heard = self.pace(kind, timer.now(), verdict);
                    if !is_heard {
                        break;
                    }
                }
            }
        }
    }

    fn next_retry(&self) -> Instant {
        let retries = self.paces.iter().filter_map(|pace| pace.retry);
        retries.min().unwrap_or(Instant::FAR_FUTURE)
    }

    /// When this signal is sent next. False if the collector is not there: for nobody.
    fn pace(&mut self, kind: Kind, now: Instant, verdict: Verdict) -> bool {
        let pace = &mut self.paces[kind as usize];
        match verdict {
            Verdict::Settled => {
                pace.retry = None;
                pace.backoff.reset();
                self.silence.reset();
            }
            Verdict::Later(wait) => {
                let own = pace.backoff.next_wait();
                let wait = wait.map(|wait| wait.max(self.config.patience.first));
                let wait = wait.map_or(own, |wait| wait.min(self.config.longest_wait));
                pace.retry = Some(now + wait);
                self.silence.reset();
            }
            Verdict::Unheard => {
                let retry = now + self.silence.next_wait();
                for pace in &mut self.paces {
                    pace.retry = Some(pace.retry.map_or(retry, |at| at.max(retry)));
                }
                return false;
            }
        }
        true
    }

    async fn export<'n, S: Stored, C: TcpConnect, T: Timer>(
        &self,
        tcp: &'n C,
        timer: &T,
        connection: &mut Option<C::Connection<'n>>,
    ) -> Verdict {
        let Some(batch) = self.telemetry.queue::<S, _>(|queue| queue.begin()) else {
            return Verdict::Settled;
        };
        let mut body =
            Body::<S, LOGS, POINTS, SPANS>::new(self.telemetry, self.config.resource, batch);
        let result = self.deliver(tcp, timer, connection, &mut body).await;
        match result {
            Ok(answer) => {
                self.learn_time(timer.now(), &answer);
                self.settle(&body, &answer)
            }
            Err(failure) => {
                self.telemetry.queue::<S, _>(|queue| queue.failed());
                self.telemetry.with(|state| {
                    count(&mut state.exports.failed);
                    match failure {
                        Failure::Malformed => count(&mut state.exports.malformed),
                        Failure::Trouble(trouble) => state.exports.reach.count(trouble),
                    }
                });
                Verdict::Unheard
            }
        }
    }

    /// Does with the batch what the collector has decided.
    fn settle<S: Stored>(
        &self,
        body: &Body<'_, S, LOGS, POINTS, SPANS>,
        answer: &Answer,
    ) -> Verdict {
        let sent = body.sent();
        let (rejected, is_taken) = match answer.status() {
            200..=299 => (answer.rejected().min(sent), true),
            408 | 429 | ..=399 | 500.. => {
                self.telemetry.with(|state| {
                    S::queue(state).failed();
                    count(&mut state.exports.postponed);
                });
                return Verdict::Later(answer.retry_after());
            }
            400..=499 => (sent, false),
        };
        let rejection = (rejected > 0).then(|| rejection(answer, rejected));
        self.telemetry.with(|state| {
            S::queue(state).landed(body.reached(), sent, rejected);
            count(match is_taken {
                true => &mut state.exports.taken,
                false => &mut state.exports.refused,
            });
            if let Some(rejection) = rejection {
                state.rejection = rejection;
            }
        });
        Verdict::Settled
    }

    fn learn_time(&self, now: Instant, answer: &Answer) {
        let Some(date) = answer.date().filter(|_| self.config.time_from_collector) else {
            return;
        };
        self.telemetry
            .with(|state| state.clock = state.clock.corrected(now, date));
    }

    /// Sends it, on the connection there is or on a new one, and waits for the answer.
    async fn deliver<'n, C: TcpConnect, T: Timer>(
        &self,
        tcp: &'n C,
        timer: &T,
        connection: &mut Option<C::Connection<'n>>,
        source: &mut dyn Source,
    ) -> Result<Answer, Failure> {
        let deadline = timer.now() + self.config.timeout;
        if let Some(mut used) = connection.take() {
            // Closed, or it says what nobody has asked for.
            if is_quiet(&mut used).await {
                let mut answer = Answer::new();
                let ended = self.exchange(timer, deadline, &mut used, source, &mut answer);
                match ended.await {
                    Err(Failure::Trouble(trouble))
                        if answer.is_unheard() && trouble != Trouble::TimedOut => {}
                    Err(failure) => return Err(failure),
                    Ok(()) => {
                        *connection = Some(used).filter(|_| answer.keeps_alive());
                        return Ok(answer);
                    }
                }
            }
            // The server may have closed it just now. It has not answered, so that this is no second
            // time.
            source.rewind();
            self.telemetry
                .with(|state| count(&mut state.exports.resent));
        }
        let mut fresh = self.dial(tcp, timer, deadline).await?;
        let mut answer = Answer::new();
        self.exchange(timer, deadline, &mut fresh, source, &mut answer)
            .await?;
        *connection = Some(fresh).filter(|_| answer.keeps_alive());
        Ok(answer)
    }

    async fn dial<'n, C: TcpConnect>(
        &self,
        tcp: &'n C,
        timer: &impl Timer,
        deadline: Instant,
    ) -> Result<C::Connection<'n>, Trouble> {
        self.telemetry
            .with(|state| count(&mut state.exports.reach.dialled));
        let dialled = within(timer, deadline, tcp.connect(self.config.collector)).await;
        let connection = dialled
            .map_err(|_| Trouble::TimedOut)?
            .map_err(|error| Trouble::of(&error))?;
        self.telemetry
            .with(|state| count(&mut state.exports.reach.connected));
        Ok(connection)
    }

    /// One request and its answer. What has been decided stands, whatever happens to the rest; but a
    /// connection whose request has not ended is none for another.
    async fn exchange(
        &self,
        timer: &impl Timer,
        deadline: Instant,
        connection: &mut (impl Read + Write),
        source: &mut dyn Source,
        answer: &mut Answer,
    ) -> Result<(), Failure> {
        let talk = async {
            let sent = send(connection, self.config.collector, source).await;
            // Who refuses a request need not hear the end of it.
            let heard = listen(connection, answer).await;
            sent.inspect_err(|_| answer.hear_end())?;
            heard
        };
        let ended = within(timer, deadline, talk).await;
        if ended.is_err() {
            // It may have refused a request whose rest it never took.
            overhear(connection, answer).await;
            answer.hear_end();
        }
        match ended {
            _ if answer.is_decided() => Ok(()),
            Ok(ended) => ended,
            Err(_) => Err(Trouble::TimedOut.into()),
        }
    }
}

async fn send<C: Write>(
    connection: &mut C,
    collector: SocketAddr,
    source: &mut dyn Source,
) -> Result<(), Trouble> {
    let mut head = heapless::String::<HEAD>::new();
    // There is room for the longest address.
    let _ = write!(
        head,
        "POST {} HTTP/1.1\r\nHost: {collector}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n",
        source.path(),
    );
    let mut chunk = Chunk::new(head.as_bytes());
    loop {
        let is_last = source.fill(&mut chunk);
        let written = connection.write_all(chunk.framed(is_last)).await;
        written.map_err(|error| Trouble::of(&error))?;
        if is_last {
            break;
        }
        chunk.clear();
    }
    connection
        .flush()
        .await
        .map_err(|error| Trouble::of(&error))
}

async fn listen<C: Read>(connection: &mut C, answer: &mut Answer) -> Result<(), Failure> {
    let mut buffer = [0; 128];
    while !answer.is_done() {
        let read = connection.read(&mut buffer).await;
        match read.map_err(|error| Trouble::of(&error))? {
            0 => {
                answer.hear_end();
                return Err(Trouble::Closed.into());
            }
            len => {
                let heard = answer.hear(&buffer[..len]);
                let heard = heard.map_err(|_| Failure::Malformed)?;
                if heard < len {
                    // Nobody has asked for more.
                    answer.hear_end();
                }
            }
        }
    }
    Ok(())
}

/// Hears what is there, and waits for nothing. There is no other request after that.
async fn overhear<C: Read>(connection: &mut C, answer: &mut Answer) {
    let mut listening = pin!(listen(connection, answer));
    // Whether it was all is for the answer to say.
    let _ = poll_once(listening.as_mut()).await;
}

/// Whether the peer neither says anything nor has closed the connection.
async fn is_quiet<C: Read>(connection: &mut C) -> bool {
    let mut byte = [0];
    let mut read = pin!(connection.read(&mut byte));
    poll_once(read.as_mut()).await.is_pending()
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}

fn rejection(answer: &Answer, records: u64) -> Rejection {
    Rejection {
        status: answer.status(),
        records: u32::try_from(records).unwrap_or(u32::MAX),
        reason: Text::new(answer.excerpt()),
    }
}

const fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}
