//! Addresses are asked for before they are offered. Who answers is not always in the way: the tests in
//! here are about what the first implementation got wrong.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

use whohas::wire::dhcp::{DHCP_CLIENT_PORT, DHCP_SERVER_PORT, MessageType, OptionCode};
use whohas_lab::lan::{ETH0, Host};

use crate::daemon::{Daemon, PROBING, Setup};
use crate::lan_test;
use crate::message::{Ask, Reply, Who, obtain, offered};
use crate::network::{Network, PREFIX, SERVER, ip, mac_of};
use crate::way::{Link, Way};

lan_test! {
    fn an_address_that_somebody_uses_is_never_offered_and_the_log_says_who_it_is() {
        let network = Network::new();
        let setup = Setup::pool("10.0.0.50-10.0.0.52").conflicts(PROBING);
        let mut daemon = Daemon::start(&network.server, &setup);
        let squatter = network.squatter(ip(51));
        let link = network.link();
        let mut given = [1, 2].map(|n| obtain(&link, &Who::number(n)));
        given.sort();
        assert_eq!(given, [50, 52].map(ip));
        assert_eq!(Ask::discover(&Who::number(3)).answer_within(&link, Duration::from_secs(1)), None);
        daemon.expect(&format!("address in use ip=10.0.0.51 mac={} probe=", mac_of(&squatter)));
        assert_eq!(daemon.declined(), [(ip(51), "in_use".to_owned())]);

        // The last resort, once nobody answers for it any more.
        drop(squatter);
        assert_eq!(obtain(&link, &Who::number(3)), ip(51));
    }
}

/// A machine with a kernel, and the names by which its boot ROM, its UEFI and its operating system are
/// known: each asks for an address of its own accord.
struct Machine {
    host: Host,
    link: Link,
    names: [Who; 4],
}

impl Machine {
    fn new(network: &Network) -> Self {
        let host = network.lan.host();
        let mac = mac_of(&host);
        let link = host.within(|| Link::open(ETH0));
        let plain = Who { mac, id: None };
        let as_ethernet = [&[1], &mac.get().octets()[..]].concat();
        let names = [
            plain
                .clone()
                .with_id(b"\x00\x44\x45\x4c\x4c\x31\x32\x33\x34"),
            plain.clone().with_id(&as_ethernet),
            plain
                .clone()
                .with_id(b"\xff\x85\x88\x78\xfb\x00\x01\x00\x01"),
            plain,
        ];
        Self { host, link, names }
    }

    /// Asks from the beginning, and once more with nothing but the memory of it. The address must be this
    /// one, if there is one that it must be.
    #[track_caller]
    fn boots(&self, who: &Who, expected: Option<Ipv4Addr>) -> Ipv4Addr {
        let mut ask = Ask::discover(who);
        if let Some(ip) = expected {
            ask = ask.option(OptionCode::REQUESTED_IP, &ip.octets());
        }
        let offer = ask.answer(&self.link).expect("an offer");
        let expected = (MessageType::Offer, expected.unwrap_or(offer.ip));
        assert_eq!((offer.kind, offer.ip), expected, "{who:?}: {offer:?}");
        for ask in [
            Ask::select(who, offer.ip, SERVER),
            Ask::reboot(who, offer.ip),
            Ask::renew(who, offer.ip),
        ] {
            let reply = ask.answer(&self.link).expect("an answer");
            assert_eq!(
                (reply.kind, reply.ip),
                (MessageType::Ack, offer.ip),
                "{ask:?}: {reply:?}"
            );
        }
        offer.ip
    }
}

