//! The daemon as a program: several interfaces, relays, reloads, its end, its sandbox, and what it says
//! of itself.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use whohas::wire::dhcp::{MessageType, OptionCode};
use whohas_lab::lan::Lan;

use crate::daemon::{Daemon, HTTP, PROBING, Setup};
use crate::lan_test;
use crate::message::{Ask, Who, obtain, stays_unanswered};
use crate::network::{Network, PREFIX, RELAY, ip};
use crate::way::{Link, Relay};

/// A second network.
const SECOND: &str = r#"
[[subnet]]
prefix = "10.0.1.0/24"
pools = ["10.0.1.50-10.0.1.59"]
"#;

fn second(last: u8) -> std::net::Ipv4Addr {
    std::net::Ipv4Addr::new(10, 0, 1, last)
}

lan_test! {
    fn each_interface_has_its_own_addresses() {
        let network = Network::new();
        let other = Lan::new("other");
        other.plug(&network.server, "eth1");
        network.server.add_address("eth1", second(1), PREFIX);
        other.plug_here("them");
        let setup = Setup::default().top("interfaces = [\"eth0\", \"eth1\"]").conflicts(PROBING).rest(SECOND);
        let daemon = Daemon::start(&network.server, &setup);
        let (here, there) = (network.link(), Link::open("them"));
        let who = Who::number(1);
        let first = obtain(&here, &who);
        let moved = obtain(&there, &who);
        assert_eq!(first.octets()[2], 0);
        assert_eq!(moved.octets()[2], 1);
        let refused = Ask::reboot(&Who::number(2), first).answer(&there).expect("a refusal");
        assert_eq!(refused.kind, MessageType::Nak, "an address of another network");
        let status = daemon.status();
        assert_eq!(status["interfaces"].as_array().map(Vec::len), Some(2), "{status}");
    }
}

lan_test! {
    fn a_relay_is_answered_at_its_address_and_gets_its_option_back() {
        let network = Network::new();
        let relay = network.lan.host_at(RELAY, PREFIX);
        let daemon = Daemon::start(&network.server, &Setup::default().conflicts(PROBING));
        let way = Relay::at(&relay);
        let circuit = b"\x01\x04port\x02\x02\x00\xff";
        let who = Who::number(1);
        let offer = Ask::discover(&who).option(OptionCode::RELAY_INFO, circuit).answer(&way).expect("an offer");
        assert_eq!(offer.kind, MessageType::Offer);
        assert_eq!(offer.relay.as_deref(), Some(&circuit[..]));
        let address = obtain(&way, &who);
        assert_eq!(address, offer.ip);
        assert!(daemon.lease(address).is_some());
    }
}

lan_test! {
    /// The network of the clients is the relay's, which need not be one of ours.
    fn a_relay_of_another_network_is_served_from_that_networks_addresses() {
        let network = Network::new();
        let relay = network.lan.host_at(RELAY, PREFIX);
        relay.add_address("eth0", second(2), PREFIX);
        network.server.run("ip", &["route", "add", "10.0.1.0/24", "dev", "eth0"]);
        relay.run("ip", &["route", "add", "10.0.0.1", "dev", "eth0"]);
        let _daemon = Daemon::start(&network.server, &Setup::default().conflicts(PROBING).rest(SECOND));
        let way = Relay::at_address(&relay, second(2));
        assert_eq!(obtain(&way, &Who::number(1)).octets()[..3], [10, 0, 1]);
    }
}

lan_test! {
    fn a_reload_changes_what_is_given_and_keeps_what_was() {
        let network = Network::new();
        let mut daemon = Daemon::start(&network.server, &Setup::pool("10.0.0.50-10.0.0.50"));
        let link = network.link();
        let (first, second) = (Who::number(1), Who::number(2));
        let address = obtain(&link, &first);
        stays_unanswered(&link, &Ask::discover(&second), &first, address);

        daemon.write(&Setup::pool("10.0.0.50-10.0.0.51"));
        daemon.signal("HUP");
        daemon.expect("reloaded");
        assert_eq!(obtain(&link, &second), ip(51));
        assert_eq!(daemon.lease(address).expect("it is kept").ip, address);
        assert_eq!(obtain(&link, &first), address);
    }
}

lan_test! {
    fn a_bad_configuration_is_refused_with_its_line_and_the_old_one_stays() {
        let network = Network::new();
        let mut daemon = Daemon::start(&network.server, &Setup::default());
        let link = network.link();
        let address = obtain(&link, &Who::number(1));
        daemon.write_text("interfaces = [\"eth0\"]\nlease-tiem = \"5m\"\n");
        daemon.signal("HUP");
        daemon.expect("not reloaded: the old configuration stays");
        daemon.expect("dhcpd.toml:2");
        assert_eq!(obtain(&link, &Who::number(1)), address);
        obtain(&link, &Who::number(2));
        assert_eq!(daemon.leases().len(), 2);
    }
}

lan_test! {
    fn when_it_is_told_to_end_it_keeps_what_it_was_about_to_promise_and_ends_well() {
        let network = Network::new();
        let mut daemon = Daemon::start(&network.server, &Setup::default());
        let link = network.link();
        let address = obtain(&link, &Who::number(1));
        daemon.stop();
        assert!(!daemon.path("socket").exists(), "the control socket is taken away");
        daemon.start_again();
        assert_eq!(daemon.leases().len(), 1);
        assert_eq!(obtain(&link, &Who::number(1)), address);
    }
}

