//! Open, drop, parse what others may have written; then serve, one generation of the configuration after
//! the other.

mod leases;
mod reload;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Instant as Monotonic;

use rustix::process::Gid;
use whohas::dhcp::server::{Growable, Server};

use super::super::failure::{Failure, Outcome};
use super::super::privilege;
use super::super::random::random;
use super::super::signals::Signals;
use super::clock::Clock;
use super::config::{Config, HttpAddress, LogFormat, LogLevel, Problems, Store};
use super::listener::{Door, DoorError, Listener};
use super::log::{Field, Kind, Level, Log};
use super::meters::Meters;
use super::notify::Notifier;
use super::sandbox::{self, Reach, directory_of, real_directory_of};
use super::service::{Doors, End, Facts, Known, Progress, Service, Wishes};
use super::socket::Sockets;
use super::source::Source;
use leases::OpenStore;
use reload::{reload, tell_problems, virtual_ips};

/// Serves until it is asked to end.
pub(super) fn run(source: &Source) -> Result<Outcome, Failure> {
    privilege::refuse_set_user_id()?;
    let (mut config, warnings) = source.read()?;
    let mut service = set_up(source, &config, &warnings)?;
    loop {
        let limit = config.max_leases.get() as usize;
        service.set_inspect(config.inspect, limit, random());
        let interfaces = config.interfaces.join(", ");
        service.begin(&interfaces);
        let end = config.with_plan(|plan| {
            let ignored = config.ignored.iter().map(|client| client.lend());
            let known = Known::new(plan, ignored);
            let end = service.serve(&known)?;
            if end == End::Stop {
                service.finish(&known)?;
            }
            Ok::<_, Failure>(end)
        });
        match end.map_err(|error| Failure::usage(error.to_string()))?? {
            End::Stop => return Ok(Outcome::Positive),
            End::Reload => {
                service.notifier.reloading();
                config = reload(source, config, &mut service);
            }
        }
    }
}

/// What is open when privileges are given up.
struct Opened {
    sockets: Sockets,
    store: OpenStore,
    control: Option<Door>,
    http: Option<Door>,
}

fn set_up(source: &Source, config: &Config, warnings: &Problems) -> Result<Service, Failure> {
    let catch = |signals: io::Result<Signals>| {
        signals.map_err(|error| Failure::device("cannot listen to signals", error))
    };
    let signals = Wishes {
        end: catch(Signals::to_end())?,
        reload: catch(Signals::to_reload())?,
    };
    let notifier = Notifier::connect()
        .map_err(|error| Failure::device("cannot reach the service manager", error))?;
    let Opened {
        mut sockets,
        store,
        control,
        http,
    } = privilege::with_server_sockets(|| open(config))?;
    let (sandbox, weaknesses) = sandbox::enter(&reach(source, config));

    let clock = Clock::start();
    let now = clock.now();
    let mut log = Log::stderr(
        level(config.log.level),
        config.log.format == LogFormat::Json,
    );
    for weakness in &weaknesses {
        let fields = [Field::text("what", weakness)];
        log.tell(now, Level::Warning, Kind::Daemon, "weaker sandbox", &fields);
    }
    tell_problems(&mut log, now, Level::Warning, warnings);

    let limit = config.max_leases.get() as usize;
    let seed = u64::from(random()) << 32 | u64::from(random());
    let mut server = Server::new(config.policy, Growable::reserved(limit), seed);
    let (mut store, records) = store.read(now, &mut server, &mut log)?;
    if let (Some(file), 0) = (&config.import_leases, records) {
        let times = config.lease_file_times;
        leases::import(file, times, now, &mut server, &mut store, &mut log)?;
    }
    sockets.set_virtual_ips(virtual_ips(config));
    let cannot_listen = |error| Failure::device("cannot wait for visitors", error);
    Ok(Service {
        server,
        store,
        sockets,
        clock,
        signals,
        notifier,
        doors: Doors {
            control: control
                .map(Listener::new)
                .transpose()
                .map_err(cannot_listen)?,
            http: http.map(Listener::new).transpose().map_err(cannot_listen)?,
        },
        inspector: None,
        log,
        meters: Meters::default(),
        facts: Facts {
            started: Monotonic::now(),
            configuration: source.file().map(|file| file.display().to_string()),
            store_kind: kind(&config.store),
            store_path: path(&config.store).map(|path| path.display().to_string()),
            sandbox,
            probes: config.policy.probe.is_some(),
            names: config.http_names.clone(),
        },
        progress: Progress::default(),
    })
}

