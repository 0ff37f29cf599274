//! What those see of the daemon who ask it something (control socket, metrics, status page), and what
//! they can have done. They know nothing else of it.

#[cfg(any(test, fuzzing))]
pub(super) mod fixture;

use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::Instant;
use whohas::dhcp::server::{Binding, BindingState, Counters, Usage};

use super::meters::Meters;
use super::socket::SocketCounters;

/// The daemon, as its visitors see it.
pub(super) trait Desk {
    /// The time by which leases are promised: since the Unix epoch.
    fn now(&self) -> Instant;
    /// All that is known of addresses, in any order.
    fn bindings(&self) -> impl Iterator<Item = Binding<'_>>;
    /// What is known of one.
    fn binding(&self, ip: Ipv4Addr) -> Option<Binding<'_>>;
    /// Takes a lease from its client. Whether there was one.
    fn release(&mut self, ip: Ipv4Addr) -> bool;
    /// Ends the quarantine of an address. Whether there was one.
    fn clear(&mut self, ip: Ipv4Addr) -> bool;
    /// What the server has counted.
    fn counters(&self) -> Counters;
    /// What was counted and timed around it.
    fn meters(&self) -> &Meters;
    /// Names that visitors may call this host by, besides its addresses.
    fn names(&self) -> &[Box<str>];
    /// Everything else.
    fn status(&self) -> Status;
}

/// How the daemon is.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// How long it has been running.
    pub(super) uptime: Duration,
    /// The file that it was configured by, if it was one.
    pub(super) configuration: Option<String>,
    /// Where it listens.
    pub(super) interfaces: Vec<InterfaceStatus>,
    /// Its addresses.
    pub(super) pools: Vec<PoolStatus>,
    /// Where its leases are kept.
    pub(super) store: StoreStatus,
    /// What it has renounced.
    pub(super) sandbox: SandboxStatus,
    /// Replies that the kernel did not take.
    pub(super) refused: u64,
    /// ARP frames that contradict a lease, if they are looked for.
    pub(super) lease_claims: Option<LeaseClaims>,
    /// Who wished to come in: by the control socket, and by HTTP.
    pub(super) visitors: [Visitors; 2],
}

/// What was seen of those who claim what is leased to others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeaseClaims {
    /// Frames that contradict a lease.
    pub(super) refused: u64,
    /// Leases that there was no room for: whoever claims them is not noticed.
    pub(super) missed: u64,
}

/// Those who have come to a door in vain.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Visitors {
    /// How many were not let in.
    pub(super) refused: u64,
    /// How many were shown out because nothing happened.
    pub(super) timed_out: u64,
}

/// An interface that is served.
#[derive(Clone, Debug)]
pub(super) struct InterfaceStatus {
    /// Its name.
    pub(super) name: String,
    /// Its address on the link, and the bits of its network, as in `10.0.0.1/24`.
    pub(super) address: Option<String>,
    /// Whether its link is up.
    pub(super) up: bool,
    /// Whether addresses are probed on it before they are offered.
    pub(super) probes: bool,
    /// What was counted on it.
    pub(super) counters: SocketCounters,
}

/// How full a pool is.
#[derive(Clone, Debug)]
pub(super) struct PoolStatus {
    /// Its network, as in `10.0.0.0/24`.
    pub(super) subnet: String,
    /// Its addresses, as in `10.0.0.100-10.0.0.199`.
    pub(super) pool: String,
    /// How many are in which state.
    pub(super) usage: Usage,
}

/// How the store is.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreStatus {
    /// What kind it is: `log`, `dnsmasq`, `memory`.
    pub(super) kind: &'static str,
    /// Where it is, if it is a file.
    pub(super) path: Option<String>,
    /// What is wrong with it, if something is.
    pub(super) fault: Option<String>,
}

/// What the process has renounced.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SandboxStatus {
    /// Every capability.
    pub(super) capabilities: bool,
    /// New privileges.
    pub(super) no_new_privs: bool,
    /// Files but its own (Landlock).
    pub(super) landlock: bool,
    /// System calls that it does not need (seccomp).
    pub(super) seccomp: bool,
}

impl SandboxStatus {
    /// Each part by a name that says what holds if it does.
    pub(super) const fn parts(self) -> [(&'static str, bool); 4] {
        let Self {
            capabilities,
            no_new_privs,
            landlock,
            seccomp,
        } = self;
        [
            ("no_capabilities", capabilities),
            ("no_new_privs", no_new_privs),
            ("landlock", landlock),
            ("seccomp", seccomp),
        ]
    }
}

/// Some of what is known of addresses, for lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Leases, and offers that may become some.
    Leases,
    /// What is given to nobody.
    Declined,
}

impl Selection {
    pub(super) const fn has(self, binding: &Binding<'_>) -> bool {
        match binding.state {
            BindingState::Leased { .. } | BindingState::Offered { .. } => {
                matches!(self, Self::Leases)
            }
            BindingState::Quarantined { .. } => matches!(self, Self::Declined),
            BindingState::Free => false,
        }
    }
}

/// The `most` lowest addresses above `after` that are wanted, in order: a piece of a list that nobody
/// has to hold in memory, and that goes on where it was even if the table has changed meanwhile.
///
/// Costs one pass over the table, so a piece should not be small.
pub(super) fn page(
    desk: &impl Desk,
    after: Option<Ipv4Addr>,
    most: usize,
    wanted: impl Fn(&Binding<'_>) -> bool,
) -> Vec<Ipv4Addr> {
    let mut found = Vec::with_capacity(2 * most);
    // Nothing above it is among the lowest.
    let mut ceiling = None;
    for binding in desk.bindings() {
        let too_high = ceiling.is_some_and(|ceiling| binding.ip > ceiling);
        if too_high || Some(binding.ip) <= after || !wanted(&binding) {
            continue;
        }
        found.push(binding.ip);
        if found.len() == 2 * most {
            found.select_nth_unstable(most);
            found.truncate(most);
            ceiling = found.iter().max().copied();
        }
    }
    found.sort_unstable();
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use super::fixture::Fixture;
    use super::*;

    #[test]
    fn pages_are_in_order_and_together_they_are_the_list() {
        let desk = Fixture::with_leases(1_000);
        for most in [1, 7, 500, 999, 1_000, 1_001] {
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let next = page(&desk, after, most, |_| true);
                assert!(next.len() <= most);
                let Some(&last) = next.last() else { break };
                all.extend(next);
                after = Some(last);
            }
            let first = u32::from(Ipv4Addr::new(10, 0, 0, 10));
            let expected: Vec<Ipv4Addr> = (first..first + 1_000).map(Into::into).collect();
            assert_eq!(all, expected, "{most}");
        }
    }
}
