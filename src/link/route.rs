//! The way of a packet: which own address it leaves from, and which station it is given to.

use core::net::Ipv4Addr;

use heapless::Vec;

use crate::cache::{Key, MAX_ADDRESSES, Prefix};
use crate::wire::{MacAddr, VlanId, can_be_host};

/// How many routes a link can have, the default ones included.
pub const MAX_ROUTES: usize = 8;

/// A way to addresses that are no neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Route {
    /// Where the way leads: whatever lies in this prefix. Its VLAN means nothing.
    pub to: Prefix,
    /// The neighbour that forwards.
    pub gateway: Ipv4Addr,
}

impl Route {
    /// The way to everywhere.
    pub const fn default_via(gateway: Ipv4Addr) -> Self {
        let Ok(to) = Prefix::new(Ipv4Addr::UNSPECIFIED, 0) else {
            unreachable!() // a prefix of no bits is legal
        };
        Self { to, gateway }
    }
}

/// Why routes were refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RouteError {
    /// No station can have this address.
    #[error("{0} cannot be a gateway: no host can have this address")]
    NotAHost(Ipv4Addr),
    /// More than [`MAX_ROUTES`].
    #[error("more than {MAX_ROUTES} routes: merge those with the same gateway")]
    TooMany,
}

/// Who gets a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextHop {
    /// A station or a group that nobody has to be asked for.
    Known { mac: MacAddr, vlan: Option<VlanId> },
    /// A neighbour: the destination itself, or a gateway.
    Neighbour(Key),
    /// Ourselves.
    Local,
    /// No host can have the address.
    Invalid,
    /// No prefix and no gateway leads there.
    Nowhere,
}

/// Our own addresses, and the ways that begin at them.
#[derive(Debug)]
pub(super) struct Routes {
    own: Vec<Prefix, MAX_ADDRESSES>,
    plain: Plain,
    /// Changes with the addresses.
    generation: u32,
    routes: Vec<Route, MAX_ROUTES>,
}

impl Routes {
    pub(super) const fn new() -> Self {
        Self {
            own: Vec::new(),
            plain: Plain::NONE,
            generation: 0,
            routes: Vec::new(),
        }
    }

    pub(super) fn own(&self) -> &[Prefix] {
        &self.own
    }

    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// The addresses were checked by the resolver, which has room for no more.
    pub(super) fn set_own(&mut self, own: Vec<Prefix, MAX_ADDRESSES>) {
        if self.own != own {
            self.plain = Plain::of(&own);
            self.own = own;
            self.generation = self.generation.wrapping_add(1);
        }
    }

    pub(super) fn set_routes(&mut self, routes: &[Route]) -> Result<(), RouteError> {
        if let Some(route) = routes.iter().find(|route| !can_be_host(route.gateway)) {
            return Err(RouteError::NotAHost(route.gateway));
        }
        self.routes = Vec::from_slice(routes).map_err(|_| RouteError::TooMany)?;
        Ok(())
    }

    /// Who gets a packet from `source` to `destination`. `is_known` says of a gateway whether its
    /// address is: of several equally good ones the first that is known is taken, else the first.
    pub(super) fn next_hop(
        &self,
        source: Option<Ipv4Addr>,
        destination: Ipv4Addr,
        is_known: impl Fn(Key) -> bool,
    ) -> NextHop {
        // Mostly a neighbour: what every packet goes through comes first, and in one pass.
        let (is_own, on_link) = self.place_of(destination);
        if let Some(prefix) = on_link
            && !is_own
            && can_be_host(destination)
            && prefix.is_host(destination)
        {
            return NextHop::Neighbour(Key {
                vlan: prefix.vlan(),
                ip: destination,
            });
        }
        let everybody = |mac, vlan| NextHop::Known { mac, vlan };
        if let Some(group) = MacAddr::of_multicast(destination) {
            return everybody(group, self.vlan_of(source));
        }
        if destination.is_broadcast() {
            return everybody(MacAddr::BROADCAST, self.vlan_of(source));
        }
        if !can_be_host(destination) {
            return NextHop::Invalid;
        }
        if is_own {
            return NextHop::Local;
        }
        match on_link {
            Some(prefix) if prefix.broadcast() == Some(destination) => {
                everybody(MacAddr::BROADCAST, prefix.vlan())
            }
            // The prefix itself.
            Some(_) => NextHop::Invalid,
            None => match self.gateway(destination, is_known) {
                Some((key, _source)) => NextHop::Neighbour(key),
                None => NextHop::Nowhere,
            },
        }
    }