lan_test! {
    /// V17: whoever breaks into a server that has no rights gets none.
    fn once_it_serves_it_has_no_rights_left() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &Setup::default());
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&daemon.process(set), 16), Ok(0), "{set}");
        }
        assert_eq!(daemon.process("NoNewPrivs"), "1");
        assert_eq!(daemon.process("Seccomp"), "2");
        let status = daemon.status();
        for part in ["no_capabilities", "no_new_privs", "seccomp"] {
            assert_eq!(status["sandbox"][part], true, "{status}");
        }
        println!("note: sandbox: {}", status["sandbox"]);
    }
}

lan_test! {
    /// V28: what others may not see, they cannot read.
    fn its_socket_and_its_files_are_for_its_user_alone() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &Setup::default());
        obtain(&network.link(), &Who::number(1));
        let mode = |path: &std::path::Path| {
            let metadata = fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            metadata.permissions().mode() & 0o777
        };
        let socket = daemon.path("socket");
        assert!(fs::metadata(&socket).expect("it is there").file_type().is_socket());
        assert_eq!(mode(&socket), 0o600);
        let files: Vec<_> = fs::read_dir(daemon.path("state")).expect("it is ours").flatten().collect();
        assert!(!files.is_empty());
        for file in files {
            assert_eq!(mode(&file.path()), 0o600, "{}", file.path().display());
        }
    }
}

lan_test! {
    fn commands_change_what_it_has() {
        let network = Network::new();
        let mut daemon = Daemon::start(&network.server, &Setup::pool("10.0.0.50-10.0.0.50"));
        let link = network.link();
        let (first, second) = (Who::number(1), Who::number(2));
        let address = obtain(&link, &first);
        let text = address.to_string();
        assert!(daemon.try_to_ask(&["release", &text]).0);
        daemon.expect(&format!("released ip={address}"));
        assert_eq!(obtain(&link, &second), address);
        assert!(!daemon.try_to_ask(&["release", "10.0.0.77"]).0, "nobody has that");

        Ask::decline(&second, address).say(&link);
        daemon.expect(&format!("marked as declined ip={address}"));
        assert!(daemon.try_to_ask(&["clear", &text]).0);
        daemon.expect(&format!("cleared ip={address}"));
        assert_eq!(daemon.declined(), []);
        assert_eq!(obtain(&link, &first), address);
    }
}

lan_test! {
    fn metrics_are_as_prometheus_wants_them_and_add_up() {
        let network = Network::new();
        let http = format!("[http]\naddress = \"{HTTP}\"");
        let daemon = Daemon::start(&network.server, &Setup::default().conflicts(PROBING).rest(&http));
        let link = network.link();
        let addresses: Vec<_> = (1..=3).map(|n| obtain(&link, &Who::number(n))).collect();
        Ask::renew(&Who::number(1), addresses[0]).answer(&link).expect("an answer");
        Ask::release(&Who::number(2), addresses[1]).say(&link);
        link_noise(&link);
        obtain(&link, &Who::number(3));

        let metrics = daemon.metrics();
        well_formed(&metrics.0);
        let received = |kind: &str| metrics.sum("whohas_dhcp_messages_received_total", kind);
        let sent = |kind: &str| metrics.sum("whohas_dhcp_messages_sent_total", kind);
        assert_eq!(received("\"discover\""), 4);
        assert_eq!(received("\"request\""), 5);
        assert_eq!(received("\"release\""), 1);
        assert_eq!((sent("\"offer\""), sent("\"ack\"")), (4, 5));
        assert_eq!(metrics.sum("whohas_dhcp_messages_dropped_total", ""), 2);
        let pool = |state: &str| metrics.sum("whohas_dhcp_pool_addresses", &format!("state=\"{state}\""));
        assert_eq!(pool("leased"), 2);
        let states = ["free", "offered", "leased", "reserved", "quarantined", "excluded"];
        assert_eq!(states.map(pool).iter().sum::<u64>(), 10, "{}", metrics.0);
        let page = daemon.get("/");
        assert!(page.contains(&addresses[0].to_string()), "{page}");
    }
}

/// Two datagrams that are not for servers.
fn link_noise(link: &Link) {
    use crate::way::Way;
    let who = Who::number(9);
    let mut reply = Ask::discover(&who).bytes();
    reply[0] = 2;
    link.send(who.mac, &reply);
    link.send(who.mac, b"not a message");
}

/// The text format: names, labels, types before samples, and numbers.
fn well_formed(page: &str) {
    let mut family = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            family = name.to_owned();
        } else if !line.starts_with("# HELP ") {
            assert!(line.starts_with(&family), "{line} behind {family}");
            let (series, value) = line.rsplit_once(' ').expect("a value");
            value.parse::<f64>().expect("a number");
            let (_, labels) = series.split_once('{').unwrap_or((series, "}"));
            assert!(labels.ends_with('}'), "{line}");
            assert!(
                !labels.contains("mac="),
                "addresses make too many series: {line}"
            );
        }
    }
}
