//! DISCOVER, REQUEST and INFORM (RFC 2131 sections 4.3.1, 4.3.2 and 4.3.5).

use core::net::Ipv4Addr;

use super::Server;
use super::allocate::Choice;
use super::ask::Ask;
use super::counters::DropReason;
use super::event::{Arrival, Event};
use super::parked::{Asked, Refused, Reply, Stage};
use super::plan::Backend;
use super::slot::{Flags, NOBODY, Position, State};
use super::storage::Storage;
use crate::time::Instant;
use crate::wire::dhcp::{LeaseTime, OptionCode};

/// In which state a client is that requests (RFC 2131 table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// It takes our offer.
    Selecting,
    /// It was off, and would like to go on.
    Rebooting,
    /// It asks us for more time.
    Renewing,
    /// It asks everybody for more time.
    Rebinding,
}

/// How an address and a client stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The client has it, was offered it, or had it last.
    Own(Position),
    /// It is in quarantine.
    Conflict,
    /// It is on another network.
    WrongNetwork,
    /// The client has, or is offered, another one.
    Another,
    /// Another client has it, or is offered it.
    Taken,
    /// The client had it, but it is not for it any more.
    Moved,
    /// Nothing is known of it or of the client, and the client could have it.
    Free,
    /// Nothing is known of it, and the client could not have it.
    Foreign,
}

impl<S: Storage> Server<S> {
    pub(super) fn discover(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        ask: &Ask<'_, '_>,
        asked: Asked,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        if !self.lot.has_room(&self.table.storage, true) {
            let own = self.binding_of(now, &ask.identity, ask.place.prefix);
            own.and_then(|at| self.parked_of(at))
                .ok_or(DropReason::Busy)?;
        }
        let rapid =
            self.policy.rapid_commit && ask.message.option(OptionCode::RAPID_COMMIT).is_some();
        let reply = if rapid { Reply::RapidAck } else { Reply::Offer };
        let choice = self.choose(now, backend, ask)?;
        self.propose(now, ask, choice, Asked { reply, ..asked }, bytes)
    }

    /// Probes an address, if it is to be, and offers it.
    pub(super) fn propose(
        &mut self,
        now: Instant,
        ask: &Ask<'_, '_>,
        choice: Choice,
        asked: Asked,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let (at, probe) = match choice {
            Choice::Held(at) => {
                let known_free = self.table.slot(at).has(Flags::PROBED);
                (at, self.probes(ask) && !known_free)
            }
            Choice::Retest(at) => (at, true),
        };
        let parked = self.park(at, asked, bytes)?;
        if probe {
            self.start_probe(now, at, parked, &ask.place, ask.identity.hardware.mac());
        } else {
            self.answer(now, parked, asked.reply, ask.lease());
        }
        Ok(())
    }

    pub(super) fn request(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        arrival: &Arrival<'_>,
        ask: &Ask<'_, '_>,
        asked: Asked,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let client_ip = ask.message.header().client_ip;
        let in_use = (!client_ip.is_unspecified()).then_some(client_ip);
        let (asking, ip) = match (ask.message.server_id()?, in_use) {
            (Some(server), _) if !self.is_ours(server, arrival, ask) => {
                return self.passed_over(now, ask);
            }
            (Some(_), in_use) => (Asking::Selecting, ask.requested.or(in_use)),
            (None, None) => (Asking::Rebooting, ask.requested),
            (None, Some(ip)) => {
                let to_all =
                    arrival.destination.is_broadcast() || arrival.destination.is_multicast();
                let relayed = !ask.message.header().relay_ip.is_unspecified();
                let asking = if to_all || relayed {
                    Asking::Rebinding
                } else {
                    Asking::Renewing
                };
                (asking, Some(ip))
            }
        };
        let ip = ip.ok_or(DropReason::Option)?;
        let standing = self.standing(now, backend, ask, ip);
        let authoritative = ask.subnet().authoritative;
        let refused = match (asking, standing) {
            (_, Standing::Own(at)) => return self.grant(now, ask, asking, at, asked, bytes),
            (Asking::Selecting, Standing::Free) => {
                // We have forgotten our offer, as after a restart.
                match self.claim(now, ask, ip)? {
                    Some(at) => return self.grant(now, ask, asking, at, asked, bytes),
                    None => Refused::NotAvailable,
                }
            }
            (_, Standing::Conflict) => {
                let interface = asked.place.interface;
                self.tell(Event::Conflict { ip, interface });
                Refused::Conflict
            }
            (_, Standing::WrongNetwork) => Refused::WrongNetwork,
            (_, Standing::Another | Standing::Moved) => Refused::OtherAddress,
            (Asking::Selecting | Asking::Renewing | Asking::Rebinding, Standing::Taken) => {
                Refused::Taken
            }
            (Asking::Selecting, Standing::Foreign) => Refused::NotAvailable,
            (Asking::Renewing, Standing::Free | Standing::Foreign) => Refused::Unknown,
            (Asking::Rebooting, Standing::Taken | Standing::Free | Standing::Foreign)
                if authoritative =>
            {
                Refused::Unknown
            }
            // It may be another server's.
            (Asking::Rebooting, Standing::Taken)
            | (Asking::Rebooting | Asking::Rebinding, Standing::Free | Standing::Foreign) => {
                return Err(DropReason::Unknown);
            }
        };
        self.refuse(refused, asked, bytes)
    }

    /// Another server was chosen: what we have offered can be offered to others.
    fn passed_over(&mut self, now: Instant, ask: &Ask<'_, '_>) -> Result<(), DropReason> {
        let own = self.binding_of(now, &ask.identity, ask.place.prefix);
        let offered = own.filter(|&at| self.table.slot(at).state == State::Offered);
        let at = offered.ok_or(DropReason::OtherServer)?;
        self.withdraw(at);
        Ok(())
    }

