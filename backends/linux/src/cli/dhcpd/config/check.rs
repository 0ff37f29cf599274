//! What single values cannot show: whether subnets, pools and reservations go together.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::Ipv4Addr;

use whohas::Prefix;
use whohas::dhcp::server::Pool;
use whohas::wire::dhcp::OptionCode;

use super::network::{Class, ClientKey, Reservation, Subnet};
use super::problem::{Mark, Problem, Report};
use super::section::At;
use super::subnet::{Draft, Entry};

/// The longest network, in addresses: a /8.
const SHORTEST_PREFIX: u8 = 8;

/// Finds a home for what was imported, and makes subnets out of what was read, in the order of their addresses.
pub(super) fn subnets(
    mut drafts: Vec<Draft>,
    imported: Vec<Entry>,
    report: &Report,
) -> Vec<Subnet> {
    let prefixes = drafts.iter().map(|draft| &draft.prefix);
    let prefixes: Vec<_> = prefixes
        .filter(|prefix| check_prefix(prefix, report))
        .collect();
    check_apart(
        prefixes
            .into_iter()
            .map(|at| (first_of(at.value), last_of(at.value), &at.mark)),
        "subnets",
        report,
    );
    for entry in imported {
        settle(entry, &mut drafts, report);
    }
    drafts.sort_by_key(|draft| first_of(draft.prefix.value));
    let drafts = drafts.into_iter();
    drafts.map(|draft| subnet(draft, report)).collect()
}

/// Puts the classes in order.
pub(super) fn classes(mut classes: Vec<At<Class>>, report: &Report) -> Vec<Class> {
    classes.sort_by(|a, b| a.value.prefix.cmp(&b.value.prefix));
    for pair in classes.windows(2) {
        if pair[0].value.prefix == pair[1].value.prefix {
            let first = &pair[0].mark;
            let message = format!("a class of that name stands at {first} already");
            report.add(pair[1].mark.error(message));
        }
    }
    classes.into_iter().map(|at| at.value).collect()
}

fn check_prefix(prefix: &At<Prefix>, report: &Report) -> bool {
    let At { value, mark } = prefix;
    let first = first_of(*value);
    if value.ip() != first {
        let (ip, len) = (value.ip(), value.len());
        let problem = mark.error(format!("`{ip}` is an address in a network, not a network"));
        report.add(problem.hint(format!("did you mean `{first}/{len}`?")));
        return false;
    }
    // This network's own, loopback, groups, and what is reserved.
    if matches!(first.octets(), [0 | 127 | 224.., ..]) {
        report.add(mark.error(format!("no host can have an address of {}", show(*value))));
        return false;
    }
    if value.len() < SHORTEST_PREFIX {
        let message = format!(
            "a /{} is too large: a /{SHORTEST_PREFIX} is the largest",
            value.len()
        );
        report.add(mark.error(message));
        return false;
    }
    true
}

/// Says of ranges that have addresses in common that they do.
fn check_apart<'m>(
    ranges: impl Iterator<Item = (Ipv4Addr, Ipv4Addr, &'m Mark)>,
    what: &str,
    report: &Report,
) {
    let mut ranges: Vec<_> = ranges.collect();
    ranges.sort_by_key(|&(first, _, _)| first);
    let mut highest: Option<(Ipv4Addr, &Mark)> = None;
    for (first, last, mark) in ranges {
        if let Some((_, other)) = highest.filter(|&(highest, _)| first <= highest) {
            // Whoever reads down the file finds the second.
            let (second, first) = match other.span.start < mark.span.start {
                true => (mark, other),
                false => (other, mark),
            };
            let message = format!("these {what} overlap with those at {first}");
            report.add(second.error(message));
        }
        if highest.is_none_or(|(highest, _)| last > highest) {
            highest = Some((last, mark));
        }
    }
}

