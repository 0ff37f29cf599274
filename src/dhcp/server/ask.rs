//! A request, read once: who asks, from where, for what, and what there is for them.

use core::net::Ipv4Addr;

use super::counters::DropReason;
use super::event::Arrival;
use super::identity::{Identity, host_name};
use super::parked::Place;
use super::plan::{Answer, Backend, Client, LeaseTimes, Service, Subnet};
use crate::wire::can_be_host;
use crate::wire::dhcp::{LeaseTime, Message, OptionCode};

/// Sub-options of option 82 that a server acts on.
const LINK_SELECTION: u8 = 5;
const SERVER_ID_OVERRIDE: u8 = 11;

/// A request, and what there is for whoever sent it.
#[derive(Debug)]
pub(super) struct Ask<'m, 'b> {
    pub(super) message: &'m Message<'m>,
    pub(super) identity: Identity<'m>,
    /// The address in option 50, if a host can have it.
    pub(super) requested: Option<Ipv4Addr>,
    pub(super) vendor_class: Option<&'m [u8]>,
    pub(super) architecture: Option<u16>,
    pub(super) place: Place,
    pub(super) service: Service<'b>,
}

impl<'m, 'b> Ask<'m, 'b> {
    /// Reads a request that has just come in.
    pub(super) fn read<B: Backend>(
        backend: &'b B,
        arrival: &Arrival<'_>,
        message: &'m Message<'m>,
    ) -> Result<Self, DropReason> {
        let header = message.header();
        let possible = |ip: Ipv4Addr| ip.is_unspecified() || can_be_host(ip);
        if !possible(header.client_ip) || !possible(header.relay_ip) {
            return Err(DropReason::Address);
        }
        let requested = requested(message)?;
        let place = locate(backend, arrival, message, requested)?;
        Self::of(backend, place, message)
    }

    /// Reads a request that was kept.
    pub(super) fn of<B: Backend>(
        backend: &'b B,
        place: Place,
        message: &'m Message<'m>,
    ) -> Result<Self, DropReason> {
        let client_id = match message.client_id()? {
            Some(id) => Some(id.as_slice().ok_or(DropReason::Identity)?),
            None => None,
        };
        let hardware = message.header().hardware;
        if client_id.is_none() && hardware.as_bytes().is_empty() {
            return Err(DropReason::Identity);
        }
        let vendor_class = message.vendor_class().ok().flatten();
        let vendor_class = vendor_class.and_then(|class| class.as_slice());
        let architecture = architecture(message);
        let client = Client {
            hardware,
            client_id,
            vendor_class,
            architecture,
            link: place.link,
        };
        let service = match backend.client(&client) {
            Answer::Serve(service) => service,
            Answer::Ignore => return Err(DropReason::Ignored),
            Answer::Later => return Err(DropReason::Later),
        };
        Ok(Self {
            message,
            identity: Identity {
                hardware,
                client_id,
            },
            requested: requested(message)?,
            vendor_class,
            architecture,
            place,
            service,
        })
    }

    /// The name that the client goes by.
    pub(super) fn host_name(&self) -> Option<&str> {
        if let Some(name) = self.service.reservation.and_then(|known| known.host_name) {
            return Some(name);
        }
        let value = self.message.host_name().ok().flatten()?;
        host_name(value.as_slice()?)
    }

    /// How long the client may have its address.
    pub(super) fn lease(&self) -> LeaseTime {
        let Service {
            subnet,
            reservation,
            class,
        } = self.service;
        let of_reservation = reservation.and_then(|known| known.lease_times);
        let of_class = class.and_then(|class| class.lease_times);
        let LeaseTimes { default, min, max } =
            of_reservation.or(of_class).unwrap_or(subnet.lease_times);
        match self.message.lease_time().ok().flatten() {
            Some(wanted) => wanted.min(max).max(min),
            None => default,
        }
    }

    pub(super) const fn subnet(&self) -> &'b Subnet<'b> {
        self.service.subnet
    }

