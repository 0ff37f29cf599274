//! What a shared store holds, and what is on the way to it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use whohas::Instant;
use whohas::dhcp::server::{Binding, BindingState};
use whohas::dhcp::store::{
    Cause, Change, Claim, Expiry, Holder, Outcome, Record, Refusal, Ticket, Version,
};
use whohas::wire::dhcp::ClientHardware;

/// Who a client is: its identifier, or its hardware address if it has none.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) hardware: ClientHardware,
    pub(super) id: Option<Vec<u8>>,
}

impl PartialEq for Who {
    fn eq(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (None, None) => self.hardware == other.hardware,
            (one, other) => one == other,
        }
    }
}

/// A record that outlives the server.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Saved {
    Leased { who: Who, expiry: Expiry },
    Quarantined { until: Instant, cause: Cause },
}

impl Saved {
    pub(super) fn of(claim: &Claim<'_>) -> Option<Self> {
        match *claim {
            Claim::Free => None,
            Claim::Leased { holder, expiry } => Some(Self::Leased {
                who: Who {
                    hardware: holder.hardware,
                    id: holder.client_id.map(<[u8]>::to_vec),
                },
                expiry,
            }),
            Claim::Quarantined { until, cause } => Some(Self::Quarantined { until, cause }),
        }
    }

    pub(super) fn of_binding(binding: &Binding<'_>) -> Option<Self> {
        match binding.state {
            BindingState::Free | BindingState::Offered { .. } => None,
            BindingState::Leased { expiry } => Some(Self::Leased {
                who: who(binding),
                expiry,
            }),
            BindingState::Quarantined { until, cause } => Some(Self::Quarantined { until, cause }),
        }
    }

    pub(super) fn claim(&self) -> Claim<'_> {
        match self {
            Self::Leased { who, expiry } => Claim::Leased {
                holder: Holder {
                    hardware: who.hardware,
                    client_id: who.id.as_deref(),
                    host_name: None,
                },
                expiry: *expiry,
            },
            Self::Quarantined { until, cause } => Claim::Quarantined {
                until: *until,
                cause: *cause,
            },
        }
    }

    pub(super) fn lasts(&self, now: Instant) -> bool {
        match self {
            Self::Leased { expiry, .. } => *expiry > Expiry::At(now),
            Self::Quarantined { until, .. } => *until > now,
        }
    }
}

pub(super) fn who(binding: &Binding<'_>) -> Who {
    Who {
        hardware: binding.hardware,
        id: binding.client_id.map(<[u8]>::to_vec),
    }
}

/// A change that the store has not decided on.
#[derive(Debug)]
struct Flight {
    ticket: Ticket,
    expects: Version,
    ip: Ipv4Addr,
    saved: Option<Saved>,
}

/// The store: a record is written by whoever has seen its last version.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) records: BTreeMap<Ipv4Addr, Saved>,
    versions: BTreeMap<Ipv4Addr, Version>,
    /// How often anything was written.
    written: u64,
    flights: Vec<Flight>,
}

impl Book {
    pub(super) fn submit(&mut self, change: &Change<'_>) {
        let ip = change.record.ip;
        let flying = self.flights.iter().any(|flight| flight.ip == ip);
        assert!(!flying, "{ip}: two changes at the same time");
        self.flights.push(Flight {
            ticket: change.ticket,
            expects: change.expects,
            ip,
            saved: Saved::of(&change.record.claim),
        });
    }

    /// The addresses of which changes wait, in their order.
    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = Ipv4Addr> {
        self.flights.iter().map(|flight| flight.ip)
    }

    /// Decides on a change: it is made, unless somebody else was first.
    pub(super) fn decide(&mut self, now: Instant, which: usize, available: bool) -> Outcome {
        let Flight {
            ticket,
            expects,
            ip,
            saved,
        } = self.flights.remove(which);
        // What has ended is none for whoever knows of none.
        let lasts = self.records.get(&ip).is_some_and(|saved| saved.lasts(now));
        let known = self.versions.get(&ip).copied();
        let version = known.filter(|&version| lasts || version == expects);
        let version = version.unwrap_or_default();
        let result = match available {
            false => Err(Refusal::Unavailable),
            true if version != expects => Err(Refusal::Taken),
            true => Ok(self.write(ip, saved)),
        };
        Outcome { ticket, result }
    }

    /// Writes a record, or removes it: then nothing is left that could have a version.
    pub(super) fn write(&mut self, ip: Ipv4Addr, saved: Option<Saved>) -> Version {
        let Some(saved) = saved else {
            self.records.remove(&ip);
            self.versions.remove(&ip);
            return Version::default();
        };
        self.records.insert(ip, saved);
        self.written += 1;
        self.versions.insert(ip, Version(self.written));
        Version(self.written)
    }

    /// A store that has been opened anew counts anew, and what was on the way is lost.
    pub(super) fn reopen(&mut self) -> impl Iterator<Item = Record<'_>> {
        self.flights.clear();
        self.versions.clear();
        self.records.iter().map(|(&ip, saved)| Record {
            ip,
            claim: saved.claim(),
        })
    }
}
