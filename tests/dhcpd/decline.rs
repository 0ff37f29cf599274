//! Addresses that somebody squats on: clients find out and decline them.

use whohas::wire::dhcp::MessageType;

use crate::clients::{Client, Kind};
use crate::daemon::{Daemon, Setup};
use crate::lan_test;
use crate::message::{Ask, Who, obtain, stays_unanswered};
use crate::network::{Network, ip, mac_of};

/// With four addresses, of which all but the declined one are in use in the end.
#[track_caller]
fn declines_and_gets_another(kind: Kind, seconds: u32) {
    let network = Network::new();
    let conflicts = format!("probe = false\nquarantine-percent = 100\ncooldown = {seconds}");
    let setup = Setup::pool("10.0.0.50-10.0.0.53").conflicts(&conflicts);
    let mut daemon = Daemon::start(&network.server, &setup);
    let host = network.lan.host();
    let mut client = Client::start(kind, &host);
    let taken = client.bound();
    client.release();
    daemon.expect(&format!("released ip={taken}"));

    let squatter = network.squatter(taken);
    client.start_again();
    client.expect(client.declining());
    daemon.expect(&format!(
        "decline being processed ip={taken} client_mac={}",
        mac_of(&host)
    ));
    daemon.expect(&format!("marked as declined ip={taken}"));
    drop(squatter);
    let mut other = client.bound();
    while other == taken {
        // Told before it was tried out.
        other = client.bound();
    }

    let link = network.link();
    let [known, second, late] = [1, 2, 3].map(Who::number);
    let known_ip = obtain(&link, &known);
    let second_ip = obtain(&link, &second);
    let mut given = [other, known_ip, second_ip, taken];
    given.sort();
    assert_eq!(given, [50, 51, 52, 53].map(ip), "each of them once");
    assert_eq!(daemon.declined(), [(taken, "declined".to_owned())]);
    stays_unanswered(&link, &Ask::discover(&late), &known, known_ip);

    daemon.restart();
    assert_eq!(daemon.declined(), [(taken, "declined".to_owned())]);
    stays_unanswered(&link, &Ask::discover(&late), &known, known_ip);
    let refusal = Ask::reboot(&late, taken).answer(&link).expect("a refusal");
    assert_eq!(refusal.kind, MessageType::Nak);
    assert_eq!(
        refusal.message.as_deref(),
        Some("IP address conflict detected")
    );

    daemon.expect(&format!("cleared ip={taken}"));
    assert_eq!(daemon.declined(), []);
    assert_eq!(obtain(&link, &late), taken);
    println!(
        "note: {kind:?} declined {taken} and got {other}; {taken} was given again after the cooldown"
    );
}

lan_test! {
    fn an_address_that_dhclient_declines_is_nobodys_until_the_cooldown_ends() {
        declines_and_gets_another(Kind::Dhclient, 20);
    }
}

lan_test! {
    fn an_address_that_dhcpcd_declines_is_nobodys_until_the_cooldown_ends() {
        declines_and_gets_another(Kind::Dhcpcd, 40);
    }
}

lan_test! {
    fn an_address_that_udhcpc_declines_is_nobodys_until_the_cooldown_ends() {
        declines_and_gets_another(Kind::Udhcpc, 20);
    }
}

lan_test! {
    fn a_strangers_decline_or_release_changes_nothing() {
        let network = Network::new();
        let daemon = Daemon::start(&network.server, &Setup::default());
        let link = network.link();
        let owner = Who::number(1).with_id(b"\x01owner");
        let ip = obtain(&link, &owner);
        let before = daemon.bindings();
        let strangers = [
            Who::number(2),
            Who::number(2).with_id(b"\x01stranger"),
            // As the owner, as far as the hardware goes.
            Who::number(1).with_id(b"\x01stranger"),
        ];
        for stranger in &strangers {
            Ask::decline(stranger, ip).say(&link);
            Ask::release(stranger, ip).say(&link);
        }
        // What was said before is dealt with when this is answered, which starts the lease anew.
        let reply = Ask::renew(&owner, ip).answer(&link).expect("it is known");
        assert_eq!(reply.ip, ip);
        let after = daemon.bindings();
        let stable = |leases: &[crate::daemon::Lease]| {
            let leases = leases.iter().map(|lease| (lease.ip, lease.hardware.clone(), lease.state.clone()));
            leases.collect::<Vec<_>>()
        };
        assert_eq!(stable(&after), stable(&before));
        assert_eq!(daemon.declined(), []);
        assert_ne!(obtain(&link, &Who::number(2)), ip);
    }
}

lan_test! {
    /// One container burnt 91 addresses in five hours, with another server.
    fn a_client_that_declines_everything_is_not_believed_for_ever() {
        let network = Network::new();
        let conflicts = "probe = false\nquarantine-percent = 100\ndeclines = 3";
        let setup = Setup::default().conflicts(conflicts);
        let daemon = Daemon::start(&network.server, &setup);
        let link = network.link();
        let broken = Who::number(1);
        for _ in 0..8 {
            let ip = obtain(&link, &broken);
            Ask::decline(&broken, ip).say(&link);
        }
        obtain(&link, &Who::number(2));
        assert_eq!(daemon.declined().len(), 3);
    }
}
