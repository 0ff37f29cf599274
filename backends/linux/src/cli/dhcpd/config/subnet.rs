//! Subnets, reservations and classes as they are written in the file.

use std::net::Ipv4Addr;

use whohas::dhcp::server::{LeaseTimes, Pool};
use whohas::wire::dhcp::LeaseTime;
use whohas::{Prefix, UnicastMac};

use super::architecture;
use super::network::{Boot, Class, ClientKey, Details, Setting};
use super::option_names::option_of_name;
use super::options;
use super::problem::Mark;
use super::section::{At, Section};
use super::suggest::{did_you_mean, suggest};
use super::value::{Hex, Value, quote};

/// How long clients have an address where nothing is written: as long as they ask for, from two
/// minutes to twelve hours; twelve hours if they ask for nothing.
pub(super) const LEASE_TIMES: LeaseTimes = LeaseTimes {
    default: LeaseTime::Seconds(12 * 3_600),
    min: LeaseTime::Seconds(120),
    max: LeaseTime::Seconds(12 * 3_600),
};

/// A subnet as it was read, with the places that its checks speak of.
pub(super) struct Draft {
    pub(super) prefix: At<Prefix>,
    pub(super) pools: Vec<At<Pool>>,
    pub(super) entries: Vec<Entry>,
    pub(super) options: Vec<At<Setting>>,
    pub(super) lease_times: LeaseTimes,
    pub(super) boot: Boot,
    pub(super) authoritative: bool,
    pub(super) server_id: Option<Ipv4Addr>,
    pub(super) mark: Mark,
}

/// A reservation as it was read: for one client, or for several that have one address in turn.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) clients: Vec<At<ClientKey>>,
    pub(super) ip: Option<At<Ipv4Addr>>,
    pub(super) host_name: Option<Box<str>>,
    pub(super) details: Option<Box<Details>>,
    /// Whether it comes from another program's configuration, where we are a guest.
    pub(super) imported: bool,
    pub(super) mark: Mark,
}

/// What is written for all subnets.
pub(super) struct Common {
    pub(super) lease_times: LeaseTimes,
    pub(super) options: Vec<At<Setting>>,
}

impl Common {
    pub(super) fn read(root: &Section<'_>) -> Self {
        Self {
            lease_times: lease_times(root, LEASE_TIMES).unwrap_or(LEASE_TIMES),
            options: options_of(root),
        }
    }
}

/// Reads a `[[subnet]]`.
pub(super) fn subnet(section: Section<'_>, common: &Common) -> Option<Draft> {
    let prefix = section.require::<Prefix>("prefix");
    let lease_times = lease_times(&section, common.lease_times).unwrap_or(common.lease_times);
    let pools = section.list("pools");
    let entries = section.sections("reservation", "[[subnet.reservation]]");
    let entries = entries.into_iter();
    let entries = entries.filter_map(|entry| reservation(entry, lease_times));
    let entries = entries.collect();
    let mut options = options_of(&section);
    for option in &common.options {
        let code = option.value.code;
        if let Err(place) = options.binary_search_by_key(&code, |own| own.value.code) {
            options.insert(place, option.clone());
        }
    }
    let boot = boot(&section).unwrap_or_default();
    let authoritative = section.get("authoritative").is_some_and(|it| it.value);
    let server_id = section.get("server-id").map(|it| it.value);
    let mark = section.mark().clone();
    section.finish(option_elsewhere);
    Some(Draft {
        prefix: prefix?,
        pools,
        entries,
        options,
        lease_times,
        boot,
        authoritative,
        server_id,
        mark,
    })
}

/// Reads a `[[subnet.reservation]]`.
fn reservation(section: Section<'_>, inherited: LeaseTimes) -> Option<Entry> {
    let clients = clients(&section);
    let ip = section.get("ip");
    let host_name = section.get("host-name");
    let host_name = host_name.map(
        |At {
             value: HostName(name),
             ..
         }| name,
    );
    let details = details(&section, inherited);
    let details = (details != Details::default()).then(|| Box::new(details));
    let mark = section.mark().clone();
    let report = section.report();
    let nobody = !section.has("mac") && !section.has("client-id");
    section.finish(option_elsewhere);
    if nobody {
        let problem = mark.error("a reservation for nobody");
        report.add(problem.hint("write `mac` or `client-id`"));
    }
    Some(Entry {
        clients,
        ip,
        host_name,
        details,
        imported: false,
        mark,
    })
}

/// Reads a `[[class]]`.
pub(super) fn class(section: Section<'_>, common: &Common) -> Option<At<Class>> {
    let prefix = section.require::<String>("vendor-class");
    let details = details(&section, common.lease_times);
    section.finish(option_elsewhere);
    let At { value, mark } = prefix?;
    let class = Class {
        prefix: value.into_bytes().into(),
        details,
    };
    Some(At { value: class, mark })
}

/// The clients that are named by `mac` and `client-id`.
pub(super) fn clients(section: &Section<'_>) -> Vec<At<ClientKey>> {
    let macs = section.list::<UnicastMac>("mac").into_iter();
    let macs = macs.map(|at| at.map(ClientKey::Hardware));
    let ids = section.list::<ClientId>("client-id").into_iter();
    let ids = ids.map(|at| at.map(|ClientId(id)| ClientKey::Id(id)));
    macs.chain(ids).collect()
}

