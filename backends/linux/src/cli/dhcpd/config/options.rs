//! DHCP options as they are written in the file, and their bytes.

use std::net::Ipv4Addr;

use toml::Spanned;
use toml::de::DeValue;
use whohas::Prefix;
use whohas::wire::dhcp::OptionCode;

use super::network::Setting;
use super::option_names::{OPTION_NAMES, OWN, OptionKind, option_of_code, option_of_name};
use super::problem::Problem;
use super::section::{At, Section};
use super::suggest::{did_you_mean, suggest};
use super::value::{Hex, Value, quote};

/// The longest value of an option. Longer than 255 bytes it is split (RFC 3396), and a message has
/// no room for much more than this.
const LONGEST: usize = 400;

/// What a table calls the types of values.
const TYPES: [(&str, OptionKind); 11] = [
    ("bool", OptionKind::Bool),
    ("hex", OptionKind::Hex),
    ("i32", OptionKind::I32),
    ("ip", OptionKind::Ip),
    ("ips", OptionKind::Ips),
    ("names", OptionKind::Names),
    ("routes", OptionKind::Routes),
    ("string", OptionKind::String),
    ("u8", OptionKind::U8),
    ("u16", OptionKind::U16),
    ("u32", OptionKind::U32),
];

/// The options in a table, by their numbers. Each stands there once, by its name or its number.
pub(super) fn read(section: &Section<'_>) -> Vec<At<Setting>> {
    let mut settings: Vec<At<Setting>> = Vec::new();
    for (key, value) in section.entries() {
        let of_number = || key.value.parse().ok().map(OptionCode);
        let code = match option_of_name(key.value) {
            Some(option) => Some(option.code),
            None => of_number(),
        };
        let Some(code) = code else {
            section.report().add(unknown(&key));
            continue;
        };
        let own = OWN.iter().find(|(own, _)| *own == code.0);
        let twice = || settings.iter().any(|other| other.value.code == code);
        let refusal = match own {
            Some((_, why)) => Some(format!("option {} cannot be set: {why}", code.0)),
            None => twice().then(|| format!("option {} is set twice", code.0)),
        };
        if let Some(refusal) = refusal {
            section.report().add(key.mark.error(refusal));
            continue;
        }
        if let Some(setting) = setting(section, code, value) {
            settings.push(At {
                value: setting,
                mark: key.mark,
            });
        }
    }
    settings.sort_by_key(|setting| setting.value.code);
    settings
}

fn unknown(key: &At<&str>) -> Problem {
    let name = key.value;
    let message = format!("there is no option {}", quote(name));
    let problem = key.mark.error(message);
    match suggest(name, OPTION_NAMES.iter().map(|option| option.name)) {
        Some(meant) => problem.hint(did_you_mean(meant)),
        None => problem.hint("write its number, from 1 to 254"),
    }
}

/// What stands behind an option's key: a value of its type, or a table that says of which type it is.
fn setting<'t>(
    section: &Section<'t>,
    code: OptionCode,
    value: &'t Spanned<DeValue<'t>>,
) -> Option<Setting> {
    let by_name = option_of_code(code).map(|option| option.kind);
    let mut given = (by_name, value, false);
    if let DeValue::Table(_) = value.get_ref() {
        let table = section.table("an option", value)?;
        let types = TYPES.iter().map(|&(name, kind)| (name, Some(kind)));
        let values: Vec<_> = types
            .chain([("value", by_name)])
            .filter_map(|(name, kind)| table.raw(name).map(|value| (kind, value)))
            .collect();
        let always = table.get("always").is_some_and(|always| always.value);
        let mark = table.mark().clone();
        let report = table.report();
        table.finish(|_| None);
        let [(kind, value)] = values[..] else {
            let problem = mark.error("a table stands for an option: one value, and its type");
            report.add(problem.hint("write { ip = \"192.168.1.1\" }, for example"));
            return None;
        };
        given = (kind, value, always);
    }
    let (kind, value, always) = given;
    let Some(kind) = kind else {
        let message = format!("option {} has no name: say what its value is", code.0);
        let problem = section.mark_of(value.span()).error(message);
        let example = "write { u16 = 5 } or { hex = \"00:05\" }, for example";
        section.report().add(problem.hint(example));
        return None;
    };
    let bytes = kind.encode(section, value)?;
    if bytes.len() > LONGEST {
        let message = format!("an option of {} bytes: {LONGEST} are the most", bytes.len());
        let problem = section.mark_of(value.span()).error(message);
        section.report().add(problem);
    }
    Some(Setting {
        code,
        value: bytes.into(),
        always,
    })
}

