//! The daemon's log: a line for whatever happens, of at most 256 bytes, for the journal, for a
//! terminal or for programs. Nothing that comes from the network can begin a line of its own, and
//! nothing that happens too often fills the disk.

mod line;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::io::{self, Stderr, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::server::Event;
use whohas::dhcp::store::Expiry;

use super::control::time;
pub(super) use line::Field;
use line::Line;

/// How many lines of a kind there are in a second.
const MOST: u32 = 50;
/// The second.
const WINDOW: Duration = Duration::from_secs(1);

/// How much a line matters, as syslog has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Something does not work.
    Error = 3,
    /// Something may not work, or somebody does what they should not.
    Warning = 4,
    /// Worth a look.
    Notice = 5,
    /// Everyday life.
    Info = 6,
    /// For those who look for an error.
    Debug = 7,
}

impl Level {
    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// What a line is about. Each kind has its own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    InUse,
    Clones,
    NotProbed,
    AnswersForAll,
    Declining,
    Declined,
    Conflict,
    Cleared,
    Leased,
    Renewed,
    Released,
    Expired,
    /// A message that came and was understood.
    Received,
    /// A message that came and was dropped.
    Dropped,
    /// A reply.
    Sent,
    /// The store, its errors above all.
    Store,
    /// The configuration.
    Reload,
    /// An interface.
    Interface,
    /// The daemon itself.
    Daemon,
}

impl Kind {
    const ALL: [Self; 19] = [
        Self::InUse,
        Self::Clones,
        Self::NotProbed,
        Self::AnswersForAll,
        Self::Declining,
        Self::Declined,
        Self::Conflict,
        Self::Cleared,
        Self::Leased,
        Self::Renewed,
        Self::Released,
        Self::Expired,
        Self::Received,
        Self::Dropped,
        Self::Sent,
        Self::Store,
        Self::Reload,
        Self::Interface,
        Self::Daemon,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Clones => "clones",
            Self::NotProbed => "not_probed",
            Self::AnswersForAll => "answers_for_all",
            Self::Declining => "declining",
            Self::Declined => "declined",
            Self::Conflict => "conflict",
            Self::Cleared => "cleared",
            Self::Leased => "leased",
            Self::Renewed => "renewed",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Received => "received",
            Self::Dropped => "dropped",
            Self::Sent => "sent",
            Self::Store => "store",
            Self::Reload => "reload",
            Self::Interface => "interface",
            Self::Daemon => "daemon",
        }
    }
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// With the level in front, as the journal takes it. It knows the time.
    Journal,
    /// With time and level.
    Plain,
    /// An object a line.
    Json,
}

/// The log.
#[derive(Debug)]
pub(super) struct Log<W = Stderr> {
    out: W,
    format: Format,
    /// What matters less is not told.
    level: Level,
    limits: [Limit; Kind::ALL.len()],
}

/// What was told of a kind in this second.
#[derive(Clone, Copy, Debug, Default)]
struct Limit {
    began: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Log {
    /// To standard error, in the format that whoever reads it understands.
    pub(super) fn stderr(level: Level, json: bool) -> Self {
        let format = match json {
            true => Format::Json,
            false if is_journal(io::stderr()) => Format::Journal,
            false => Format::Plain,
        };
        Self::new(io::stderr(), format, level)
    }
}

impl<W: Write> Log<W> {
    pub(super) fn new(out: W, format: Format, level: Level) -> Self {
        Self {
            out,
            format,
            level,
            limits: [Limit::default(); Kind::ALL.len()],
        }
    }

    pub(super) fn set_level(&mut self, level: Level) {
        self.level = level;
    }

    /// Whether lines of this level are told at all.
    pub(super) fn tells(&self, level: Level) -> bool {
        level <= self.level
    }