    /// The address that is kept for this client.
    pub(super) fn reserved(&self) -> Option<Ipv4Addr> {
        self.service.reservation.and_then(|known| known.ip)
    }

    pub(super) fn is_pooled(&self, ip: Ipv4Addr) -> bool {
        let mut pools = self.subnet().pools.iter();
        pools.any(|pool| pool.contains(ip))
    }
}

/// The first architecture in option 93 (RFC 4578 section 2.1).
fn architecture(message: &Message<'_>) -> Option<u16> {
    let mut bytes = message.option(OptionCode::ARCHITECTURE)?.bytes();
    Some(u16::from_be_bytes([bytes.next()?, bytes.next()?]))
}

fn requested(message: &Message<'_>) -> Result<Option<Ipv4Addr>, DropReason> {
    Ok(message.requested_ip()?.filter(|&ip| can_be_host(ip)))
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from)
}

/// Finds out which link a request comes from, and as whom we speak there.
fn locate(
    backend: &impl Backend,
    arrival: &Arrival<'_>,
    message: &Message<'_>,
    requested: Option<Ipv4Addr>,
) -> Result<Place, DropReason> {
    let header = message.header();
    let relayed = !header.relay_ip.is_unspecified();
    let relay = message.relay_info().ok().flatten().filter(|_| relayed);
    let of_relay = |code| {
        relay
            .and_then(|info| info.sub_option(code))
            .and_then(address)
    };
    // RFC 3527 before RFC 3011, and both before the relay's own address.
    let selected = of_relay(LINK_SELECTION).or_else(|| {
        let selection = message.option(OptionCode::SUBNET_SELECTION)?;
        selection.to_array().map(Ipv4Addr::from)
    });
    let link = match selected {
        Some(link) => link,
        None if relayed => header.relay_ip,
        None => local_link(backend, arrival, header.client_ip, requested)?,
    };
    let subnet = backend.subnet(link).ok_or(DropReason::NoSubnet)?;
    let own = arrival.addresses.iter().map(|address| address.ip());
    let fitting = own.clone().find(|&ip| subnet.prefix.contains(ip));
    let source = fitting.or_else(|| own.clone().next());
    // RFC 5107.
    let server_id = of_relay(SERVER_ID_OVERRIDE)
        .filter(|&ip| can_be_host(ip))
        .or(subnet.server_id)
        .or(source);
    let server_id = server_id.ok_or(DropReason::NoServerId)?;
    Ok(Place {
        interface: arrival.interface,
        mac: arrival.mac,
        source: source.unwrap_or(server_id),
        server_id,
        link,
        prefix: subnet.prefix,
        local: fitting.is_some(),
    })
}

/// The link of a request that no relay has passed on.
fn local_link(
    backend: &impl Backend,
    arrival: &Arrival<'_>,
    client_ip: Ipv4Addr,
    requested: Option<Ipv4Addr>,
) -> Result<Ipv4Addr, DropReason> {
    let known = |ip: Ipv4Addr| backend.subnet(ip);
    let own = arrival.addresses.iter().map(|address| address.ip());
    let holding = |wanted: Ipv4Addr| {
        own.clone()
            .find(|&ip| known(ip).is_some_and(|subnet| subnet.prefix.contains(wanted)))
    };
    if !client_ip.is_unspecified() {
        if let Some(link) = holding(client_ip) {
            return Ok(link);
        }
        // A client behind a router, that speaks to us from its address (RFC 2131 section 4.3.6). Who
        // speaks to all is on our link, whatever address it has brought along.
        let to_us = !arrival.destination.is_broadcast();
        if to_us && arrival.source == client_ip && known(client_ip).is_some() {
            return Ok(client_ip);
        }
    }
    let link = requested
        .and_then(holding)
        .or_else(|| own.clone().find(|&ip| known(ip).is_some()));
    link.ok_or(DropReason::NoSubnet)
}
