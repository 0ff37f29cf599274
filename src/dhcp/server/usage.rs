//! How many addresses are in which state.

use core::net::Ipv4Addr;

use super::Server;
use super::event::Usage;
use super::plan::{Pool, Subnet};
use super::slot::State;
use super::storage::Storage;

/// # Getters for statistics
impl<S: Storage> Server<S> {
    /// How many addresses of a subnet are in which state.
    pub fn usage(&self, subnet: &Subnet<'_>) -> Usage {
        let mut usage = Usage::default();
        for &pool in subnet.pools {
            usage.add(&self.pool_usage(subnet, pool));
        }
        usage.add(&self.reserved_usage(subnet));
        usage
    }

    /// How many addresses that are reserved, and in none of a subnet's pools, are in which state.
    pub fn reserved_usage(&self, subnet: &Subnet<'_>) -> Usage {
        let mut usage = Usage::default();
        let outside = subnet.reserved.iter().filter(|&&ip| {
            let mut pools = subnet.pools.iter();
            !pools.any(|pool| pool.contains(ip))
        });
        for &ip in outside {
            usage.capacity += 1;
            match usage.of(self.state_of(ip)) {
                Some(count) => *count += 1,
                None => usage.reserved += 1,
            }
        }
        usage
    }

    /// How many addresses of a subnet's pool are in which state.
    pub fn pool_usage(&self, subnet: &Subnet<'_>, pool: Pool) -> Usage {
        let (first, last) = (pool.first.to_bits(), pool.last.to_bits());
        let mut usage = Usage {
            capacity: u64::from(last - first) + 1,
            ..Usage::default()
        };
        match self.table.known_pool(pool) {
            Some(number) => {
                let record = self.table.pool(number);
                usage.offered = record.count(State::Offered).into();
                usage.leased = record.count(State::Leased).into();
                usage.quarantined = record.count(State::Quarantined).into();
            }
            None => {
                let slots = self.table.slots().iter();
                let inside = slots.filter(|slot| pool.contains(slot.ip));
                for slot in inside {
                    if let Some(count) = usage.of(slot.state) {
                        *count += 1;
                    }
                }
            }
        }
        let start = subnet.reserved.partition_point(|&ip| ip < pool.first);
        let behind = subnet.reserved.get(start..).unwrap_or_default();
        for &ip in behind.iter().take_while(|&&ip| ip <= pool.last) {
            usage.reserved += u64::from(usage.of(self.state_of(ip)).is_none());
        }
        let prefix = subnet.prefix;
        let ends = [prefix.first(), prefix.last()];
        let ends = ends.into_iter().filter(|&ip| !prefix.is_host(ip));
        let server = subnet.server_id.filter(|ip| !self.own.contains(ip));
        let own = self.own.iter().copied().chain(server);
        for ip in ends.chain(own) {
            let inside = pool.contains(ip);
            let counted = usage.of(self.state_of(ip)).is_some();
            let reserved = subnet.reserved.binary_search(&ip).is_ok();
            usage.excluded += u64::from(inside && !counted && !reserved);
        }
        let others = [
            usage.offered,
            usage.leased,
            usage.reserved,
            usage.quarantined,
            usage.excluded,
        ];
        usage.free = usage.capacity.saturating_sub(others.iter().sum());
        usage
    }

    fn state_of(&self, ip: Ipv4Addr) -> State {
        let found = self.table.find(ip);
        found.map_or(State::Vacant, |at| self.table.slot(at).state)
    }
}

impl Usage {
    /// The count of a state in which nobody else can have the address.
    fn of(&mut self, state: State) -> Option<&mut u64> {
        match state {
            State::Vacant | State::Free => None,
            State::Offered => Some(&mut self.offered),
            State::Leased => Some(&mut self.leased),
            State::Quarantined => Some(&mut self.quarantined),
        }
    }

    fn add(&mut self, other: &Self) {
        let Self {
            capacity,
            free,
            offered,
            leased,
            reserved,
            quarantined,
            excluded,
        } = other;
        self.capacity += capacity;
        self.free += free;
        self.offered += offered;
        self.leased += leased;
        self.reserved += reserved;
        self.quarantined += quarantined;
        self.excluded += excluded;
    }
}