    /// Tells what a server has to tell. The time is the server's: since the Unix epoch.
    pub(super) fn event(&mut self, now: Instant, event: &Event) {
        use Level::{Info, Notice, Warning};
        match event {
            // There are thousands of them in a second, and to write a time costs more than to read one.
            Event::Leased { .. } if Info > self.level => {}
            Event::InUse {
                ip,
                interface: _,
                mac,
                probe,
            } => {
                let fields = [
                    Field::text("ip", ip),
                    Field::text("mac", mac),
                    Field::number("probe", probe),
                ];
                self.tell(now, Warning, Kind::InUse, "address in use", &fields);
            }
            Event::AnswersForAll { mac } => {
                let fields = [Field::text("mac", mac)];
                let message = "answers for all addresses, and is not believed";
                self.tell(now, Warning, Kind::AnswersForAll, message, &fields);
            }
            Event::Clones { ip, mac } => {
                let fields = [Field::text("ip", ip), Field::text("mac", mac)];
                let message = "two stations say one client identifier";
                self.tell(now, Warning, Kind::Clones, message, &fields);
            }
            Event::NotProbed { ip } => {
                let fields = [Field::text("ip", ip)];
                let message = "given without a probe, as none could be sent";
                self.tell(now, Warning, Kind::NotProbed, message, &fields);
            }
            Event::DeclinedNothing { client } => {
                let fields = [Field::text("client_mac", client)];
                let message = "decline ignored: it names no address";
                self.tell(now, Warning, Kind::Declining, message, &fields);
            }
            Event::Declining { ip, client } => {
                let fields = [Field::text("ip", ip), Field::text("client_mac", client)];
                self.tell(
                    now,
                    Warning,
                    Kind::Declining,
                    "decline being processed",
                    &fields,
                );
            }
            Event::Declined { ip, until } => {
                let until = time(*until);
                let fields = [Field::text("ip", ip), Field::text("until", &until)];
                self.tell(now, Warning, Kind::Declined, "marked as declined", &fields);
            }
            Event::Conflict { ip, interface: _ } => {
                let fields = [Field::text("ip", ip)];
                self.tell(now, Warning, Kind::Conflict, "conflict detected", &fields);
            }
            Event::Cleared { ip } => {
                let fields = [Field::text("ip", ip)];
                self.tell(now, Notice, Kind::Cleared, "cleared", &fields);
            }
            Event::Leased {
                ip,
                client,
                expiry,
                renewed,
            } => {
                let until = match expiry {
                    Expiry::At(until) => time(*until),
                    Expiry::Never => "never".to_owned(),
                };
                let fields = [
                    Field::text("ip", ip),
                    Field::text("client_mac", client),
                    Field::text("until", &until),
                ];
                let (kind, message) = if *renewed {
                    (Kind::Renewed, "renewed")
                } else {
                    (Kind::Leased, "leased")
                };
                self.tell(now, Info, kind, message, &fields);
            }
            Event::Released { ip, client } => {
                let fields = [Field::text("ip", ip), Field::text("client_mac", client)];
                self.tell(now, Info, Kind::Released, "released", &fields);
            }
            Event::Expired { ip, client } => {
                let fields = [Field::text("ip", ip), Field::text("client_mac", client)];
                self.tell(now, Info, Kind::Expired, "expired", &fields);
            }
            // Of a server newer than this log.
            other => {
                let other = format!("{other:?}");
                let fields = [Field::text("what", &other)];
                self.tell(now, Info, Kind::Daemon, "event", &fields);
            }
        }
    }

    /// Tells something else. Values may be anything: what does not fit is cut off.
    pub(super) fn tell(
        &mut self,
        now: Instant,
        level: Level,
        kind: Kind,
        message: &str,
        fields: &[Field<'_>],
    ) {
        if !self.tells(level) {
            return;
        }
        let limit = &mut self.limits[kind as usize];
        if limit.is_over(now) {
            self.end_window(now, kind);
        }
        let limit = &mut self.limits[kind as usize];
        limit.began.get_or_insert(now);
        if limit.told == MOST {
            limit.left_out += 1;
            return;
        }
        limit.told += 1;
        self.write(now, level, kind, message, fields);
    }

    /// Tells how much was left out in seconds that are over.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for kind in Kind::ALL {
            if self.limits[kind as usize].is_over(now) {
                self.end_window(now, kind);
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let limits = self.limits.iter().filter(|limit| limit.left_out > 0);
        limits.filter_map(|limit| Some(limit.began? + WINDOW)).min()
    }

    fn end_window(&mut self, now: Instant, kind: Kind) {
        let left_out = std::mem::take(&mut self.limits[kind as usize]).left_out;
        if left_out > 0 {
            let fields = [Field::number("left_out", &left_out)];
            let message = "more of these than are told";
            self.write(now, Level::Warning, kind, message, &fields);
        }
    }

    fn write(
        &mut self,
        now: Instant,
        level: Level,
        kind: Kind,
        message: &str,
        fields: &[Field<'_>],
    ) {
        let mut line = Line::begin(self.format, now, level, kind, message);
        for field in fields {
            line.field(field);
        }
        // There is nobody to tell that nobody can be told.
        let _ = self.out.write_all(line.end());
    }
}

impl Limit {
    fn is_over(&self, now: Instant) -> bool {
        // A clock that was set back begins anew too.
        self.began
            .is_some_and(|began| now >= began + WINDOW || now < began)
    }
}

/// Whether this stream goes to the journal, which says so by naming the file that it is.
fn is_journal(stream: impl AsFd) -> bool {
    let said = std::env::var("JOURNAL_STREAM").ok();
    let (Some(said), Ok(file)) = (said, rustix::fs::fstat(stream)) else {
        return false;
    };
    said == format!("{}:{}", file.st_dev, file.st_ino)
}

/// As a field's value.
impl<'a> Field<'a> {
    pub(super) const fn text(key: &'static str, value: &'a dyn Display) -> Self {
        Self {
            key,
            value,
            number: false,
        }
    }

    pub(super) const fn number(key: &'static str, value: &'a dyn Display) -> Self {
        Self {
            key,
            value,
            number: true,
        }
    }
}