    /// The destination itself, if it is a neighbour of our only address: what most are, found sooner
    /// than by [`next_hop`](Self::next_hop), which says the same.
    #[inline]
    pub(super) fn plain_neighbour(&self, destination: Ipv4Addr) -> Option<Key> {
        self.plain.has(destination).then_some(Key {
            vlan: self.plain.vlan,
            ip: destination,
        })
    }

    /// Our own address for packets to there.
    pub(super) fn source_for(&self, destination: Ipv4Addr) -> Option<Ipv4Addr> {
        if self.is_own(destination) {
            return Some(destination);
        }
        if destination.is_multicast() || destination.is_broadcast() {
            return self.own.first().map(|prefix| prefix.ip());
        }
        if let Some(prefix) = self.on_link(destination) {
            return Some(prefix.ip());
        }
        let (_key, source) = self.gateway(destination, |_| true)?;
        Some(source)
    }

    pub(super) fn is_own(&self, ip: Ipv4Addr) -> bool {
        self.own.iter().any(|prefix| prefix.ip() == ip)
    }

    /// Whether a packet to us can come from there: from a host, and another one.
    #[inline]
    pub(super) fn can_be_source(&self, ip: Ipv4Addr) -> bool {
        self.plain.has(ip) || can_be_host(ip) && !self.is_own(ip) && !self.is_directed_broadcast(ip)
    }

    /// Whether `ip` means everybody in one of our prefixes.
    pub(super) fn is_directed_broadcast(&self, ip: Ipv4Addr) -> bool {
        let mut own = self.own.iter();
        own.any(|prefix| prefix.broadcast() == Some(ip))
    }

    /// Whether we listen there: where our addresses are, and without any on the untagged segment.
    pub(super) fn listens_on(&self, vlan: Option<VlanId>) -> bool {
        if self.plain.count > 0 {
            return vlan == self.plain.vlan;
        }
        if self.own.is_empty() {
            return vlan.is_none();
        }
        self.own.iter().any(|prefix| prefix.vlan() == vlan)
    }

    pub(super) fn is_tagged(&self) -> bool {
        self.own.iter().any(|prefix| prefix.vlan().is_some())
    }

    /// The longest of our prefixes that covers `ip`; of equals the first.
    fn on_link(&self, ip: Ipv4Addr) -> Option<Prefix> {
        self.place_of(ip).1
    }

    /// Whether `ip` is ours, and the longest of our prefixes that covers it; of equals the first.
    #[inline]
    fn place_of(&self, ip: Ipv4Addr) -> (bool, Option<Prefix>) {
        let (mut is_own, mut longest) = (false, None::<Prefix>);
        for prefix in &self.own {
            is_own |= prefix.ip() == ip;
            if prefix.contains(ip) && longest.is_none_or(|longest| prefix.len() > longest.len()) {
                longest = Some(*prefix);
            }
        }
        (is_own, longest)
    }

    /// The gateway on the longest route, and our own address in its prefix.
    fn gateway(
        &self,
        destination: Ipv4Addr,
        is_known: impl Fn(Key) -> bool,
    ) -> Option<(Key, Ipv4Addr)> {
        let mut equals = self.gateways_to(destination);
        let first = equals.next()?;
        let mut way = first;
        for next in equals {
            if is_known(way.0) {
                return Some(way);
            }
            way = next;
        }
        // Of the last, and so of an only one, nobody has to be asked.
        Some(if way != first && is_known(way.0) {
            way
        } else {
            first
        })
    }

    /// All gateways on the longest routes to there, each with our own address in its prefix.
    pub(super) fn gateways_to(
        &self,
        destination: Ipv4Addr,
    ) -> impl Iterator<Item = (Key, Ipv4Addr)> + '_ {
        let mut longest = 0;
        for route in &self.routes {
            if route.to.len() > longest && self.way_by(route, destination).is_some() {
                longest = route.to.len();
            }
        }
        self.routes
            .iter()
            .filter(move |route| route.to.len() == longest)
            .filter_map(move |route| self.way_by(route, destination))
    }

    /// The gateway of this route and our own address in its prefix, if the route leads there.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn way_by(&self, route: &Route, destination: Ipv4Addr) -> Option<(Key, Ipv4Addr)> {
        if !route.to.contains(destination) || self.is_own(route.gateway) {
            return None;
        }
        let prefix = self.on_link(route.gateway)?;
        let key = Key {
            vlan: prefix.vlan(),
            ip: route.gateway,
        };
        Some((key, prefix.ip()))
    }

    fn vlan_of(&self, source: Option<Ipv4Addr>) -> Option<VlanId> {
        let from = source.and_then(|ip| self.own.iter().find(|prefix| prefix.ip() == ip));
        from.or(self.own.first()).and_then(|prefix| prefix.vlan())
    }
}

