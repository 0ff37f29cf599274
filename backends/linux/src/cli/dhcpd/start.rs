//! Open, drop, parse; then serve, generation after generation of the configuration.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::Instant as Monotonic;

use whohas::dhcp::server::{Growable, Server};
use whohas::dhcp::store::Memory;

use crate::dhcp::{FileStore, OpenError, Options, StateDirectory};

use super::super::failure::{Failure, Outcome};
use super::super::privilege;
use super::super::random::random;
use super::super::signals::Signals;
use super::clock::Clock;
use super::config::{Config, LogFormat, LogLevel, Problems, Store};
use super::listener::{Door, DoorError, Listener};
use super::log::{Field, Kind, Level, Log};
use super::meters::Meters;
use super::notify::Notifier;
use super::sandbox::{self, Reach, directory_of};
use super::service::{Doors, End, Facts, Kept, Known, Progress, Service, Wishes};
use super::socket::Sockets;
use super::source::Source;

/// What is open when privileges are given up.
struct Opened {
    sockets: Sockets,
    state: Option<StateDirectory>,
    control: Option<Door>,
    http: Option<Door>,
}

/// Serves until it is asked to end.
pub(super) fn run(source: &Source) -> Result<Outcome, Failure> {
    privilege::refuse_set_user_id()?;
    let (mut config, warnings) = source.read()?;
    let mut service = set_up(source, &config, &warnings)?;
    service.notifier.ready(serving(&config));
    service.log_begin(&config.interfaces);
    loop {
        let end = config.with_plan(|plan| {
            let ignored = config.ignored.iter().map(|client| client.lend());
            let known = Known::new(plan, ignored);
            let end = service.serve(&known)?;
            if end == End::Stop {
                service.finish(&known)?;
            }
            Ok(end)
        })?;
        match end {
            End::Stop => return Ok(Outcome::Positive),
            End::Reload => config = reload(source, config, &mut service),
        }
    }
}

fn set_up(source: &Source, config: &Config, warnings: &Problems) -> Result<Service, Failure> {
    let catch = |signals: std::io::Result<Signals>| {
        signals.map_err(|error| Failure::device("cannot listen to signals", error))
    };
    let signals = Wishes {
        end: catch(Signals::to_end())?,
        reload: catch(Signals::to_reload())?,
    };
    let notifier = Notifier::connect()
        .map_err(|error| Failure::device("cannot reach the service manager", error))?;
    let mut opened = privilege::with_server_sockets(|| open(config))?;
    let (sandbox, weaknesses) = sandbox::enter(&reach(source, config));

    let clock = Clock::start();
    let now = clock.now();
    let json = config.log.format == LogFormat::Json;
    let mut log = Log::stderr(level(config.log.level), json);
    for weakness in &weaknesses {
        let fields = [Field::text("what", weakness)];
        log.tell(now, Level::Warning, Kind::Daemon, "weaker sandbox", &fields);
    }
    tell_problems(&mut log, now, Level::Warning, warnings);

    let limit = config.max_leases.get() as usize;
    let seed = u64::from(random()) << 32 | u64::from(random());
    let mut server = Server::new(config.policy, Growable::reserved(limit), seed);
    let store = start_store(opened.state.take(), now, &mut server, &mut log)?;
    opened.sockets.set_virtual_ips(virtual_ips(config));
    let listen = |error| Failure::device("cannot wait for visitors", error);
    Ok(Service {
        server,
        store,
        sockets: opened.sockets,
        clock,
        signals,
        notifier,
        doors: Doors {
            control: opened
                .control
                .map(Listener::new)
                .transpose()
                .map_err(listen)?,
            http: opened.http.map(Listener::new).transpose().map_err(listen)?,
        },
        log,
        meters: Meters::default(),
        facts: Facts {
            started: Monotonic::now(),
            configuration: source.file().map(|file| file.display().to_string()),
            store_kind: kind(&config.store),
            store_path: path(&config.store).map(|path| path.display().to_string()),
            sandbox,
            probes: config.policy.probe.is_some(),
        },
        progress: Progress::default(),
    })
}

fn open(config: &Config) -> Result<Opened, Failure> {
    let sockets = Sockets::open(&config.interfaces)?;
    let state = match &config.store {
        Store::Log { directory } => Some(StateDirectory::open(directory).map_err(state_failure)?),
        Store::Dnsmasq { .. } | Store::Memory => None,
    };
    let control = config.control_socket.as_deref().map(|path| {
        make_room(path);
        Door::unix(path, None).map_err(door_failure)
    });
    let http = config
        .http
        .map(|at| Door::loopback(at).map_err(door_failure));
    Ok(Opened {
        sockets,
        state,
        control: control.transpose()?,
        http: http.transpose()?,
    })
}

/// Makes the directory of a socket. If that fails, so will the socket, and says why.
fn make_room(socket: &Path) {
    let mut builder = DirBuilder::new();
    let _ = builder
        .recursive(true)
        .mode(0o755)
        .create(directory_of(socket));
}