impl OptionKind {
    /// The bytes of a value.
    fn encode<'t>(self, section: &Section<'t>, value: &'t Spanned<DeValue<'t>>) -> Option<Vec<u8>> {
        match self {
            Self::Bool => one(section, value, |bool: bool| vec![bool.into()]),
            Self::Hex => one(section, value, |Hex(bytes)| bytes),
            Self::I32 => one(section, value, |number: i32| number.to_be_bytes().into()),
            Self::Ip => one(section, value, |ip: Ipv4Addr| ip.octets().into()),
            Self::Ips => several(section, value, |ip: Ipv4Addr| ip.octets().into()),
            Self::Names => several(section, value, |DomainName(bytes)| bytes),
            Self::Routes => several(section, value, |Route(bytes)| bytes),
            Self::String => one(section, value, |Text(text)| text.into_bytes()),
            Self::U8 => one(section, value, |number: u8| vec![number]),
            Self::U16 => one(section, value, |number: u16| number.to_be_bytes().into()),
            Self::U32 => one(section, value, |number: u32| number.to_be_bytes().into()),
        }
    }
}

fn one<'t, T: Value>(
    section: &Section<'t>,
    value: &'t Spanned<DeValue<'t>>,
    bytes: impl Fn(T) -> Vec<u8>,
) -> Option<Vec<u8>> {
    section.value(value).map(|at| bytes(at.value))
}

fn several<'t, T: Value>(
    section: &Section<'t>,
    value: &'t Spanned<DeValue<'t>>,
    bytes: impl Fn(T) -> Vec<u8>,
) -> Option<Vec<u8>> {
    if matches!(value.get_ref(), DeValue::Array(list) if list.is_empty()) {
        let problem = section.mark_of(value.span()).error("an empty list");
        section.report().add(problem.hint("leave the option out"));
        return None;
    }
    let values = section.values(value);
    Some(values.into_iter().flat_map(|at| bytes(at.value)).collect())
}

/// A text of at least one character.
struct Text(String);

impl Value for Text {
    const WHAT: &'static str = "a text of at least one character";

    fn of_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

/// The labels of a domain's name, each behind its length, and the root's.
struct DomainName(Vec<u8>);

impl Value for DomainName {
    const WHAT: &'static str = "the name of a domain such as `example.org`";

    fn of_text(text: &str) -> Option<Self> {
        let mut bytes = Vec::new();
        for label in text.strip_suffix('.').unwrap_or(text).split('.') {
            let len = u8::try_from(label.len()).ok()?;
            if !(1..=63).contains(&len) || !label.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            bytes.push(len);
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        (bytes.len() <= 255).then_some(Self(bytes))
    }
}

/// The length of a prefix, as many of its bytes as are needed, and a router.
struct Route(Vec<u8>);

impl Value for Route {
    const WHAT: &'static str = "a route such as `10.0.0.0/8 via 192.168.1.1`";

    fn of_text(text: &str) -> Option<Self> {
        let (prefix, router) = text.split_once(" via ")?;
        let prefix = Prefix::of_text(prefix.trim())?;
        let router = Ipv4Addr::of_text(router.trim())?;
        let needed = usize::from(prefix.len().div_ceil(8));
        let mut bytes = vec![prefix.len()];
        bytes.extend(prefix.ip().octets().iter().take(needed));
        bytes.extend(router.octets());
        Some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_names_is_sorted_and_has_everything_once() {
        for pair in OPTION_NAMES.windows(2) {
            assert!(pair[0].code < pair[1].code, "{}", pair[1].name);
        }
        for option in OPTION_NAMES {
            assert_eq!(
                option_of_name(option.name).map(|it| it.code),
                Some(option.code)
            );
            let own = OWN.iter().any(|(own, _)| *own == option.code.0);
            assert!(!own, "{} is the server's own", option.name);
        }
    }

    #[test]
    fn names_of_domains_become_labels() {
        let bytes = |text| DomainName::of_text(text).map(|DomainName(bytes)| bytes);
        assert_eq!(bytes("a.bc").as_deref(), Some(&b"\x01a\x02bc\0"[..]));
        assert_eq!(bytes("a.bc."), bytes("a.bc"));
        let longest = "x".repeat(63);
        assert!(bytes(&longest).is_some());
        for bad in [
            "",
            ".",
            "a..b",
            "a b",
            &"x".repeat(64),
            &[&longest[..]; 4].join("."),
        ] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn routes_have_as_many_bytes_of_the_network_as_they_need() {
        let bytes = |text| Route::of_text(text).map(|Route(bytes)| bytes);
        let router = [192, 168, 1, 1];
        for (route, start) in [
            ("0.0.0.0/0 via 192.168.1.1", &[0][..]),
            ("10.0.0.0/8 via 192.168.1.1", &[8, 10]),
            ("10.1.128.0/17 via 192.168.1.1", &[17, 10, 1, 128]),
            ("10.1.2.3/32 via 192.168.1.1", &[32, 10, 1, 2, 3]),
        ] {
            assert_eq!(bytes(route), Some([start, &router].concat()), "{route}");
        }
        assert_eq!(bytes("10.0.0.0/8"), None);
        assert_eq!(bytes("10.0.0.0/33 via 192.168.1.1"), None);
    }
}