/// The neighbours of our only address, if we have just one: one comparison for what needs many where
/// there are several. Most packets come from such a neighbour, and go to one.
#[derive(Clone, Copy, Debug)]
struct Plain {
    /// So many addresses from here on are hosts' ...
    first: u32,
    count: u32,
    /// ... but this one is ours.
    own: u32,
    vlan: Option<VlanId>,
}

impl Plain {
    const NONE: Self = Self {
        first: 0,
        count: 0,
        own: 0,
        vlan: None,
    };

    fn of(own: &[Prefix]) -> Self {
        match own {
            // In a longer prefix not only hosts may lie, and in a shorter one everybody is a host.
            [only] if (8..=30).contains(&only.len()) && can_be_host(only.ip()) => {
                let hosts = host_bits(*only);
                Self {
                    first: (only.ip().to_bits() & !hosts) + 1,
                    count: hosts - 1,
                    own: only.ip().to_bits(),
                    vlan: only.vlan(),
                }
            }
            _none_or_several => Self::NONE,
        }
    }

    #[inline]
    fn has(&self, ip: Ipv4Addr) -> bool {
        let ip = ip.to_bits();
        ip.wrapping_sub(self.first) < self.count && ip != self.own
    }
}

pub(super) fn host_bits(prefix: Prefix) -> u32 {
    u32::MAX.checked_shr(u32::from(prefix.len())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ip(d: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, d)
    }

    fn prefix(ip: Ipv4Addr, len: u8) -> Prefix {
        Prefix::new(ip, len).unwrap()
    }

    fn routes(own: &[Prefix], ways: &[Route]) -> Routes {
        let mut routes = Routes::new();
        routes.set_own(Vec::from_slice(own).unwrap());
        routes.set_routes(ways).unwrap();
        routes
    }

    fn neighbour(ip: Ipv4Addr) -> NextHop {
        NextHop::Neighbour(ip.into())
    }

    fn everybody(vlan: Option<VlanId>) -> NextHop {
        let mac = MacAddr::BROADCAST;
        NextHop::Known { mac, vlan }
    }

    #[test]
    fn the_longest_prefix_wins_and_what_lies_in_none_goes_to_the_gateway() {
        let far = Ipv4Addr::new(192, 0, 2, 1);
        let to_far = Route {
            to: prefix(Ipv4Addr::new(192, 0, 2, 0), 24),
            gateway: ip(253),
        };
        let ways = [Route::default_via(ip(254)), to_far];
        let routes = routes(&[prefix(ip(1), 24), prefix(ip(129), 25)], &ways);
        let hop = |destination| routes.next_hop(None, destination, |_| true);
        assert_eq!(hop(ip(2)), neighbour(ip(2)));
        assert_eq!(hop(far), neighbour(ip(253)));
        assert_eq!(hop(Ipv4Addr::new(192, 0, 3, 1)), neighbour(ip(254)));
        assert_eq!(hop(ip(129)), NextHop::Local);
        assert_eq!(hop(ip(255)), everybody(None));
        assert_eq!(hop(ip(128)), NextHop::Invalid, "the name of the /25");
        assert_eq!(routes.source_for(ip(2)), Some(ip(1)));
        assert_eq!(routes.source_for(ip(200)), Some(ip(129)));
        assert_eq!(routes.source_for(far), Some(ip(129)));
    }

    #[test]
    fn a_link_of_two_has_no_broadcast_and_an_address_alone_no_neighbours() {
        let pair = routes(&[prefix(ip(0), 31)], &[]);
        assert_eq!(pair.next_hop(None, ip(1), |_| true), neighbour(ip(1)));
        assert_eq!(pair.next_hop(None, ip(2), |_| true), NextHop::Nowhere);
        let alone = routes(&[prefix(ip(1), 32)], &[Route::default_via(ip(2))]);
        let hop = alone.next_hop(None, ip(2), |_| true);
        assert_eq!(hop, NextHop::Nowhere, "no way to the gateway itself");
        assert_eq!(alone.source_for(ip(2)), None);
    }

    #[test]
    fn of_two_default_gateways_the_one_that_answers_is_taken() {
        let ways = [253, 254].map(|d| Route::default_via(ip(d)));
        let routes = routes(&[prefix(ip(1), 24)], &ways);
        let far = Ipv4Addr::new(192, 0, 2, 1);
        let hop = |known: u8| routes.next_hop(None, far, |key| key.ip == ip(known));
        assert_eq!(hop(253), neighbour(ip(253)));
        assert_eq!(hop(254), neighbour(ip(254)));
        assert_eq!(hop(1), neighbour(ip(253)), "neither: the first is asked");
    }

    #[test]
    fn who_is_found_sooner_as_a_plain_neighbour_is_one_and_may_speak() {
        let vlan = VlanId::new(10).unwrap();
        let loopback = Ipv4Addr::new(127, 0, 0, 1);
        let alone = [
            prefix(ip(1), 24),
            prefix(ip(1), 8),
            prefix(ip(9), 29).on_vlan(vlan),
            prefix(ip(1), 30),
            prefix(ip(1), 31),
            prefix(ip(1), 32),
            prefix(ip(1), 1),
            prefix(loopback, 8),
        ];
        let several = [prefix(ip(1), 24), prefix(ip(129), 25)];
        let ips = (0..=255).map(ip);
        let ips = ips.chain([Ipv4Addr::new(10, 1, 2, 3), Ipv4Addr::BROADCAST, loopback]);
        let mut found = 0;
        for own in alone.chunks(1).chain([&several[..], &[]]) {
            let routes = routes(own, &[Route::default_via(ip(3))]);
            for ip in ips.clone() {
                let sooner = routes.plain_neighbour(ip);
                if let Some(key) = sooner {
                    found += 1;
                    let way = routes.next_hop(None, ip, |_| true);
                    assert_eq!(way, NextHop::Neighbour(key), "{own:?}");
                }
                let others =
                    can_be_host(ip) && !routes.is_own(ip) && !routes.is_directed_broadcast(ip);
                assert_eq!(routes.can_be_source(ip), others, "{ip} {own:?}");
                for vlan in [None, Some(vlan)] {
                    let ours = own.iter().any(|prefix| prefix.vlan() == vlan);
                    let ours = ours || own.is_empty() && vlan.is_none();
                    assert_eq!(routes.listens_on(vlan), ours, "{own:?}");
                }
            }
        }
        assert!(found > 500, "most neighbours are plain ones");
    }

    #[test]
    fn groups_leave_on_the_vlan_of_their_source() {
        let vlan = VlanId::new(10).unwrap();
        let tagged = prefix(Ipv4Addr::new(10, 1, 0, 1), 24).on_vlan(vlan);
        let routes = routes(&[prefix(ip(1), 24), tagged], &[]);
        let all = Ipv4Addr::BROADCAST;
        let hop = |from| routes.next_hop(Some(from), all, |_| true);
        assert_eq!(hop(ip(1)), everybody(None));
        assert_eq!(hop(tagged.ip()), everybody(Some(vlan)));
        let group = Ipv4Addr::new(224, 0, 0, 251);
        let mac = MacAddr::new([0x01, 0x00, 0x5e, 0, 0, 251]);
        assert_eq!(
            routes.next_hop(Some(tagged.ip()), group, |_| true),
            NextHop::Known {
                mac,
                vlan: Some(vlan)
            }
        );
        assert_eq!(
            routes.next_hop(None, Ipv4Addr::new(10, 1, 0, 2), |_| true),
            NextHop::Neighbour(Key {
                vlan: Some(vlan),
                ip: Ipv4Addr::new(10, 1, 0, 2)
            })
        );
    }

    #[test]
    fn without_an_address_only_everybody_can_be_reached() {
        let routes = routes(&[], &[]);
        let unspecified = Some(Ipv4Addr::UNSPECIFIED);
        let hop = |to| routes.next_hop(unspecified, to, |_| true);
        assert_eq!(hop(Ipv4Addr::BROADCAST), everybody(None));
        assert_eq!(hop(ip(2)), NextHop::Nowhere);
        assert_eq!(hop(Ipv4Addr::LOCALHOST), NextHop::Invalid);
    }
}