    fn standing(
        &mut self,
        now: Instant,
        backend: &impl Backend,
        ask: &Ask<'_, '_>,
        ip: Ipv4Addr,
    ) -> Standing {
        if !ask.place.prefix.contains(ip) {
            return Standing::WrongNetwork;
        }
        let found = self.table.find(ip);
        if let Some(at) = found {
            self.refresh(now, at);
            let slot = self.table.slot(at);
            if slot.state == State::Quarantined {
                return Standing::Conflict;
            }
            if slot.is_of(&ask.identity) {
                return if self.may_have(backend, ask, ip) {
                    Standing::Own(at)
                } else {
                    Standing::Moved
                };
            }
        }
        let own = self.binding_of(now, &ask.identity, ask.place.prefix);
        let given = |at: Option<Position>| at.is_some_and(|at| self.table.slot(at).is_given());
        if given(own) {
            Standing::Another
        } else if given(found) {
            Standing::Taken
        } else if self.may_have(backend, ask, ip) {
            Standing::Free
        } else {
            Standing::Foreign
        }
    }

    /// Gives a client the address that it may have, or more time for it.
    fn grant(
        &mut self,
        now: Instant,
        ask: &Ask<'_, '_>,
        asking: Asking,
        at: Position,
        asked: Asked,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        let ip = self.table.slot(at).ip;
        let leased = self.table.slot(at).state == State::Leased;
        // Held from now on if it was not.
        if self.claim(now, ask, ip)? != Some(at) {
            return Err(DropReason::Exhausted);
        }
        let asked = Asked {
            reply: Reply::Ack,
            ..asked
        };
        let parked = self.park(at, asked, bytes)?;
        let doubtful = match asking {
            Asking::Selecting => !leased && !self.table.slot(at).has(Flags::PROBED),
            // It was away, and somebody else may have come.
            Asking::Rebooting => true,
            Asking::Renewing | Asking::Rebinding => false,
        };
        if doubtful && self.probes(ask) && !self.is_committing(at) {
            self.start_probe(now, at, parked, &ask.place, ask.identity.hardware.mac());
        } else {
            self.rename(at, ask);
            self.answer(now, parked, Reply::Ack, ask.lease());
        }
        Ok(())
    }

    /// What is reserved for a machine is its own by whatever identifier it asks: boot ROM, UEFI and operating
    /// system of one machine each have their own.
    pub(super) fn adopt(&mut self, now: Instant, ask: &Ask<'_, '_>) {
        let Some(at) = ask.reserved().and_then(|ip| self.table.find(ip)) else {
            return;
        };
        self.refresh(now, at);
        let slot = self.table.slot(at);
        if !slot.is_given() || slot.hardware != ask.identity.hardware || slot.is_of(&ask.identity) {
            return;
        }
        let stored = slot.state == State::Leased || self.is_committing(at);
        if self.table.set_client(at, &ask.identity, ask.host_name()) {
            // What is being answered, or written, is by the other one.
            self.unpark(at);
            if stored {
                self.table.queue_write(at);
            }
        }
    }

    /// The name and the hardware address that a client has now. Who has a lease keeps it, whether or not
    /// there is room for them.
    pub(super) fn rename(&mut self, at: Position, ask: &Ask<'_, '_>) {
        if self.table.slot(at).is_of(&ask.identity) {
            let _ = self.table.set_client(at, &ask.identity, ask.host_name());
        }
    }

    pub(super) fn refuse(
        &mut self,
        refused: Refused,
        asked: Asked,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        self.tell_client(Reply::Nak(refused), asked, bytes)
    }

    pub(super) fn inform(
        &mut self,
        ask: &Ask<'_, '_>,
        asked: Asked,
        bytes: &[u8],
    ) -> Result<(), DropReason> {
        if ask.message.header().client_ip.is_unspecified() {
            return Err(DropReason::Address);
        }
        self.tell_client(Reply::Inform, asked, bytes)
    }

    /// Answers what promises no address.
    fn tell_client(&mut self, reply: Reply, asked: Asked, bytes: &[u8]) -> Result<(), DropReason> {
        let parked = self.park(NOBODY, Asked { reply, ..asked }, bytes)?;
        self.ready(parked, LeaseTime::Seconds(0));
        Ok(())
    }

    /// Whether a server is meant that is us.
    pub(super) fn is_ours(
        &self,
        server: Ipv4Addr,
        arrival: &Arrival<'_>,
        ask: &Ask<'_, '_>,
    ) -> bool {
        server == ask.place.server_id
            || ask.subnet().server_id == Some(server)
            || arrival.addresses.iter().any(|own| own.ip() == server)
            || self.own.contains(&server)
    }

    /// Answers a parked request, as soon as the store has what the answer promises.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        parked: Position,
        reply: Reply,
        lease: LeaseTime,
    ) {
        match reply {
            Reply::Offer | Reply::Inform | Reply::Nak(_) => match self.stage_mut(parked) {
                // It takes what is being written already when that is done.
                Some(Stage::Committing { .. }) | None => {}
                Some(_) => self.ready(parked, lease),
            },
            Reply::Ack | Reply::RapidAck => self.commit(now, parked, lease),
        }
    }

    pub(super) fn ready(&mut self, parked: Position, lease: LeaseTime) {
        if let Some(stage) = self.stage_mut(parked) {
            *stage = Stage::Ready { lease };
            self.lot.push_ready(&mut self.table.storage, parked);
        }
    }
}
