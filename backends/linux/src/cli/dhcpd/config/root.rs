//! The file's outermost tables: what the daemon does, and the subnets in their order.

use std::net::SocketAddr;
use std::num::{NonZeroU8, NonZeroU32};
use std::path::PathBuf;
use std::time::Duration;

use whohas::conflict::QuickTiming;
use whohas::dhcp::server::Policy;
use whohas::dhcp::store::dnsmasq::Times;

use super::dnsmasq::{self, Imports};
use super::network::ClientKey;
use super::section::{At, Section};
use super::subnet::{self, Common, HostName};
use super::value::Value;
use super::{Config, HttpAddress, Log, LogFormat, LogLevel, Store, check};

/// Where the daemon's files are, if nothing is written.
const DEFAULT_DIRECTORY: &str = "/var/lib/whohas";
const DEFAULT_CONTROL_SOCKET: &str = "/run/whohas/dhcpd.sock";
/// How long clients wait for an offer without harm: some ask again after a second, some give up after
/// four.
const LONGEST_PROBE: Duration = Duration::from_secs(2);
/// How many leases there may be, if nothing is written.
const DEFAULT_MAX_LEASES: NonZeroU32 = NonZeroU32::new(65_536).unwrap();

/// Reads the file. What is wrong goes to the report of the section.
pub(super) fn read(root: Section<'_>, files: &Imports<'_>) -> Option<Config> {
    let report = root.report();
    let interfaces = interfaces(&root);
    let common = Common::read(&root);
    let (imports, imported) = dnsmasq_section(&root, files);
    let subnets = root.sections("subnet", "[[subnet]]").into_iter();
    let drafts = subnets.filter_map(|section| subnet::subnet(section, &common));
    let subnets = check::subnets(drafts.collect(), imported.entries, report);
    if !root.has("subnet") {
        report.add(root.mark().error("there is no [[subnet]] to serve"));
    }
    let classes = root.sections("class", "[[class]]").into_iter();
    let classes = classes.filter_map(|section| subnet::class(section, &common));
    let (http, http_names) = http(&root);
    let config = Config {
        interfaces,
        classes: check::classes(classes.collect(), report),
        ignored: ignored(&root, imported.ignored),
        policy: policy(&root),
        max_leases: max_leases(&root, &subnets),
        subnets,
        inspect: root.get("inspect").is_some_and(|at| at.value),
        store: store(&root, &imports),
        import_leases: imports.import_leases,
        export_leases: imports.export_leases.map(|at| at.value),
        lease_file_times: imports.times,
        control_socket: control_socket(&root),
        control_group: root
            .get::<GroupOrNone>("control-group")
            .and_then(|at| at.value.0),
        http,
        http_names,
        log: log(&root),
        imports: imports.reservations,
    };
    root.finish(|_| None);
    Some(config)
}

fn interfaces(root: &Section<'_>) -> Vec<String> {
    let names = root.list::<InterfaceName>("interfaces");
    if !root.has("interfaces") {
        let problem = root.mark().error("there are no `interfaces` to listen on");
        root.report()
            .add(problem.hint("write interfaces = [\"eth0\"]"));
    }
    let mut interfaces: Vec<String> = Vec::new();
    for At { value, mark } in names {
        let InterfaceName(name) = value;
        match interfaces.contains(&name) {
            true => root
                .report()
                .add(mark.error(format!("`{name}` is listed twice"))),
            false => interfaces.push(name),
        }
    }
    interfaces
}

/// The paths of `[dnsmasq]`.
#[derive(Default)]
struct DnsmasqPaths {
    reservations: Vec<PathBuf>,
    import_leases: Option<PathBuf>,
    export_leases: Option<At<PathBuf>>,
    times: Times,
}

fn dnsmasq_section(root: &Section<'_>, files: &Imports<'_>) -> (DnsmasqPaths, dnsmasq::Imported) {
    let mut imported = dnsmasq::Imported::default();
    let Some(section) = root.section("dnsmasq", "[dnsmasq]") else {
        return (DnsmasqPaths::default(), imported);
    };
    let mut reservations = Vec::new();
    for at in section.list::<PathBuf>("reservations") {
        let at = section.resolve(at);
        imported.read(&at, files, root.report());
        reservations.push(at.value);
    }
    let paths = DnsmasqPaths {
        reservations,
        import_leases: path(&section, "import-leases"),
        export_leases: section.get("export-leases").map(|at| section.resolve(at)),
        times: section.get("times").map_or(Times::Expiry, |at| at.value),
    };
    section.finish(|_| None);
    (paths, imported)
}

fn path(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    section.get(key).map(|at| section.resolve(at).value)
}