fn details(section: &Section<'_>, inherited: LeaseTimes) -> Details {
    let options = options_of(section).into_iter();
    Details {
        options: options.map(|at| at.value).collect(),
        lease_times: lease_times(section, inherited),
        boot: boot(section),
    }
}

fn options_of(section: &Section<'_>) -> Vec<At<Setting>> {
    let table = section.section("options", "options");
    table.map(|table| options::read(&table)).unwrap_or_default()
}

/// The lease times that are written, if any are: what is not written follows from what is, and else
/// from where the section stands.
fn lease_times(section: &Section<'_>, inherited: LeaseTimes) -> Option<LeaseTimes> {
    let default = section.get::<LeaseTime>("lease-time");
    let min = section.get::<LeaseTime>("min-lease-time");
    let max = section.get::<LeaseTime>("max-lease-time");
    if default.is_none() && min.is_none() && max.is_none() {
        return None;
    }
    let time = |at: &Option<At<LeaseTime>>| at.as_ref().map(|at| at.value);
    let chosen = time(&default);
    let default_time = chosen.unwrap_or(inherited.default);
    let times = LeaseTimes {
        default: default_time,
        min: time(&min).unwrap_or(inherited.min.min(default_time)),
        max: time(&max).unwrap_or(chosen.unwrap_or(inherited.max.max(default_time))),
    };
    let report = section.report();
    if let Some(min) = min.filter(|_| times.min > times.default) {
        let message = format!(
            "`min-lease-time` is longer than `lease-time`, which is {}",
            seconds(times.default)
        );
        report.add(min.mark.error(message));
    }
    if let Some(max) = max.filter(|_| times.max < times.default) {
        let message = format!(
            "`max-lease-time` is shorter than `lease-time`, which is {}",
            seconds(times.default)
        );
        report.add(max.mark.error(message));
    }
    Some(times)
}

fn seconds(time: LeaseTime) -> String {
    match time {
        LeaseTime::Seconds(seconds) => format!("{seconds} s"),
        LeaseTime::Infinite => "infinite".into(),
    }
}

fn boot(section: &Section<'_>) -> Option<Boot> {
    let table = section.section("boot", "boot")?;
    let next_server = table.get("next-server").map(|at| at.value);
    let server_name = field(&table, "server-name");
    let file = field(&table, "file");
    let files = table.section("files", "boot.files");
    let files = files.map(|files| boot_files(&files)).unwrap_or_default();
    table.finish(|_| None);
    Some(Boot {
        next_server,
        server_name,
        file,
        files,
    })
}

fn field(table: &Section<'_>, key: &'static str) -> Box<str> {
    let field = table.get::<Field>(key);
    field.map(|at| at.value.0).unwrap_or_default()
}

fn boot_files(table: &Section<'_>) -> Vec<(u16, Box<str>)> {
    let report = table.report();
    let mut files: Vec<(u16, Box<str>)> = Vec::new();
    for (key, value) in table.entries() {
        let Some(numbers) = architecture::numbers(key.value) else {
            let message = format!("there is no architecture {}", quote(key.value));
            let problem = key.mark.error(message);
            report.add(match suggest(key.value, architecture::names()) {
                Some(meant) => problem.hint(did_you_mean(meant)),
                None => problem.hint("write its number (option 93), or x86-bios, x64-uefi, ..."),
            });
            continue;
        };
        let Some(file) = table.value::<Field>(value) else {
            continue;
        };
        for number in numbers {
            if files.iter().any(|&(other, _)| other == number) {
                let message = format!("architecture {number} has a boot file already");
                report.add(key.mark.error(message));
            }
            files.push((number, file.value.0.clone()));
        }
    }
    files.sort();
    files
}

/// What to do with an unknown key of a section that has options, if it is the name of one.
fn option_elsewhere(key: &str) -> Option<String> {
    option_of_name(key).map(|option| did_you_mean(&format!("options.{}", option.name)))
}

/// A text for a field of the message's header, or an option if it is too long for that.
struct Field(Box<str>);

impl Value for Field {
    const WHAT: &'static str = "a text of 1 to 255 bytes";

    fn of_text(text: &str) -> Option<Self> {
        let fits = (1..=255).contains(&text.len()) && !text.contains('\0');
        fits.then(|| Self(text.into()))
    }
}

/// A client identifier.
struct ClientId(Box<[u8]>);

impl Value for ClientId {
    const WHAT: &'static str = "a client identifier of 2 to 255 bytes: hexadecimal as in `01:02:00:5e:10:00:01`, or `text:...`";

    fn of_text(text: &str) -> Option<Self> {
        let bytes = match text.strip_prefix("text:") {
            Some(text) => text.as_bytes().to_vec(),
            None => Hex::of_text(text)?.0,
        };
        (2..=255).contains(&bytes.len()).then(|| Self(bytes.into()))
    }
}

/// A host's name, alone or with its domain.
pub(super) struct HostName(pub(super) Box<str>);

impl Value for HostName {
    const WHAT: &'static str = "a host's name: letters, digits, hyphens, underscores and dots";

    fn of_text(text: &str) -> Option<Self> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fits = (1..=253).contains(&text.len()) && text.bytes().all(letter);
        fits.then(|| Self(text.into()))
    }
}