fn open(config: &Config) -> Result<Opened, Failure> {
    let sockets = Sockets::open(&config.interfaces)?;
    let store = OpenStore::open(config)?;
    let group = config.control_group.as_deref().map(group).transpose()?;
    let unix = |path: &Path| {
        make_room(path);
        Door::unix(path, group).map_err(door_failure)
    };
    let control = config.control_socket.as_deref().map(unix);
    let http = config.http.as_ref().map(|address| match address {
        HttpAddress::Tcp(address) => Door::tcp(*address).map_err(door_failure),
        HttpAddress::Unix(path) => unix(path),
    });
    Ok(Opened {
        sockets,
        store,
        control: control.transpose()?,
        http: http.transpose()?,
    })
}

/// The group of a name or number, as the host's own list has it.
fn group(name: &str) -> Result<Gid, Failure> {
    let list = fs::read_to_string("/etc/group")
        .map_err(|error| Failure::device("cannot read /etc/group", error))?;
    let number = name.parse().ok().or_else(|| number_of(name, &list));
    let number = number.ok_or_else(|| {
        Failure::usage(format!(
            "control-group: there is no group `{name}` in /etc/group; add it, or write its number"
        ))
    })?;
    Ok(Gid::from_raw(number))
}

/// The number of a group in a list of lines such as `adm:x:4:syslog`.
fn number_of(name: &str, list: &str) -> Option<u32> {
    let mut lines = list.lines().map(|line| line.split(':'));
    let mut line = lines.find(|line| line.clone().next() == Some(name))?;
    line.nth(2)?.parse().ok()
}

/// Makes the directory of a socket. If that fails, so will the socket, and says why.
fn make_room(socket: &Path) {
    let mut builder = DirBuilder::new();
    let _ = builder
        .recursive(true)
        .mode(0o755)
        .create(directory_of(socket));
}

fn door_failure(error: DoorError) -> Failure {
    match error {
        DoorError::System { at, error } => Failure::device(format!("cannot listen at {at}"), error),
        error => Failure::usage(error.to_string()),
    }
}

/// What a reload, the store and the end need.
fn reach(source: &Source, config: &Config) -> Reach {
    let files = source.file().into_iter();
    let read = files.chain(&config.imports).chain(&config.import_leases);
    let http = match &config.http {
        Some(HttpAddress::Unix(path)) => Some(path),
        Some(HttpAddress::Tcp(_)) | None => None,
    };
    let control = config.control_socket.iter().chain(http);
    Reach {
        // Also where links lead to, as long as they do not come to lead elsewhere.
        read: read
            .flat_map(|file| [directory_of(file), real_directory_of(file)])
            .collect(),
        write: leases::written(config),
        remove: control.map(|file| directory_of(file)).collect(),
    }
}

const fn kind(store: &Store) -> &'static str {
    match store {
        Store::Log { .. } => "log",
        Store::Dnsmasq { .. } => "dnsmasq",
        Store::Memory => "memory",
    }
}

fn path(store: &Store) -> Option<&Path> {
    match store {
        Store::Log { directory } => Some(directory),
        Store::Dnsmasq { file } => Some(file),
        Store::Memory => None,
    }
}

const fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warning => Level::Warning,
        LogLevel::Notice => Level::Notice,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let list = "root:x:0:\nadmin:x:7:a,b\nadm:x:4:syslog\nbroken\nodd:x:many:\n";
        assert_eq!(number_of("adm", list), Some(4));
        for none in ["ad", "x", "broken", "odd", ""] {
            assert_eq!(number_of(none, list), None, "{none}");
        }
        assert_eq!(group("12").ok(), Some(Gid::from_raw(12)));
        assert!(group("no such group").is_err());
    }
}