fn ignored(root: &Section<'_>, imported: Vec<ClientKey>) -> Vec<ClientKey> {
    let mut ignored = imported;
    if let Some(section) = root.section("ignore", "[ignore]") {
        ignored.extend(subnet::clients(&section).into_iter().map(|at| at.value));
        section.finish(|_| None);
    }
    ignored.sort();
    ignored.dedup();
    ignored
}

fn policy(root: &Section<'_>) -> Policy {
    let mut policy = Policy::DEFAULT;
    set(&mut policy.offer_hold, root.get("offer-hold"));
    set(&mut policy.rapid_commit, root.get("rapid-commit"));
    let without_store = root.get("lease-without-store");
    set(&mut policy.lease_without_store, without_store);
    let Some(section) = root.section("conflicts", "[conflicts]") else {
        return policy;
    };
    let mut timing = QuickTiming::OFFER;
    set(&mut timing.probe_num, section.get("probe-count"));
    set(&mut timing.interval, section.get("probe-interval"));
    let probe = section.get("probe").is_none_or(|at| at.value);
    policy.probe = probe.then_some(timing);
    let waited = timing.interval * u32::from(timing.probe_num.get());
    if probe && waited > LONGEST_PROBE {
        let message = format!("a client waits {} s for its offer", waited.as_secs_f32());
        let problem = section.mark().warning(message);
        let hint = "some have given up by then: lower `probe-count` or `probe-interval`";
        section.report().add(problem.hint(hint));
    }
    set(&mut policy.cooldown, section.get("cooldown"));
    set(&mut policy.declines, section.get("declines"));
    set(&mut policy.decline_window, section.get("decline-window"));
    if let Some(at) = section.get::<Percent>("quarantine-percent") {
        policy.quarantine_share = at.value.of_256();
    }
    section.finish(|_| None);
    policy
}

/// What is written instead of what would be without.
fn set<T>(value: &mut T, written: Option<At<T>>) {
    if let Some(written) = written {
        *value = written.value;
    }
}

fn max_leases(root: &Section<'_>, subnets: &[super::Subnet]) -> NonZeroU32 {
    let mut max_leases = DEFAULT_MAX_LEASES;
    set(&mut max_leases, root.get("max-leases"));
    let pools = subnets.iter().flat_map(|subnet| &subnet.pools);
    let addresses: u64 = pools
        .map(|pool| 1 + u64::from(pool.last.to_bits().saturating_sub(pool.first.to_bits())))
        .sum();
    if addresses > u64::from(max_leases.get()) {
        let message = format!(
            "the pools have {addresses} addresses, but there may be {max_leases} leases at most"
        );
        let problem = root.mark_of_key("max-leases").warning(message);
        root.report()
            .add(problem.hint(format!("write max-leases = {addresses}")));
    }
    max_leases
}

fn store(root: &Section<'_>, paths: &DnsmasqPaths) -> Store {
    let directory = PathBuf::from(DEFAULT_DIRECTORY);
    let Some(section) = root.section("store", "[store]") else {
        return Store::Log { directory };
    };
    let kind = section.get("kind").map_or(StoreKind::Log, |at| at.value);
    let store = match kind {
        StoreKind::Log => Store::Log {
            directory: path(&section, "directory").unwrap_or(directory),
        },
        StoreKind::Dnsmasq => Store::Dnsmasq {
            file: section
                .require("file")
                .map_or(directory, |at| section.resolve(at).value),
        },
        StoreKind::Memory => Store::Memory,
    };
    if let (StoreKind::Dnsmasq, Some(at)) = (kind, &paths.export_leases) {
        let problem = at
            .mark
            .error("the store is a lease file of dnsmasq's already");
        section.report().add(problem.hint("leave this out"));
    }
    section.finish(|key| match key {
        "directory" => Some("that is for kind = \"log\"".into()),
        "file" => Some("that is for kind = \"dnsmasq\"".into()),
        _ => None,
    });
    store
}

fn control_socket(root: &Section<'_>) -> Option<PathBuf> {
    match root.get::<PathOrNone>("control-socket") {
        Some(At { value, mark }) => {
            let PathOrNone(path) = value;
            path.map(|value| root.resolve(At { value, mark }).value)
        }
        None => Some(DEFAULT_CONTROL_SOCKET.into()),
    }
}

