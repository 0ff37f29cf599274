//! DHCP options by name: what they are called, and what they hold.

use whohas::wire::dhcp::OptionCode;

/// An option that has a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OptionName {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its number.
    pub(crate) code: OptionCode,
    /// What it holds.
    pub(crate) kind: OptionKind,
}

/// What an option holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionKind {
    /// `true` or `false`.
    Bool,
    /// Any bytes, as hexadecimal numbers.
    Hex,
    /// A number of 32 bits, which may be negative.
    I32,
    /// An address.
    Ip,
    /// Addresses.
    Ips,
    /// Names of domains, without compression (RFC 3397).
    Names,
    /// Networks, and the routers behind which they are (RFC 3442).
    Routes,
    /// A text.
    String,
    /// A number of 8 bits.
    U8,
    /// A number of 16 bits.
    U16,
    /// A number of 32 bits.
    U32,
}

const fn option(name: &'static str, code: u8, kind: OptionKind) -> OptionName {
    OptionName {
        name,
        code: OptionCode(code),
        kind,
    }
}

/// All options that have names, by their numbers.
pub(crate) const OPTION_NAMES: &[OptionName] = &[
    option("time-offset", 2, OptionKind::I32),
    option("router", 3, OptionKind::Ips),
    option("time-server", 4, OptionKind::Ips),
    option("dns", 6, OptionKind::Ips),
    option("log-server", 7, OptionKind::Ips),
    option("print-server", 9, OptionKind::Ips),
    option("domain", 15, OptionKind::String),
    option("root-path", 17, OptionKind::String),
    option("ip-forwarding", 19, OptionKind::Bool),
    option("default-ttl", 23, OptionKind::U8),
    option("mtu", 26, OptionKind::U16),
    option("broadcast", 28, OptionKind::Ip),
    option("router-discovery", 31, OptionKind::Bool),
    option("arp-timeout", 35, OptionKind::U32),
    option("tcp-ttl", 37, OptionKind::U8),
    option("tcp-keepalive", 38, OptionKind::U32),
    option("nis-domain", 40, OptionKind::String),
    option("nis-server", 41, OptionKind::Ips),
    option("ntp", 42, OptionKind::Ips),
    option("vendor", 43, OptionKind::Hex),
    option("netbios-name-server", 44, OptionKind::Ips),
    option("netbios-node-type", 46, OptionKind::U8),
    option("netbios-scope", 47, OptionKind::String),
    option("vendor-class", 60, OptionKind::String),
    option("smtp-server", 69, OptionKind::Ips),
    option("pop3-server", 70, OptionKind::Ips),
    option("posix-timezone", 100, OptionKind::String),
    option("tzdb-timezone", 101, OptionKind::String),
    option("ipv6-only-preferred", 108, OptionKind::U32),
    option("captive-portal", 114, OptionKind::String),
    option("domain-search", 119, OptionKind::Names),
    option("sip-server", 120, OptionKind::Hex),
    option("routes", 121, OptionKind::Routes),
    option("capwap", 138, OptionKind::Ips),
    option("tftp-server", 150, OptionKind::Ips),
    option("pxelinux-config-file", 209, OptionKind::String),
    option("pxelinux-path-prefix", 210, OptionKind::String),
    option("pxelinux-reboot-time", 211, OptionKind::U32),
    option("wpad", 252, OptionKind::String),
];

/// Options that the server writes itself, and where what they hold comes from.
pub(super) const OWN: &[(u8, &str)] = &[
    (0, "it is no option"),
    (1, "it comes from `prefix`"),
    (12, "write `host-name` in a reservation"),
    (50, "only clients send it"),
    (51, "write `lease-time`"),
    (52, "the server sees to it"),
    (53, "the server sees to it"),
    (54, "write `server-id`"),
    (55, "only clients send it"),
    (56, "the server sees to it"),
    (57, "the server sees to it"),
    (58, "it comes from `lease-time`"),
    (59, "it comes from `lease-time`"),
    (61, "only clients send it"),
    (66, "write `boot.server-name`"),
    (67, "write `boot.file`"),
    (80, "write `rapid-commit`"),
    (81, "names in the DNS are not this server's business"),
    (82, "only relays send it"),
    (118, "only clients send it"),
    (255, "it is no option"),
];

/// The option of this number, if it has a name.
pub(crate) fn option_of_code(code: OptionCode) -> Option<&'static OptionName> {
    OPTION_NAMES.iter().find(|option| option.code == code)
}

/// The option of this name.
pub(crate) fn option_of_name(name: &str) -> Option<&'static OptionName> {
    OPTION_NAMES.iter().find(|option| option.name == name)
}
