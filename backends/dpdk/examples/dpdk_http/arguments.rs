//! What the command line asks for.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;
use std::num::{NonZeroU16, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;
use whohas::Prefix;

pub(crate) const USAGE: &str = "\
An HTTP server with a stack of its own on every queue of a DPDK port.

dpdk_http --demo [--once] [OPTION..]
    lays a cable (veth) in a network namespace of its own, serves at one end and fetches from the other
dpdk_http --address IP/BITS --iface NAME [OPTION..]
    serves on a network interface of the kernel's that has no address (DPDK's net_af_packet)
dpdk_http --address IP/BITS [OPTION..] -- DPDK-ARGUMENT..
    serves on the first port that DPDK finds with these arguments

  --gateway IP    the way to everybody who is not in our network
  --port PORT     80 if not given
  --queues N      one if not given, two for the demo
  --spin          never sleeps: each queue takes a processor for itself
  --seconds N     ends by itself
  --once          ends when the demo has fetched a page";

const US: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 0, 0, 1), 24);
const HTTP: NonZeroU16 = NonZeroU16::new(80).unwrap();
const ONE: NonZeroU16 = NonZeroU16::new(1).unwrap();
const TWO: NonZeroU16 = NonZeroU16::new(2).unwrap();

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Serve(Serve),
    /// On a cable that is yet to be laid.
    Demo {
        serve: Serve,
        once: bool,
    },
}

/// Where to serve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Serve {
    /// Our own, for us alone.
    pub(crate) address: Prefix,
    pub(crate) gateway: Option<Ipv4Addr>,
    pub(crate) port: NonZeroU16,
    pub(crate) queues: NonZeroU16,
    pub(crate) device: Device,
    /// Whether queues look for frames without a pause.
    pub(crate) spin: bool,
    /// `None`: until a signal comes.
    pub(crate) duration: Option<Duration>,
}

/// What to serve on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// An interface of the kernel's.
    Interface(String),
    /// What DPDK finds with these arguments.
    Dpdk(Vec<String>),
}

/// A command line that cannot be followed.
#[derive(Debug)]
pub(crate) struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (--help shows how)", self.0)
    }
}

impl Error for Misuse {}

impl From<lexopt::Error> for Misuse {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

impl Command {
    /// Reads a command line without the program's name.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, Misuse> {
        let mut given = Given::default();
        let mut parser = lexopt::Parser::from_args(words);
        while let Some(argument) = parser.next()? {
            let option = match &argument {
                Short('h') | Long("help") => return Ok(Self::Help),
                Long("demo") => {
                    given.demo = true;
                    continue;
                }
                Long("once") => {
                    given.once = true;
                    continue;
                }
                Long("spin") => {
                    given.spin = true;
                    continue;
                }
                // Behind `--`, or in front of it by mistake: DPDK says what it does not know.
                Value(word) => {
                    given.dpdk.push(word.clone().string()?);
                    continue;
                }
                Long(name) => (*name).to_owned(),
                Short(_) => {
                    return Err(Misuse(format!(
                        "{}: put DPDK's own arguments behind `--`",
                        argument.unexpected()
                    )));
                }
            };
            match option.as_str() {
                "address" => given.address = Some(value(&mut parser, &option, prefix)?),
                "gateway" => given.gateway = Some(value(&mut parser, &option, parsed)?),
                "port" => given.port = Some(value(&mut parser, &option, parsed)?),
                "queues" => given.queues = Some(value(&mut parser, &option, parsed)?),
                "seconds" => given.seconds = Some(value(&mut parser, &option, parsed)?),
                "iface" => given.iface = Some(parser.value()?.string()?),
                _ => {
                    return Err(Misuse(format!(
                        "no option is called --{option}: put DPDK's own arguments behind `--`"
                    )));
                }
            }
        }
        given.command()
    }
}

/// A value of an option, in words that name both.
fn value<T>(
    parser: &mut lexopt::Parser,
    option: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, Misuse> {
    let word = parser.value()?.string()?;
    parse(&word).map_err(|why| Misuse(format!("--{option} {word}: {why}")))
}

fn parsed<T: FromStr<Err: fmt::Display>>(word: &str) -> Result<T, String> {
    word.parse().map_err(|error: T::Err| error.to_string())
}

fn prefix(word: &str) -> Result<Prefix, String> {
    let (ip, bits) = word
        .split_once('/')
        .ok_or("an address wants its prefix length behind a `/`")?;
    Prefix::new(parsed(ip)?, parsed(bits)?).map_err(|error| error.to_string())
}

/// All options, in whatever order they came.
#[derive(Default)]
struct Given {
    demo: bool,
    once: bool,
    spin: bool,
    address: Option<Prefix>,
    gateway: Option<Ipv4Addr>,
    port: Option<NonZeroU16>,
    queues: Option<NonZeroU16>,
    seconds: Option<NonZeroU64>,
    iface: Option<String>,
    dpdk: Vec<String>,
}

impl Given {
    fn command(self) -> Result<Command, Misuse> {
        let Self {
            demo,
            once,
            spin,
            address,
            gateway,
            port,
            queues,
            seconds,
            iface,
            dpdk,
        } = self;
        let misuse = |text: &str| Err(Misuse(text.to_owned()));
        let has_place = address.is_some() || gateway.is_some() || iface.is_some();
        let has_place = has_place || !dpdk.is_empty();
        if once && !demo {
            return misuse("--once is for --demo");
        }
        if demo && has_place {
            return misuse(
                "--demo has a network of its own: it takes no address, gateway or device",
            );
        }
        let duration = seconds.map(|seconds| Duration::from_secs(seconds.get()));
        let port = port.unwrap_or(HTTP);
        if demo {
            let (ip, bits) = US;
            let address = Prefix::new(ip, bits).map_err(|error| Misuse(error.to_string()))?;
            let serve = Serve {
                address,
                gateway: None,
                port,
                queues: queues.unwrap_or(TWO),
                device: Device::Interface(super::demo::US.to_owned()),
                spin,
                duration,
            };
            return Ok(Command::Demo { serve, once });
        }
        let Some(address) = address else {
            return misuse("what is our --address, as IP/BITS? or is it a --demo?");
        };
        let device = match (iface, dpdk.is_empty()) {
            (Some(name), true) => Device::Interface(name),
            (None, false) => Device::Dpdk(dpdk),
            (Some(_), false) => return misuse("either --iface or arguments of DPDK's, not both"),
            (None, true) => return misuse("which --iface, or which DPDK arguments behind `--`?"),
        };
        Ok(Command::Serve(Serve {
            address,
            gateway,
            port,
            queues: queues.unwrap_or(ONE),
            device,
            spin,
            duration,
        }))
    }
}