/// Where, and by which names besides.
fn http(root: &Section<'_>) -> (Option<HttpAddress>, Vec<Box<str>>) {
    let Some(section) = root.section("http", "[http]") else {
        return (None, Vec::new());
    };
    let address = section.require::<HttpAddress>("address");
    let override_key = "allow-other-hosts";
    let allowed = section.get(override_key).is_some_and(|at| at.value);
    if let Some(At {
        value: HttpAddress::Tcp(value),
        mark,
    }) = &address
        && !value.ip().is_loopback()
        && !allowed
    {
        let message = format!("other hosts can reach `{}`", value.ip());
        let hint = format!("write `127.0.0.1`, or {override_key} = true to show them all leases");
        root.report().add(mark.error(message).hint(hint));
    }
    let names = section.list::<HostName>("names").into_iter();
    let names = names.map(|at| at.value.0).collect();
    section.finish(|_| None);
    let address = address.map(|At { value, mark }| match value {
        HttpAddress::Tcp(address) => HttpAddress::Tcp(address),
        HttpAddress::Unix(value) => HttpAddress::Unix(root.resolve(At { value, mark }).value),
    });
    (address, names)
}

fn log(root: &Section<'_>) -> Log {
    let mut log = Log::default();
    if let Some(section) = root.section("log", "[log]") {
        set(&mut log.format, section.get("format"));
        set(&mut log.level, section.get("level"));
        section.finish(|_| None);
    }
    log
}

/// The name of an interface, as the kernel takes it.
struct InterfaceName(String);

impl Value for InterfaceName {
    const WHAT: &'static str = "the name of an interface, such as `eth0`";

    fn of_text(text: &str) -> Option<Self> {
        let letter = |c: char| !c.is_whitespace() && !c.is_control() && c != '/';
        let fits = (1..=15).contains(&text.len()) && text.chars().all(letter);
        fits.then(|| Self(text.to_owned()))
    }
}

/// A path, or `false`.
struct PathOrNone(Option<PathBuf>);

impl Value for PathOrNone {
    const WHAT: &'static str = "the path of a file, or `false`";

    fn of_text(text: &str) -> Option<Self> {
        PathBuf::of_text(text).map(|path| Self(Some(path)))
    }

    fn of_bool(bool: bool) -> Option<Self> {
        (!bool).then_some(Self(None))
    }
}

/// A group's name or number, or `false`.
struct GroupOrNone(Option<String>);

impl Value for GroupOrNone {
    const WHAT: &'static str = "the name of a group, or `false`";

    fn of_text(text: &str) -> Option<Self> {
        let fits = |c: char| !c.is_control() && !c.is_whitespace() && c != ':';
        let good = !text.is_empty() && text.chars().all(fits);
        good.then(|| Self(Some(text.to_owned())))
    }

    fn of_bool(bool: bool) -> Option<Self> {
        (!bool).then_some(Self(None))
    }
}

impl Value for HttpAddress {
    const WHAT: &'static str =
        "an address and a port such as `127.0.0.1:9167`, or `unix:` and the path of a socket";

    fn of_text(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => PathBuf::of_text(path).map(Self::Unix),
            None => SocketAddr::of_text(text).map(Self::Tcp),
        }
    }
}

/// A share.
struct Percent(u8);

impl Percent {
    /// How many 256ths that is; at least one, as none would be no share.
    fn of_256(&self) -> NonZeroU8 {
        let share = u32::from(self.0) * 256 / 100;
        let share = u8::try_from(share).unwrap_or(u8::MAX);
        NonZeroU8::new(share).unwrap_or(NonZeroU8::MIN)
    }
}

impl Value for Percent {
    const WHAT: &'static str = "a number from 1 to 100";

    fn of_number(number: i64) -> Option<Self> {
        let percent = u8::try_from(number).ok()?;
        (1..=100).contains(&percent).then_some(Self(percent))
    }
}

#[derive(Clone, Copy)]
enum StoreKind {
    Dnsmasq,
    Log,
    Memory,
}

impl Value for StoreKind {
    const WHAT: &'static str = "`log`, `dnsmasq` or `memory`";

    fn of_text(text: &str) -> Option<Self> {
        match text {
            "dnsmasq" => Some(Self::Dnsmasq),
            "log" => Some(Self::Log),
            "memory" => Some(Self::Memory),
            _ => None,
        }
    }
}

impl Value for Times {
    const WHAT: &'static str = "`expiry` or `length`";

    fn of_text(text: &str) -> Option<Self> {
        match text {
            "expiry" => Some(Self::Expiry),
            "length" => Some(Self::Length),
            _ => None,
        }
    }
}

impl Value for LogFormat {
    const WHAT: &'static str = "`text` or `json`";

    fn of_text(text: &str) -> Option<Self> {
        match text {
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

impl Value for LogLevel {
    const WHAT: &'static str = "`error`, `warning`, `notice`, `info` or `debug`";

    fn of_text(text: &str) -> Option<Self> {
        match text {
            "debug" => Some(Self::Debug),
            "error" => Some(Self::Error),
            "info" => Some(Self::Info),
            "notice" => Some(Self::Notice),
            "warning" => Some(Self::Warning),
            _ => None,
        }
    }
}