lan_test! {
    /// The bug that the first implementation died of. A client that has its address already, as after a
    /// boot ROM has handed over, answers the server's probe itself. That was taken for a conflict, and the
    /// client was refused its address for ever.
    fn a_client_that_answers_for_its_own_address_keeps_it() {
        let network = Network::new();
        let mut daemon = Daemon::start(&network.server, &Setup::default().conflicts(PROBING));
        let machine = Machine::new(&network);
        let who = &machine.names[0];
        let address = machine.boots(who, None);
        machine.host.add_address(ETH0, address, PREFIX);
        for _ in 0..3 {
            machine.boots(who, Some(address));
        }
        // It has given the address back, and still has it.
        Ask::release(who, address).say(&machine.link);
        machine.boots(who, Some(address));
        // The server has to find out anew.
        daemon.restart();
        machine.boots(who, Some(address));
        assert_eq!(daemon.declined(), []);
        assert_eq!(daemon.status()["conflicts"], 0);
        assert_eq!(daemon.leases().len(), 1);
    }
}

lan_test! {
    /// The same for one that nobody knows yet: it was configured by hand, or by another server.
    fn a_client_that_has_an_address_of_the_pool_before_it_asks_gets_just_that() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &Setup::default().conflicts(PROBING));
        let machine = Machine::new(&network);
        machine.host.add_address(ETH0, ip(55), PREFIX);
        machine.boots(&machine.names[3], Some(ip(55)));
        assert_eq!(daemon.declined(), []);
    }
}

lan_test! {
    /// Boot ROM, UEFI and operating system are one machine under different names. What is reserved for its
    /// hardware is for all of them, and its kernel answering for it is no conflict.
    fn what_is_reserved_for_a_machine_is_its_own_under_each_of_the_names_that_it_boots_by() {
        let network = Network::new();
        let machine = Machine::new(&network);
        let mut setup = Setup::default().conflicts(PROBING);
        let mac = mac_of(&machine.host);
        setup.subnet.push_str(&format!("\n[[subnet.reservation]]\nmac = \"{mac}\"\nip = \"10.0.0.10\"\n"));
        let daemon = Daemon::start(&network.server, &setup);
        for _ in 0..2 {
            for who in &machine.names {
                machine.boots(who, Some(ip(10)));
                machine.host.add_address(ETH0, ip(10), PREFIX);
            }
        }
        assert_eq!(daemon.declined(), []);
        assert_eq!(daemon.leases().len(), 1);
    }
}

lan_test! {
    /// Without a reservation the names are those of different clients (RFC 2131 section 2), but none of
    /// them is ever refused because another one of them answers.
    fn a_machine_that_boots_by_several_names_is_never_refused() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &Setup::default().conflicts(PROBING));
        let machine = Machine::new(&network);
        let mut given = [None; 4];
        for _ in 0..3 {
            for (who, given) in machine.names.iter().zip(&mut given) {
                let address = machine.boots(who, *given);
                machine.host.add_address(ETH0, address, PREFIX);
                *given = Some(address);
            }
        }
        assert_eq!(daemon.declined(), []);
        assert_eq!(daemon.status()["conflicts"], 0);
    }
}

lan_test! {
    /// Some routers answer for every address that there is: then nobody could be given one.
    fn a_router_that_answers_for_everything_is_told_of_and_has_no_veto() {
        let network = Network::new();
        let setup = Setup::pool("10.0.0.50-10.0.0.99").conflicts(PROBING);
        let mut daemon = Daemon::start(&network.server, &setup);
        network.lan.plug_here("router");
        let mac = Who::number(0xffff).mac;
        thread::scope(|scope| {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || Link::open("router").answer_for_everything(mac, SERVER, &ended));
            let link = network.link();
            let found = (0..30).find_map(|_| {
                let offer = Ask::discover(&Who::number(1)).answer_within(&link, Duration::from_secs(1));
                offer.map(|offer| offer.ip)
            });
            let address = found.expect("an offer in the end");
            daemon.expect(&mac.to_string());
            assert_eq!(offered(&link, &Who::number(1)), Some(address));
            obtain(&link, &Who::number(2));
            drop(end);
        });
        let told = daemon.log().iter().filter(|line| line.contains("answers for")).count();
        assert_eq!(told, 1, "{:#?}", daemon.log());
    }
}

