//! From the first word to the last: clients get an address, renew it and give it back.

use crate::clients::{Client, Kind};
use crate::daemon::{Daemon, Setup};
use crate::lan_test;
use crate::network::{Network, mac_of};

#[track_caller]
fn gets_renews_and_releases(kind: Kind) {
    let network = Network::new();
    let mut daemon = Daemon::start(&network.server, &Setup::default());
    let host = network.lan.host();
    let mut client = Client::start(kind, &host);

    let ip = client.bound();
    daemon.expect(&format!("leased ip={ip} client_mac={}", mac_of(&host)));
    let first = daemon.lease(ip).expect("a lease");
    assert_eq!(first.hardware, mac_of(&host).to_string());

    client.renew();
    daemon.expect(&format!("renewed ip={ip}"));
    let second = daemon.lease(ip).expect("a lease");
    assert!(second.expires > first.expires, "{first:?} {second:?}");

    client.release();
    daemon.expect(&format!("released ip={ip}"));
    assert_eq!(daemon.leases(), []);

    // Whoever comes back gets what it had.
    client.start_again();
    assert_eq!(client.bound(), ip);
    println!("note: {kind:?} got {ip}, renewed, released and got it again");
}

lan_test! {
    fn dhclient_gets_renews_and_releases() {
        gets_renews_and_releases(Kind::Dhclient);
    }
}

lan_test! {
    fn dhcpcd_gets_renews_and_releases() {
        gets_renews_and_releases(Kind::Dhcpcd);
    }
}

lan_test! {
    fn udhcpc_gets_renews_and_releases() {
        gets_renews_and_releases(Kind::Udhcpc);
    }
}
