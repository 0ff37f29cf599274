//! What perfdhcp is asked to do, and what it says.

use std::fmt;
use std::fs;
use std::process::Command;
use std::str::FromStr;

use crate::far::{FAR, SERVER};

/// How many clients there are to choose from: more than any load begins exchanges, so that each asks once.
const CLIENTS: &str = "1000000";

/// What perfdhcp is to do.
#[derive(Clone, Copy)]
pub(crate) enum Load {
    /// Begin as many exchanges a second for so long, and wait for late answers as long as that. Both in
    /// seconds.
    Rate {
        rate: u32,
        seconds: u32,
        patience: u32,
    },
    /// As many clients at once, which ask until they are answered.
    Burst { clients: u32 },
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// How many exchanges a second it was asked to begin.
    asked: f64,
    seconds: f64,
    discovers: f64,
    acks: f64,
    /// How many answers perfdhcp's own socket had no room for.
    missed: f64,
    /// The mean time to the OFFER, in milliseconds.
    pub(crate) offer: f64,
    /// The mean time to the ACK, in milliseconds.
    pub(crate) ack: f64,
    /// Of a burst: until the last one had its lease, in seconds.
    pub(crate) took: f64,
}

impl Outcome {
    /// How many exchanges were begun in a second.
    pub(crate) fn begun(&self) -> f64 {
        self.discovers / self.seconds
    }

    /// The mean time that an exchange takes, in milliseconds.
    pub(crate) fn latency(&self) -> f64 {
        self.offer + self.ack
    }

    /// How many of them came to their end.
    pub(crate) fn completed(&self) -> f64 {
        self.acks / self.seconds
    }

    /// How many of them did not, though perfdhcp would have had room for the answer.
    pub(crate) fn lost(&self) -> f64 {
        (self.discovers - self.acks - self.missed).max(0.0)
    }

    pub(crate) fn is_lossless(&self) -> bool {
        self.discovers > 0.0 && self.acks == self.discovers
    }

    /// Whether it began clearly fewer than it was asked to.
    pub(crate) fn is_saturated(&self) -> bool {
        self.begun() < 0.9 * self.asked
    }
}

/// As one line, for the other side of a pipe.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asked,
            seconds,
            discovers,
            acks,
            missed,
            offer,
            ack,
            took,
        } = self;
        write!(
            f,
            "{asked} {seconds} {discovers} {acks} {missed} {offer} {ack} {took}"
        )
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let numbers = line.split(' ').map(|word| word.parse().map_err(drop));
        let numbers: Vec<f64> = numbers.collect::<Result<_, _>>()?;
        let [asked, seconds, discovers, acks, missed, offer, ack, took] =
            numbers.try_into().map_err(drop)?;
        Ok(Self {
            asked,
            seconds,
            discovers,
            acks,
            missed,
            offer,
            ack,
            took,
        })
    }
}

/// As one line, for the other side of a pipe.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate {
                rate,
                seconds,
                patience,
            } => write!(f, "rate {rate} {seconds} {patience}"),
            Self::Burst { clients } => write!(f, "burst {clients} 0 0"),
        }
    }
}

impl FromStr for Load {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let words: Vec<_> = line.split(' ').collect();
        let [kind, count, seconds, patience] = words.try_into().map_err(drop)?;
        let number = |text: &str| text.parse().map_err(drop);
        let (seconds, patience) = (number(seconds)?, number(patience)?);
        let count = number(count)?;
        match kind {
            "rate" => Ok(Self::Rate {
                rate: count,
                seconds,
                patience,
            }),
            "burst" => Ok(Self::Burst { clients: count }),
            _ => Err(()),
        }
    }
}

impl Load {
    /// Has perfdhcp do it.
    pub(crate) fn run(self) -> Outcome {
        let mut command = Command::new("perfdhcp");
        command.args(["-4", "-l", FAR, "-u"]);
        match self {
            Self::Rate {
                rate,
                seconds,
                patience,
            } => command
                .args(["-R", CLIENTS, "-r", &rate.to_string()])
                .args(["-p", &seconds.to_string(), "-d", &patience.to_string()])
                // In microseconds.
                .args(["-W", &format!("{patience}000000")]),
            Self::Burst { clients } => {
                command.args(["--scenario", "avalanche", "-R", &clients.to_string()])
            }
        };
        let missed_before = missed();
        let output = command.arg(SERVER.to_string()).output();
        let output = output.expect("perfdhcp is in the Debian package kea-admin");
        let said = String::from_utf8_lossy(&output.stdout);
        // 3: some exchanges were not completed.
        let ran = matches!(output.status.code(), Some(0 | 3));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(ran, "{command:?}: {said}{error}");
        Outcome {
            missed: missed() - missed_before,
            ..self.read(&said)
        }
    }

    /// What perfdhcp has printed.
    fn read(self, said: &str) -> Outcome {
        let (_, phases) = said.split_once("DISCOVER-OFFER").expect("its statistics");
        let (offers, acks) = phases.split_once("REQUEST-ACK").expect("both phases");
        let unique = |phase| figure(phase, "non unique addresses:") == 0.0;
        assert!(
            unique(offers) && unique(acks),
            "one address for two: {said}"
        );
        let (offer, ack) = (figure(offers, "avg delay:"), figure(acks, "avg delay:"));
        let (asked, seconds) = match self {
            Self::Rate { rate, seconds, .. } => (rate.into(), seconds.into()),
            Self::Burst { .. } => (0.0, 1.0),
        };
        Outcome {
            asked,
            seconds,
            discovers: figure(offers, "sent packets:"),
            acks: figure(acks, "received packets:"),
            missed: 0.0,
            offer,
            ack,
            took: said
                .split_once("It took ")
                .map_or(0.0, |(_, took)| clock(took)),
        }
    }
}

/// How many datagrams found no room in the sockets of this namespace so far.
fn missed() -> f64 {
    let counters = fs::read_to_string("/proc/net/snmp").expect("the kernel counts");
    let mut lines = counters.lines().filter(|line| line.starts_with("Udp: "));
    let (names, values) = (lines.next(), lines.next());
    let (names, values) = (names.unwrap_or_default(), values.unwrap_or_default());
    let mut pairs = names.split(' ').zip(values.split(' '));
    let found = pairs.find(|(name, _)| *name == "RcvbufErrors");
    let (_, value) = found.expect("it counts these, too");
    value.parse().expect("a number")
}

/// The number behind these words; zero if there was nothing to count.
fn figure(said: &str, words: &str) -> f64 {
    let (_, rest) = said.split_once(words).unwrap_or_default();
    let number = rest.split_whitespace().next();
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}

/// Hours, minutes and seconds with colons between them, as seconds.
fn clock(said: &str) -> f64 {
    let time = said.split_whitespace().next().unwrap_or_default();
    let parts = time.split(':').map(|part| part.parse().unwrap_or(0.0));
    parts.fold(0.0, |seconds: f64, part: f64| 60.0 * seconds + part)
}
