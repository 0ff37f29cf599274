//! Who the stack is: its address, its prefix and its gateway, learnt from what it says and is told.

use core::net::Ipv4Addr;

use heapless::Vec;

use super::super::inner::Core;
use super::super::route::Route;
use super::lease::{Asked, Granted, granted};
use crate::cache::{MAX_ADDRESSES, Prefix};
use crate::resolver::Driven;
use crate::time::Instant;
use crate::wire::{ArpPacket, EthernetFrame, HardwareTypes, Operation, can_be_host};

#[derive(Debug)]
pub(super) struct Own {
    /// Our owner has said it, for good.
    is_set: bool,
    /// The address whose prefix a DHCP server has said. Those of others are as wide as needed for whom
    /// the stack has asked for.
    granted: Option<Ipv4Addr>,
    /// The address that the stack has last spoken from.
    speaker: Option<Ipv4Addr>,
    /// What the stack's DHCP client is waiting for an answer to.
    transaction: Option<[u8; 4]>,
    flattens: bool,
}

impl Own {
    pub(super) const fn new() -> Self {
        Self {
            is_set: false,
            granted: None,
            speaker: None,
            transaction: None,
            flattens: false,
        }
    }

    pub(super) const fn flatten(&mut self) {
        self.flattens = true;
    }

    /// Our owner knows.
    pub(super) const fn set(&mut self) {
        self.is_set = true;
    }

    pub(super) const fn speaker(&self) -> Option<Ipv4Addr> {
        self.speaker
    }

    /// Whether the stack is to answer an ARP frame itself, because the resolver cannot know yet that
    /// the sender is a neighbour. What it answers tells us.
    pub(super) fn is_for_stack<R: Driven, const P: usize, const B: usize>(
        &self,
        frame: &[u8],
        core: &Core<R, P, B>,
    ) -> bool {
        if self.is_set {
            return false;
        }
        if core.routes.own().is_empty() {
            return true;
        }
        let packet = EthernetFrame::parse(frame)
            .ok()
            .and_then(|frame| ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok());
        // Answers to our own questions are for the resolver, and so are probes.
        packet.is_some_and(|packet| {
            let own = prefix_of(core.routes.own(), packet.target_ip);
            packet.operation == Operation::Request
                && !packet.is_probe()
                && own.is_some_and(|own| !is_host(own, packet.sender_ip))
        })
    }

    /// The stack speaks from this address, and of a neighbour.
    pub(super) fn hear_stack<R: Driven, const P: usize, const B: usize>(
        &mut self,
        now: Instant,
        own: Ipv4Addr,
        neighbour: Option<Ipv4Addr>,
        core: &mut Core<R, P, B>,
    ) {
        if !can_be_host(own) {
            return;
        }
        self.speaker = Some(own);
        if self.is_set || self.granted == Some(own) {
            return;
        }
        let known = prefix_of(core.routes.own(), own);
        if let Some(prefix) = known
            && neighbour.is_none_or(|neighbour| is_host(prefix, neighbour))
        {
            return;
        }
        let longest = known.map_or(32, Prefix::len);
        let Some(prefix) = widened(own, longest, neighbour) else {
            return;
        };
        let others = core.routes.own().iter().filter(|other| other.ip() != own);
        // A stack with more addresses than we can answer for answers itself for those that it was
        // the first to speak from.
        let more = (others.clone().count() + 1).saturating_sub(core.most_addresses());
        let all = others.skip(more).copied().chain([prefix]);
        let all: Vec<Prefix, MAX_ADDRESSES> = all.collect();
        // Cannot fail: each is a host's address and there once.
        let _ = core.set_settled(now, &all);
    }

    /// The stack's DHCP client speaks.
    pub(super) fn hear_client<R: Driven, const P: usize, const B: usize>(
        &mut self,
        now: Instant,
        asked: Asked,
        core: &mut Core<R, P, B>,
    ) {
        self.transaction = Some(asked.transaction);
        if asked.begins_anew {
            self.forget(now, core);
        }
    }

    /// A packet from the wire that may be a grant for the stack, to be flattened; whether it is.
    pub(super) fn hear_server<R: Driven, const P: usize, const B: usize>(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        core: &mut Core<R, P, B>,
    ) -> bool {
        if self.is_set {
            return false;
        }
        let (Some(transaction), Some(mac)) = (self.transaction, core.mac) else {
            return false;
        };
        let Some(grant) = granted(packet, transaction, mac) else {
            return false;
        };
        if core.set_settled(now, &[grant.prefix]).is_err() {
            return false;
        }
        self.granted = Some(grant.prefix.ip());
        self.speaker = self.granted;
        let Granted { router, .. } = grant;
        let route = router.map(Route::default_via);
        // A gateway that no host can be is none.
        let _ = core.routes.set_routes(route.as_slice());
        if self.flattens {
            grant.flatten(packet);
        }
        true
    }

    /// What was learnt is no longer so.
    pub(super) fn forget<R: Driven, const P: usize, const B: usize>(
        &mut self,
        now: Instant,
        core: &mut Core<R, P, B>,
    ) {
        if !self.is_set {
            self.granted = None;
            self.speaker = None;
            // Cannot fail: no address is legal.
            let _ = core.set_settled(now, &[]);
        }
    }
}

/// The prefix of this own address.
fn prefix_of(own: &[Prefix], ip: Ipv4Addr) -> Option<Prefix> {
    own.iter().copied().find(|prefix| prefix.ip() == ip)
}

/// The longest prefix, of at most this length, in which both can be hosts.
fn widened(own: Ipv4Addr, longest: u8, neighbour: Option<Ipv4Addr>) -> Option<Prefix> {
    (0..=longest).rev().find_map(|len| {
        let prefix = Prefix::new(own, len).ok()?;
        let fits = neighbour.is_none_or(|neighbour| is_host(prefix, neighbour));
        (prefix.check_host().is_ok() && fits).then_some(prefix)
    })
}

/// Whether `ip` can be a neighbour in the prefix.
fn is_host(prefix: Prefix, ip: Ipv4Addr) -> bool {
    let there = Prefix::new(ip, prefix.len());
    prefix.contains(ip) && there.is_ok_and(|there| there.check_host().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_widened_until_both_can_be_hosts_in_it() {
        let ip = |d| Ipv4Addr::new(10, 0, 0, d);
        let len = |own, neighbour| widened(ip(own), 32, neighbour).map(Prefix::len);
        assert_eq!(len(1, None), Some(32));
        assert_eq!(len(0, Some(ip(1))), Some(31));
        assert_eq!(len(1, Some(ip(2))), Some(30));
        assert_eq!(len(1, Some(ip(3))), Some(29), "not its broadcast address");
        assert_eq!(len(1, Some(ip(254))), Some(24));
        assert_eq!(len(1, Some(Ipv4Addr::LOCALHOST)), None);
    }
}
