//! Why a link cannot be opened, in words that say what to do about it.

use std::fmt;
use std::io;

/// Why an interface cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Nobody has set the interface up.
    #[error("interface {name} is down: run `ip link set {name} up`")]
    Down {
        /// The interface.
        name: String,
    },
    /// The kernel refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process may not do this.
    #[error(
        "no permission to {what}, for which {capability} is needed: run `setcap {capability_lower}+ep {exe}` \
         once as root, or in a systemd unit say `AmbientCapabilities={capability}`",
        capability_lower = capability.to_lowercase()
    )]
    NoPermission {
        /// What was tried.
        what: &'static str,
        /// The capability that allows it.
        capability: &'static str,
        /// The program that needs it.
        exe: String,
    },
    /// There is no interface of that name.
    #[error("there is no interface {name}{}", Hint { similar, candidates })]
    NoSuchInterface {
        /// What was asked for.
        name: String,
        /// The Ethernet interfaces that there are.
        candidates: Vec<String>,
        /// The one that was perhaps meant.
        similar: Option<String>,
    },
    /// The device that makes TAP interfaces is not there, or not for us.
    #[error(
        "cannot open /dev/net/tun: {source}; if it is not there run `modprobe tun`, and to let others \
         than root open it, `chmod 0666 /dev/net/tun`"
    )]
    NoTapDevice {
        /// What the kernel said.
        source: io::Error,
    },
    /// The interface carries something else than Ethernet frames.
    #[error(
        "interface {name} is not Ethernet but {} (type {hardware_type}), where nobody speaks ARP: use \
         an Ethernet interface", hardware_name(*hardware_type)
    )]
    NotEthernet {
        /// The interface.
        name: String,
        /// Its hardware type (`ARPHRD_*`).
        hardware_type: u16,
    },
}

impl OpenError {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    /// As [`io`](Self::io), but a refusal names what allows it.
    pub(crate) fn permission(
        what: &'static str,
        capability: &'static str,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NoPermission {
                what,
                capability,
                exe: this_program(),
            },
            _ => Self::Io { what, source },
        }
    }
}

fn this_program() -> String {
    std::env::current_exe().map_or_else(
        |_| "PROGRAM".to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

struct Hint<'a> {
    similar: &'a Option<String>,
    candidates: &'a [String],
}

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(similar) = self.similar {
            write!(f, "; did you mean {similar}?")?;
        }
        match self.candidates {
            [] => f.write_str("; there is no Ethernet interface here at all"),
            candidates => write!(f, "; there are: {}", candidates.join(", ")),
        }
    }
}

/// What the types that people meet are called.
fn hardware_name(hardware_type: u16) -> &'static str {
    match hardware_type {
        libc::ARPHRD_LOOPBACK => "the loopback",
        libc::ARPHRD_NONE => "a tunnel without addresses, such as tun or WireGuard",
        libc::ARPHRD_PPP => "PPP",
        libc::ARPHRD_TUNNEL | libc::ARPHRD_IPGRE | libc::ARPHRD_SIT => "an IP tunnel",
        libc::ARPHRD_INFINIBAND => "InfiniBand",
        libc::ARPHRD_IEEE80211_RADIOTAP => "a Wi-Fi monitor",
        _ => "something else",
    }
}

/// The candidate that `name` was perhaps meant to be: at most a third of it is mistyped.
pub(crate) fn closest<'c>(name: &str, candidates: &'c [String]) -> Option<&'c str> {
    candidates
        .iter()
        .map(|candidate| (distance(name, candidate), candidate.as_str()))
        .filter(|&(distance, candidate)| distance <= candidate.len().div_ceil(3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, inserted or removed to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (line, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, &to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_mistyped_name_finds_the_one_that_was_meant() {
        let candidates = names(&["eth0", "enp3s0", "wlan0"]);
        assert_eq!(closest("eht0", &candidates), Some("eth0"));
        assert_eq!(closest("wlan1", &candidates), Some("wlan0"));
        assert_eq!(closest("enp3s", &candidates), Some("enp3s0"));
        assert_eq!(closest("tailscale0", &candidates), None);
        assert_eq!(closest("eth0", &[]), None);
    }

    #[test]
    fn the_message_lists_what_there_is_and_guesses() {
        let error = OpenError::NoSuchInterface {
            name: "eht0".into(),
            candidates: names(&["eth0", "wlan0"]),
            similar: Some("eth0".into()),
        };
        assert_eq!(
            error.to_string(),
            "there is no interface eht0; did you mean eth0?; there are: eth0, wlan0"
        );
    }

    #[test]
    fn a_refusal_names_the_capability_and_the_command_that_gives_it() {
        let refuse = OpenError::permission("open a packet socket", "CAP_NET_RAW");
        let error = refuse(io::ErrorKind::PermissionDenied.into()).to_string();
        let exe = this_program();
        assert!(
            error.contains(&format!("`setcap cap_net_raw+ep {exe}`")),
            "{error}"
        );
        assert!(
            error.contains("`AmbientCapabilities=CAP_NET_RAW`"),
            "{error}"
        );
    }

    #[test]
    fn another_failure_stays_what_the_kernel_said() {
        let fail = OpenError::permission("open a packet socket", "CAP_NET_RAW");
        let error = fail(io::Error::from_raw_os_error(libc::EMFILE));
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
    }
}
