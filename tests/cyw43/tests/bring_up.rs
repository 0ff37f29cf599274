//! From power to the first byte: the real driver finds a chip that it knows.

use core::net::SocketAddrV4;
use core::time::Duration;

use cyw43::{JoinError, JoinOptions, PowerManagementMode};
use embassy_net_driver::{Driver, HardwareAddress};
use embedded_io_async::{Read, Write};
use whohas::link::LinkEvent;
use whohas_cyw43_tests::{AccessPoint, Host, Lab};
use whohas_stacks::{PORT, US, ip, mac};

#[test]
fn the_driver_takes_over_the_address_of_the_chip_when_it_is_set_up() {
    let mut lab = Lab::new(42);
    let (driver, mut control) = whohas_cyw43_tests::wifi::power_on(&mut lab.world, &lab.chip);
    let nobody = HardwareAddress::Ethernet([0; 6]);
    assert_eq!(driver.hardware_address(), nobody, "it has only power");
    let mut us = Host::start(&mut lab.world, driver, ip(US));
    lab.world.run_for(Duration::from_secs(1));
    assert_eq!(events(&mut us), [LinkEvent::Down]);

    lab.world.run(async move {
        whohas_cyw43_tests::wifi::set_up(&mut control).await;
    });
    assert_eq!(us.net.with_link(|link| link.mac()), Some(mac(US)));
    assert_eq!(events(&mut us), [LinkEvent::MacChanged(mac(US))]);
    let counters = lab.chip.counters();
    assert_eq!(
        (counters.refused, counters.over_credit, counters.malformed),
        (0, 0, 0)
    );
    println!("{counters:?}");
}

fn events<D: Driver + 'static>(us: &mut Host<D>) -> Vec<LinkEvent> {
    let event = || us.net.with_link(whohas::link::Link::poll_event);
    std::iter::from_fn(event).collect()
}

#[test]
fn a_station_joins_and_talks_to_a_host_on_the_lan() {
    let mut lab = Lab::new(42);
    lab.echo_at(2);
    let us = lab.join();
    assert_eq!((lab.attempts.joined(), lab.attempts.failed()), (1, 0));
    let net = us.net;
    let answer = lab.world.run(async move {
        let mut connection = net.dial(SocketAddrV4::new(ip(2), PORT)).await?;
        connection.write_all(b"hello").await?;
        connection.flush().await?;
        let mut answer = [0; 5];
        connection.read_exact(&mut answer).await.expect("an answer");
        connection.close().await?;
        Ok::<_, whohas::net::TcpError>(answer)
    });
    assert_eq!(answer.as_ref(), Ok(b"hello"));
    println!(
        "{} {:?} {:?}",
        lab.world.now(),
        lab.air.counters(),
        lab.chip.counters()
    );
}

#[test]
fn embassy_net_unmodified_runs_on_the_same_driver() {
    let mut lab = Lab::new(42);
    lab.echo_at(2);
    let config = embassy_net::Config::ipv4_static(embassy_net::StaticConfigV4 {
        address: embassy_net::Ipv4Cidr::new(ip(US), 24),
        gateway: None,
        dns_servers: Default::default(),
    });
    let stack = lab.join_embassy(config);
    let answer = lab.world.run(async move {
        let mut buffers = ([0; 1024], [0; 1024]);
        let mut socket = embassy_net::tcp::TcpSocket::new(stack, &mut buffers.0, &mut buffers.1);
        socket.connect((ip(2), PORT)).await.expect("a connection");
        socket.write_all(b"hello").await.expect("room");
        let mut answer = [0; 5];
        socket.read_exact(&mut answer).await.expect("an answer");
        answer
    });
    assert_eq!(&answer, b"hello");
}

#[test]
fn a_wrong_passphrase_and_a_network_that_is_not_there_are_told_apart() {
    for (ssid, options, expected) in [
        (
            "nowhere",
            JoinOptions::new(b"correct horse"),
            "NetworkNotFound",
        ),
        (
            "whohas",
            JoinOptions::new(b"wrong horse"),
            "AuthenticationFailure",
        ),
        ("whohas", wpa2(b"wrong horse"), "AuthenticationFailure"),
        ("whohas", JoinOptions::new_open(), "NetworkNotFound"),
    ] {
        let mut lab = Lab::new(42);
        let (_driver, mut control) = lab.power_on();
        let result = lab
            .world
            .run(async move { control.join(ssid, options).await });
        let error: JoinError = result.expect_err("that is no way in");
        assert_eq!(format!("{error:?}"), expected, "{ssid}");
        assert!(!lab.air.is_associated());
    }
}

fn wpa2(passphrase: &[u8]) -> JoinOptions<'_> {
    let mut options = JoinOptions::new(passphrase);
    options.auth = cyw43::JoinAuth::Wpa2;
    options
}

#[test]
fn every_way_in_is_a_way_in() {
    let open = AccessPoint {
        passphrase: None,
        ..AccessPoint::default()
    };
    for (point, options) in [
        (open, JoinOptions::new_open()),
        (AccessPoint::default(), JoinOptions::new(b"correct horse")),
        (AccessPoint::default(), wpa2(b"correct horse")),
    ] {
        let mut lab = Lab::with(42, point, PowerManagementMode::None);
        let (driver, mut control) = lab.power_on();
        let us = Host::start(&mut lab.world, driver, ip(US));
        let result = lab.world.run(async move {
            let result = control.join("whohas", options).await;
            let rssi = control.get_rssi().await;
            control
                .add_multicast_address([1, 0, 0x5e, 0, 0, 1])
                .await
                .expect("room");
            let mut groups = [[0; 6]; 10];
            let count = control.list_multicast_addresses(&mut groups).await;
            assert_eq!((count, groups[0]), (1, [1, 0, 0x5e, 0, 0, 1]));
            assert!(rssi < 0, "{rssi} dBm");
            result
        });
        assert!(result.is_ok(), "{result:?}");
        assert!(lab.air.is_associated());
        drop(us);
    }
}
