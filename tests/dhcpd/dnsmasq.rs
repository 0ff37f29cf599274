//! dnsmasq, as the server before us and after us: it reads what we export, and we read what it has
//! written.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use whohas::wire::dhcp::{MessageType, OptionCode};
use whohas_lab::Folder;
use whohas_lab::lan::ETH0;
use whohas_lab::peers::Program;

use crate::daemon::{Daemon, Setup};
use crate::lan_test;
use crate::message::{Ask, Who, obtain, stays_unanswered};
use crate::network::{Network, ip};

/// dnsmasq at the server's host, with this lease file.
#[track_caller]
fn start(network: &Network, leases: &Path, range: &str) -> Program {
    // Its answers leave through the kernel, whose checksums on such cables are for kernels alone.
    network.server.run("ethtool", &["-K", ETH0, "tx", "off"]);
    let file = format!("--dhcp-leasefile={}", leases.display());
    let range = format!("--dhcp-range={range},255.255.255.0,120");
    let arguments = [
        "--no-daemon",
        "--conf-file=/dev/null",
        // In a user namespace there is nobody else to become.
        "--user=root",
        "--port=0",
        "--no-ping",
        "--log-dhcp",
        "--interface=eth0",
        &range,
        &file,
    ];
    let mut server = network.server.start("dnsmasq", &arguments);
    server.expect("DHCP, IP range");
    server
}

/// Clients of all kinds.
fn clients() -> Vec<Who> {
    let long: Vec<u8> = (0..60).collect();
    vec![
        Who::number(1),
        Who::number(2).with_id(b"\x01\x02\xcc\x00\x00\x00\x02"),
        Who::number(3).with_id(b"\xff\x00\x00\x00\x01\x00\x04\x11\x22"),
        Who::number(4).with_id(&long),
        Who::number(5),
    ]
}

lan_test! {
    fn dnsmasq_serves_every_lease_that_we_have_exported_and_honours_the_blockers() {
        let network = Network::new();
        let folder = Folder::new();
        let file = folder.path().join("leases");
        let export = format!("[dnsmasq]\nexport-leases = \"{}\"", file.display());
        let setup = Setup::pool("10.0.0.50-10.0.0.55").rest(&export);
        let mut daemon = Daemon::start(&network.server, &setup);
        let link = network.link();
        let clients = clients();
        let named = Ask::discover(&clients[0]).option(OptionCode::HOST_NAME, b"printer");
        named.answer(&link).expect("an offer");
        let given: Vec<Ipv4Addr> = clients.iter().map(|who| obtain(&link, who)).collect();
        let sixth = Who::number(6);
        let blocked = obtain(&link, &sixth);
        Ask::decline(&sixth, blocked).say(&link);
        daemon.expect(&format!("marked as declined ip={blocked}"));
        daemon.stop();
        let text = fs::read_to_string(&file).expect("it was exported");
        println!("dnsmasq: reads\n{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(text.contains(&format!(" 00:00:00:00:00:00 {blocked} * *")), "{text}");

        // It is not authoritative: whom it does not know it does not answer.
        let mut server = start(&network, &file, "10.0.0.50,10.0.0.55");
        for (who, &ip) in clients.iter().zip(&given) {
            link.owns(who.mac, ip);
            for ask in [Ask::reboot(who, ip), Ask::renew(who, ip)] {
                let reply = ask.answer(&link).unwrap_or_else(|| panic!("{who:?}: {:#?}", server.said()));
                assert_eq!((reply.kind, reply.ip), (MessageType::Ack, ip), "{who:?}");
            }
            let offer = Ask::discover(who).answer(&link).expect("an offer");
            assert_eq!(offer.ip, ip, "{who:?}");
        }
        stays_unanswered(&link, &Ask::discover(&Who::number(7)), &clients[0], given[0]);
        server.expect("no address available");
        println!("note: dnsmasq has served {} of our leases, and kept its hands off the one we blocked", given.len());
    }
}

lan_test! {
    fn what_dnsmasq_has_promised_is_kept_by_us() {
        let network = Network::new();
        let folder = Folder::new();
        let file = folder.path().join("leases");
        let link = network.link();
        let clients = clients();
        let mut server = start(&network, &file, "10.0.0.50,10.0.0.69");
        let given: Vec<Ipv4Addr> = clients.iter().map(|who| obtain(&link, who)).collect();
        server.signal("TERM");
        server.ended();
        let text = fs::read_to_string(&file).expect("it was written");
        assert_eq!(text.lines().count(), 5, "{text}");

        let import = format!("[dnsmasq]\nimport-leases = \"{}\"", file.display());
        let setup = Setup::pool("10.0.0.50-10.0.0.69").rest(&import);
        let mut daemon = Daemon::start(&network.server, &setup);
        assert_eq!(daemon.leases().len(), clients.len());
        // And from then on they are ours, with the file or without.
        fs::remove_file(&file).expect("it is ours");
        daemon.restart();
        for (who, &ip) in clients.iter().zip(&given) {
            let reply = Ask::renew(who, ip).answer(&link).unwrap_or_else(|| panic!("{who:?} is not known"));
            assert_eq!((reply.kind, reply.ip), (MessageType::Ack, ip), "{who:?}");
            let offer = Ask::discover(who).answer(&link).expect("an offer");
            assert_eq!(offer.ip, ip, "{who:?}");
        }
        println!("note: {} leases of dnsmasq's went on with us", given.len());
    }
}

/// What comes behind the leases in a file of a dnsmasq that does IPv6, too.
const IPV6: &str = "\
duid 00:01:00:01:2c:5e:0a:1b:02:42:ac:11:00:02
1893456000 7654321 fd00:1::15 laptop 00:01:00:01:2a:aa:bb:cc:02:00:00:00:00:05
1893456000 T7654322 fd00:1::16 * *
";

lan_test! {
    fn a_lease_file_in_which_nothing_has_changed_stays_as_it_is_byte_for_byte() {
        let network = Network::new();
        let folder = Folder::new();
        let file = folder.path().join("leases");
        let link = network.link();
        let mut server = start(&network, &file, "10.0.0.50,10.0.0.69");
        for who in clients() {
            obtain(&link, &who);
        }
        server.signal("TERM");
        server.ended();
        let mut text = fs::read_to_string(&file).expect("it was written");
        text.push_str(IPV6);
        fs::write(&file, &text).expect("it is ours");

        let mut setup = Setup::pool("10.0.0.50-10.0.0.69");
        setup.store = format!("kind = \"dnsmasq\"\nfile = \"{}\"", file.display());
        let mut daemon = Daemon::start(&network.server, &setup);
        assert_eq!(daemon.leases().len(), clients().len());
        daemon.restart();
        daemon.stop();
        assert_eq!(fs::read_to_string(&file).expect("it is there"), text);

        // What changes is one line, and dnsmasq reads it again.
        daemon.start_again();
        let newcomer = Who::number(9);
        let address = obtain(&link, &newcomer);
        daemon.stop();
        let after = fs::read_to_string(&file).expect("it is there");
        assert!(text.lines().all(|line| after.lines().any(|same| same == line)), "{text}\n{after}");
        assert_eq!(after.lines().count(), text.lines().count() + 1, "{after}");
        assert!(after.contains(IPV6), "{after}");
        let _server = start(&network, &file, "10.0.0.50,10.0.0.69");
        link.owns(newcomer.mac, address);
        let reply = Ask::renew(&newcomer, address).answer_within(&link, Duration::from_secs(5));
        assert_eq!(reply.expect("it is known").ip, address);
        assert_ne!(address, ip(1));
    }
}