/// Gives an imported reservation to the subnet of its address, or to all if it has none.
fn settle(entry: Entry, drafts: &mut [Draft], report: &Report) {
    let Some(ip) = entry.ip.as_ref().map(|at| at.value) else {
        for draft in drafts {
            draft.entries.push(entry.clone());
        }
        return;
    };
    match drafts
        .iter_mut()
        .find(|draft| draft.prefix.value.contains(ip))
    {
        Some(draft) => draft.entries.push(entry),
        None => {
            let problem = entry.mark.warning(format!("`{ip}` is in no subnet"));
            report.add(problem.hint("the line is left out"));
        }
    }
}

fn subnet(draft: Draft, report: &Report) -> Subnet {
    let prefix = draft.prefix.value;
    check_pools(&draft, report);
    check_routers(&draft, report);
    let Draft {
        pools,
        entries,
        options,
        lease_times,
        boot,
        authoritative,
        server_id,
        mark,
        prefix: _,
    } = draft;
    // Where something is wrong, that is probably why.
    if pools.is_empty() && entries.is_empty() && report.is_fine() {
        let message = format!(
            "the subnet {} has neither pools nor reservations",
            show(prefix)
        );
        report.add(mark.warning(message));
    }
    let reservations = reservations(entries, prefix, pools.is_empty(), report);
    Subnet {
        prefix,
        pools: pools.into_iter().map(|at| at.value).collect(),
        reservations,
        options: options.into_iter().map(|at| at.value).collect(),
        lease_times,
        boot,
        authoritative,
        server_id,
    }
}

fn check_pools(draft: &Draft, report: &Report) {
    let prefix = draft.prefix.value;
    for At { value: pool, mark } in &draft.pools {
        let Pool { first, last } = *pool;
        if first > last {
            let problem = mark.error("the pool is empty: its end is before its beginning");
            report.add(problem.hint(format!("did you mean `{last}-{first}`?")));
        } else if !prefix.contains(first) || !prefix.contains(last) {
            let problem = mark.error(format!("the pool is not in its subnet {}", show(prefix)));
            let (first, last) = hosts_of(prefix);
            report.add(problem.hint(format!("hosts there have {first} to {last}")));
        } else if first == last && !is_host(prefix, first) {
            let message = format!(
                "no host can have an address of this pool in {}",
                show(prefix)
            );
            report.add(mark.error(message));
        }
    }
    let in_order = draft
        .pools
        .iter()
        .filter(|at| at.value.first <= at.value.last);
    let ranges = in_order.map(|at| (at.value.first, at.value.last, &at.mark));
    check_apart(ranges, "addresses", report);
}

fn check_routers(draft: &Draft, report: &Report) {
    let prefix = draft.prefix.value;
    let routers = draft
        .options
        .iter()
        .filter(|at| at.value.code == OptionCode::ROUTERS);
    for At { value, mark } in routers {
        let (routers, _) = value.value.as_chunks::<4>();
        for router in routers.iter().copied().map(Ipv4Addr::from) {
            if !prefix.contains(router) {
                let subnet = show(prefix);
                let message = format!("the router {router} is not in the subnet {subnet}");
                report.add(mark.warning(message).hint("clients will not find it"));
            } else if draft.pools.iter().any(|pool| pool.value.contains(router)) {
                let message = format!("the router {router} is in a pool");
                report.add(
                    mark.warning(message)
                        .hint("a client may be given its address"),
                );
            }
        }
    }
}

