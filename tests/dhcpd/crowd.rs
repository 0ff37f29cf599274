//! More clients at once than there are addresses.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::wire::dhcp::MessageType;

use crate::daemon::{Daemon, PROBING, Setup};
use crate::lan_test;
use crate::message::{Ask, Reply, Who};
use crate::network::{Network, PREFIX, RELAY, SERVER};
use crate::way::{Relay, Way};

const ADDRESSES: usize = 24;
const CLIENTS: u32 = 40;

/// All ask at once, and all request what they were offered; nobody is given what another one was
/// offered or given.
#[track_caller]
fn nobody_shares(way: &impl Way, daemon: &Daemon<'_>) {
    let questions: BTreeMap<u32, Who> = (0..CLIENTS)
        .map(|n| {
            let who = Who::number(n);
            let ask = Ask::discover(&who);
            ask.say(way);
            (ask.xid(), who)
        })
        .collect();
    let offers = replies(way, &questions, MessageType::Offer);
    assert_eq!(
        offers.len(),
        ADDRESSES,
        "one each, and none twice: {offers:?}"
    );
    let requests: BTreeMap<u32, Who> = offers
        .iter()
        .map(|(&ip, who)| {
            let ask = Ask::select(who, ip, SERVER);
            ask.say(way);
            (ask.xid(), who.clone())
        })
        .collect();
    assert_eq!(replies(way, &requests, MessageType::Ack), offers);
    let leases = daemon.leases();
    let mut held: Vec<_> = leases
        .iter()
        .map(|lease| (lease.ip, lease.hardware.clone()))
        .collect();
    held.sort();
    let expected: Vec<_> = offers
        .iter()
        .map(|(&ip, who)| (ip, who.mac.to_string()))
        .collect();
    assert_eq!(held, expected);
}

/// Who was told which address, until there is silence.
fn replies(
    way: &impl Way,
    asked: &BTreeMap<u32, Who>,
    kind: MessageType,
) -> BTreeMap<Ipv4Addr, Who> {
    let mut told = BTreeMap::new();
    while let Some(datagram) = way.receive(Duration::from_secs(2)) {
        let reply = Reply::parse(&datagram);
        let who = asked.get(&reply.xid).expect("somebody who has asked");
        assert_eq!(reply.kind, kind, "{reply:?}");
        let before = told.insert(reply.ip, who.clone());
        assert_eq!(before, None, "{} was offered twice", reply.ip);
    }
    told
}

lan_test! {
    /// dnsmasq offered seven of forty clients what it had offered another one.
    fn of_forty_clients_at_once_none_is_given_what_another_one_was_offered() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &Setup::pool("10.0.0.100-10.0.0.123"));
        nobody_shares(&network.link(), &daemon);
    }
}

lan_test! {
    fn nor_while_addresses_are_probed() {
        let network = Network::new();
        let setup = Setup::pool("10.0.0.100-10.0.0.123").conflicts(PROBING);
        let daemon = Daemon::start(&network.server, &setup);
        nobody_shares(&network.link(), &daemon);
    }
}

lan_test! {
    fn nor_through_a_relay() {
        let network = Network::new();
        let relay = network.lan.host_at(RELAY, PREFIX);
        let daemon = Daemon::start(&network.server, &Setup::pool("10.0.0.100-10.0.0.123"));
        nobody_shares(&Relay::at(&relay), &daemon);
    }
}