fn state_failure(error: OpenError) -> Failure {
    match error {
        OpenError::InUse(_) => Failure::usage(error.to_string()),
        error => Failure::device("cannot keep leases", std::io::Error::other(error)),
    }
}

fn door_failure(error: DoorError) -> Failure {
    match error {
        DoorError::System { at, error } => Failure::device(format!("cannot listen at {at}"), error),
        error => Failure::usage(error.to_string()),
    }
}

/// What a reload, the store and the end need.
fn reach(source: &Source, config: &Config) -> Reach {
    let imports = config.imports.iter().map(|file| directory_of(file));
    let exports = config.export_leases.iter().map(|file| directory_of(file));
    let store = match &config.store {
        Store::Log { directory } => Some(directory.clone()),
        Store::Dnsmasq { file } => Some(directory_of(file)),
        Store::Memory => None,
    };
    Reach {
        read: source
            .file()
            .map(|file| directory_of(file))
            .into_iter()
            .chain(imports)
            .collect(),
        write: store.into_iter().chain(exports).collect(),
        remove: config
            .control_socket
            .iter()
            .map(|file| directory_of(file))
            .collect(),
    }
}

fn start_store(
    state: Option<StateDirectory>,
    now: whohas::Instant,
    server: &mut Server<Growable>,
    log: &mut Log,
) -> Result<Kept, Failure> {
    let Some(directory) = state else {
        return Ok(Kept::Memory(Memory::new()));
    };
    let mut refused = 0_u64;
    let mut why = None;
    let (store, report) = FileStore::log(directory, Options::default(), |record| {
        if let Err(error) = server.load(now, record) {
            refused += 1;
            why.get_or_insert(error);
        }
    })
    .map_err(|error| Failure::device("cannot read leases", std::io::Error::other(error)))?;
    let records = [Field::number("records", &report.records)];
    log.tell(now, Level::Info, Kind::Store, "leases read", &records);
    for line in &report.lines {
        let fields = [Field::text("what", line)];
        log.tell(
            now,
            Level::Warning,
            Kind::Store,
            "cannot be read, left out",
            &fields,
        );
    }
    if let Some(why) = why {
        let fields = [
            Field::number("records", &refused),
            Field::text("error", &why),
        ];
        log.tell(now, Level::Error, Kind::Store, "records not taken", &fields);
    }
    Ok(Kept::File(store))
}

/// The next generation of the configuration, or the same one if the new one cannot be used.
fn reload(source: &Source, old: Config, service: &mut Service) -> Config {
    service.notifier.reloading();
    let now = service.clock.now();
    let log = &mut service.log;
    let next = match source.read() {
        Ok((new, warnings)) => {
            tell_problems(log, now, Level::Warning, &warnings);
            match needs_restart(&old, &new) {
                None => Ok(new),
                Some(what) => Err(format!(
                    "{what} cannot change while the daemon runs: restart it"
                )),
            }
        }
        Err(failure) => Err(failure.to_string()),
    };
    let config = match next {
        Ok(new) => {
            service.server.set_policy(new.policy);
            service.sockets.set_virtual_ips(virtual_ips(&new));
            service.facts.probes = new.policy.probe.is_some();
            log.set_level(level(new.log.level));
            log.tell(
                now,
                Level::Notice,
                Kind::Reload,
                "configuration read again",
                &[],
            );
            new
        }
        Err(error) => {
            for line in error.lines().filter(|line| !line.trim().is_empty()) {
                let fields = [Field::text("error", &line)];
                let message = "not reloaded, the old configuration stays";
                log.tell(now, Level::Error, Kind::Reload, message, &fields);
            }
            old
        }
    };
    service.notifier.ready(serving(&config));
    config
}

/// What differs that was opened with privileges that are gone.
fn needs_restart(old: &Config, new: &Config) -> Option<&'static str> {
    [
        ("the list of interfaces", old.interfaces != new.interfaces),
        ("where leases are kept", old.store != new.store),
        (
            "where leases are exported to",
            old.export_leases != new.export_leases,
        ),
        (
            "the control socket",
            old.control_socket != new.control_socket,
        ),
        ("the HTTP address", old.http != new.http),
        ("the limit of leases", old.max_leases != new.max_leases),
        ("the format of the log", old.log.format != new.log.format),
    ]
    .into_iter()
    .find_map(|(what, differs)| differs.then_some(what))
}

fn tell_problems(log: &mut Log, now: whohas::Instant, level: Level, problems: &Problems) {
    for problem in problems.iter() {
        let place = problem.place().map(ToString::to_string).unwrap_or_default();
        let message = problem.message();
        let fields = [Field::text("at", &place), Field::text("what", &message)];
        log.tell(now, level, Kind::Reload, "configuration", &fields);
    }
}

/// Addresses by which clients may know us that need not be this host's.
fn virtual_ips(config: &Config) -> Vec<std::net::Ipv4Addr> {
    config
        .subnets
        .iter()
        .filter_map(|subnet| subnet.server_id)
        .collect()
}

/// For whoever asks the service manager.
fn serving(config: &Config) -> String {
    format!("serving {}", config.interfaces.join(", "))
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
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
    }
}