/// Makes reservations out of entries: one for each client, by client, each client and each address
/// once.
fn reservations(
    mut entries: Vec<Entry>,
    prefix: Prefix,
    no_pools: bool,
    report: &Report,
) -> Vec<Reservation> {
    for entry in &entries {
        match &entry.ip {
            Some(At { value: ip, mark }) if !prefix.contains(*ip) => {
                let subnet = show(prefix);
                report.add(mark.error(format!("`{ip}` is not in its subnet {subnet}")));
            }
            Some(At { value: ip, mark }) if !is_host(prefix, *ip) => {
                let subnet = show(prefix);
                let message = format!("no host can have the address `{ip}` in {subnet}");
                report.add(mark.error(message));
            }
            None if no_pools && !entry.imported => {
                let message = "a reservation without an address, in a subnet without pools";
                report.add(entry.mark.warning(message));
            }
            Some(_) | None => {}
        }
    }
    let ips = entries.iter().map(|entry| entry.ip.iter().collect());
    let mut left_out = twice(ips, &entries, |ip: &Ipv4Addr| ip.to_string(), report);
    let clients = entries.iter().map(|entry| entry.clients.iter().collect());
    left_out.extend(twice(clients, &entries, describe, report));
    left_out.sort_unstable();
    left_out.dedup();
    for index in left_out.into_iter().rev() {
        entries.swap_remove(index);
    }
    let mut reservations: Vec<Reservation> = entries
        .into_iter()
        .flat_map(|entry| {
            let Entry {
                clients,
                ip,
                host_name,
                details,
                imported: _,
                mark: _,
            } = entry;
            let ip = ip.map(|ip| ip.value);
            clients.into_iter().map(move |client| Reservation {
                client: client.value,
                ip,
                host_name: host_name.clone(),
                details: details.clone(),
            })
        })
        .collect();
    reservations.sort_by(|a, b| a.client.cmp(&b.client));
    reservations
}

/// Says of keys that several entries have that they do. Gives the imported entries among them: they
/// make way.
fn twice<'e, K: Eq + Hash + 'e>(
    keys: impl Iterator<Item = Vec<&'e At<K>>>,
    entries: &[Entry],
    describe: impl Fn(&K) -> String,
    report: &Report,
) -> Vec<usize> {
    let mut seen: HashMap<&K, &Mark> = HashMap::with_capacity(entries.len());
    let mut left_out = Vec::new();
    for (index, (keys, entry)) in keys.zip(entries).enumerate() {
        for At { value, mark } in keys {
            let Some(first) = seen.insert(value, mark) else {
                continue;
            };
            let what = describe(value);
            report.add(reserved_twice(&what, first, mark, entry.imported));
            seen.insert(value, first);
            if entry.imported {
                left_out.push(index);
            }
        }
    }
    left_out
}

fn reserved_twice(what: &str, first: &Mark, second: &Mark, imported: bool) -> Problem {
    let message = format!("there is a reservation for {what} already, at {first}");
    match imported {
        true => second.warning(message).hint("the line is left out"),
        false => second.error(message),
    }
}

fn describe(client: &ClientKey) -> String {
    match client {
        ClientKey::Hardware(mac) => mac.to_string(),
        ClientKey::Id(id) => {
            let bytes: Vec<_> = id.iter().map(|byte| format!("{byte:02x}")).collect();
            bytes.join(":")
        }
    }
}

fn show(prefix: Prefix) -> String {
    format!("{}/{}", prefix.ip(), prefix.len())
}

fn first_of(prefix: Prefix) -> Ipv4Addr {
    Ipv4Addr::from_bits(prefix.ip().to_bits() & !host_bits(prefix))
}

fn last_of(prefix: Prefix) -> Ipv4Addr {
    Ipv4Addr::from_bits(prefix.ip().to_bits() | host_bits(prefix))
}

fn host_bits(prefix: Prefix) -> u32 {
    u32::MAX.checked_shr(prefix.len().into()).unwrap_or(0)
}

/// Whether a host can have this address of the prefix.
fn is_host(prefix: Prefix, ip: Ipv4Addr) -> bool {
    prefix.len() > 30 || ip != first_of(prefix) && ip != last_of(prefix)
}

/// The first and the last address that a host can have.
fn hosts_of(prefix: Prefix) -> (Ipv4Addr, Ipv4Addr) {
    let (first, last) = (first_of(prefix), last_of(prefix));
    match prefix.len() {
        31.. => (first, last),
        _ => {
            let inner = |ip: Ipv4Addr, up| Ipv4Addr::from_bits(ip.to_bits().wrapping_add(up));
            (inner(first, 1), inner(last, u32::MAX))
        }
    }
}
