//! Where the configuration comes from: a file, or the flags of the command line. Either can be read
//! once more.

use std::net::IpAddr;
use std::path::PathBuf;

use whohas::Prefix;
use whohas::dhcp::server::Pool;
use whohas::wire::dhcp::LeaseTime;

use crate::Interface;

use super::super::failure::Failure;
use super::super::interface::open_failure;
use super::args::Serve;
use super::config::{Config, LogFormat, Problems, Store};

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    origin: Origin,
    json: bool,
}

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Flags(Flags),
}

#[derive(Clone, Debug)]
struct Flags {
    interface: String,
    range: Pool,
    lease_time: Option<LeaseTime>,
    state_dir: Option<PathBuf>,
    probe: bool,
    socket: Option<PathBuf>,
}

impl Source {
    pub(super) fn of(serve: &Serve) -> Result<Self, Failure> {
        let origin = match (&serve.config, &serve.interface, serve.range) {
            (Some(file), ..) => Origin::File(file.clone()),
            (None, Some(interface), Some(range)) => Origin::Flags(Flags {
                interface: interface.clone(),
                range,
                lease_time: serve.lease_time,
                state_dir: serve.state_dir.clone(),
                probe: !serve.no_probe,
                socket: serve.socket.clone(),
            }),
            _ => {
                return Err(Failure::usage(
                    "what is to be served? Say `--config FILE` (`--print-config-template` prints one), or \
                     `-i IF --range FIRST-LAST`",
                ));
            }
        };
        let json = serve.json;
        Ok(Self { origin, json })
    }

    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match &self.origin {
            Origin::File(file) => Some(file),
            Origin::Flags(_) => None,
        }
    }

    /// A configuration that can be used, and what might be wrong with it.
    pub(super) fn read(&self) -> Result<(Config, Problems), Unusable> {
        let (mut config, warnings) = match &self.origin {
            Origin::File(file) => Config::read(file).map_err(Unusable::Wrong)?,
            Origin::Flags(flags) => flags.config()?,
        };
        if self.json {
            config.log.format = LogFormat::Json;
        }
        Ok((config, warnings))
    }
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is wrong.
    Wrong(Problems),
    /// What it speaks of is not there.
    Absent(Failure),
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Wrong(problems) => Self::usage(problems.to_string().trim_end()),
            Unusable::Absent(failure) => failure,
        }
    }
}

impl Flags {
    fn config(&self) -> Result<(Config, Problems), Unusable> {
        let network = self.network().map_err(Unusable::Absent)?;
        let (mut config, warnings) =
            Config::simple(&self.interface, network, self.range, self.lease_time)
                .map_err(Unusable::Wrong)?;
        if !self.probe {
            config.policy.probe = None;
        }
        if let Some(directory) = self.state_dir.clone() {
            config.store = Store::Log { directory };
        }
        if self.socket.is_some() {
            config.control_socket.clone_from(&self.socket);
        }
        Ok((config, warnings))
    }

    /// The network that the interface has an address in, and the range is.
    fn network(&self) -> Result<Prefix, Failure> {
        let interface = &self.interface;
        let found = Interface::find(interface).map_err(open_failure)?;
        let networks = found.addresses.iter().filter_map(|own| match own.ip {
            IpAddr::V4(ip) => Prefix::new(ip, own.prefix_len).ok(),
            IpAddr::V6(_) => None,
        });
        let Pool { first, last } = self.range;
        let around = |own: &Prefix| own.contains(first) && own.contains(last);
        let network = networks.filter(around).max_by_key(|own| own.len());
        network.ok_or_else(|| {
            Failure::usage(format!(
                "{first} to {last} are in no network of {interface}: give it an address there, such as by \
                 `ip address add ADDR/24 dev {interface}`"
            ))
        })
    }
}
