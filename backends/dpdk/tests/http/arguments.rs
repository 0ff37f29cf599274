//! The command line of the example.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Duration;

use whohas::Prefix;

use crate::options::{Command, Device, Serve};

fn parse(line: &str) -> Result<Command, String> {
    Command::parse(line.split_whitespace().map(Into::into)).map_err(|error| error.to_string())
}

fn number(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not zero")
}

fn serve(queues: u16, device: Device) -> Serve {
    Serve {
        address: Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24).expect("a prefix"),
        gateway: None,
        port: number(80),
        queues: number(queues),
        device,
        spin: false,
        duration: None,
    }
}

#[test]
fn an_interface_or_what_dpdk_is_told() {
    let interface = Device::Interface("eth0".to_owned());
    assert_eq!(
        parse("--address 10.0.0.1/24 --iface eth0"),
        Ok(Command::Serve(serve(1, interface)))
    );
    let words = ["-l", "0-1", "--vdev=x", "--demo"].map(str::to_owned);
    let expected = Serve {
        gateway: Some(Ipv4Addr::new(10, 0, 0, 254)),
        port: number(8080),
        spin: true,
        duration: Some(Duration::from_secs(3)),
        ..serve(4, Device::Dpdk(words.to_vec()))
    };
    let line = "--address=10.0.0.1/24 --gateway 10.0.0.254 --port 8080 --queues 4 --seconds 3 --spin \
        -- -l 0-1 --vdev=x --demo";
    assert_eq!(parse(line), Ok(Command::Serve(expected)));
}

#[test]
fn the_demo_has_two_queues_unless_told_otherwise() {
    let us = || Device::Interface(crate::demo::US.to_owned());
    for (line, queues, once) in [("--demo", 2, false), ("--once --demo --queues 4", 4, true)] {
        let serve = serve(queues, us());
        assert_eq!(parse(line), Ok(Command::Demo { serve, once }), "{line}");
    }
}

#[test]
fn help_is_given_whatever_else_is_said() {
    for line in ["--help", "-h", "--queues 2 --help"] {
        assert_eq!(parse(line), Ok(Command::Help), "{line}");
    }
}

#[test]
fn what_cannot_be_followed_is_named() {
    for (line, said) in [
        ("", "--address"),
        ("--address 10.0.0.1/24", "--iface"),
        ("--address 10.0.0.1", "prefix length"),
        ("--address 10.0.0.1/33", "--address 10.0.0.1/33: "),
        ("--address 10.0.0.1/24 --iface eth0 -- -l 0", "not both"),
        ("--iface eth0", "--address"),
        ("--queues 0 --demo", "--queues 0: "),
        ("--queues", "--queues"),
        ("--demo --iface eth0", "--demo"),
        ("--once", "--demo"),
        ("--vdev=net_null0", "behind `--`"),
        ("-l 0", "behind `--`"),
    ] {
        let error = parse(line).expect_err(line);
        assert!(error.contains(said), "{line}: {error}");
        assert!(error.ends_with("(--help shows how)"), "{line}: {error}");
    }
}