lan_test! {
    /// Clients renew from a socket of their kernel, which leaves the checksum of what never leaves the
    /// machine unfinished, and is told that the port is closed where nobody has it open.
    fn a_renewal_from_a_kernel_is_heard_and_nobody_says_that_the_port_is_closed() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &Setup::default().conflicts(PROBING));
        let machine = network.lan.host();
        let mac = mac_of(&machine);
        let who = Who { mac, id: None };
        let address = obtain(&machine.within(|| Link::open(ETH0)), &who);
        machine.add_address(ETH0, address, PREFIX);
        let unfinished = machine.run("ethtool", &["-k", ETH0]);
        assert!(unfinished.contains("tx-checksumming: on"), "{unfinished}");

        let socket = machine.within(|| {
            let socket = UdpSocket::bind((address, DHCP_CLIENT_PORT))?;
            socket.connect((SERVER, DHCP_SERVER_PORT))?;
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            std::io::Result::Ok(socket)
        });
        let socket = socket.expect("it has the address");
        for _ in 0..20 {
            let renewal = Ask::renew(&who, address);
            socket.send(&renewal.bytes()).expect("the port is open");
            let mut buffer = [0; 1500];
            let len = socket.recv(&mut buffer).unwrap_or_else(|error| {
                assert_ne!(error.kind(), ErrorKind::ConnectionRefused, "the port is closed");
                panic!("{error}");
            });
            let reply = Reply::parse(&buffer[..len]);
            assert_eq!((reply.kind, reply.ip), (MessageType::Ack, address));
        }
        assert_eq!(daemon.leases().len(), 1);
        assert_eq!(daemon.declined(), []);
    }
}

lan_test! {
    fn a_request_for_an_address_in_conflict_is_refused_with_the_reason() {
        let network = Network::new();
        let setup = Setup::default().conflicts(PROBING);
        let mut daemon = Daemon::start(&network.server, &setup);
        let link = network.link();
        let who = Who::number(1);
        let address = obtain(&link, &who);
        Ask::decline(&who, address).say(&link);
        daemon.expect(&format!("marked as declined ip={address}"));
        let refusal = Ask::select(&who, address, SERVER).answer(&link).expect("a refusal");
        assert_eq!(refusal.kind, MessageType::Nak);
        assert_eq!(refusal.server, Some(SERVER));
        assert_eq!(refusal.message.as_deref(), Some("IP address conflict detected"));
        assert_eq!(refusal.ip, Ipv4Addr::UNSPECIFIED);
        daemon.expect(&format!("conflict detected ip={address}"));
    }
}

lan_test! {
    fn probes_delay_nobody_else() {
        let network = Network::new();
        let conflicts = "probe-count = 3\nprobe-interval = \"1s\"";
        let daemon = Daemon::start(&network.server, &Setup::default().conflicts(conflicts));
        let link = network.link();
        let known = Who::number(1);
        let address = obtain(&link, &known);
        // Three seconds each.
        let late = [2, 3, 4, 5].map(|n| Ask::discover(&Who::number(n)));
        for ask in &late {
            ask.say(&link);
        }
        let renewal = Ask::renew(&known, address);
        renewal.say(&link);
        let patience = Duration::from_secs(10);
        let first = Reply::parse(&link.receive(patience).expect("an answer"));
        assert_eq!((first.xid, first.kind), (renewal.xid(), MessageType::Ack));
        let mut offers: Vec<_> = late.iter().map(|_| {
            let reply = Reply::parse(&link.receive(patience).expect("an answer"));
            assert_eq!(reply.kind, MessageType::Offer);
            reply.ip
        }).collect();
        offers.sort();
        offers.dedup();
        assert_eq!(offers.len(), late.len());
        assert_eq!(daemon.leases().len(), 1);
    }
}
