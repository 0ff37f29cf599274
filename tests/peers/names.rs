//! DNS, asked of a dnsmasq at the other end of the cable.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use embedded_nal_async::{AddrType, Dns};

use whohas::net::{DnsClient, DnsError};
use whohas_linux::TokioClock;

use crate::support::cable::THEIR_IP;
use crate::us::{Us, Wire, join_in, prepare};
use crate::wire_test;
use whohas_lab::peers::Program;

const SERVERS: [Ipv4Addr; 1] = [THEIR_IP];
const BROKER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// A server that knows three names and asks nobody else.
fn start_server() -> Program {
    let listen = format!("--listen-address={THEIR_IP}");
    let arguments = [
        "--no-daemon",
        "--conf-file=/dev/null",
        "--no-hosts",
        "--no-resolv",
        "--bind-interfaces",
        "--log-queries",
        "--local=/test/",
        &listen,
        "--host-record=broker.test,192.0.2.7",
        "--cname=mqtt.test,broker.test",
        "--cname=story.test,mqtt.test",
        "--local=/in-addr.arpa/",
    ];
    let mut server = Program::start("dnsmasq", &arguments);
    server.listens(53);
    server
}

fn client(us: Us) -> DnsClient<'static, 'static, Wire, TokioClock, [Ipv4Addr; 1]> {
    DnsClient::new(us.net, us.clock, SERVERS)
}

async fn address(us: Us, name: &str) -> Result<IpAddr, DnsError> {
    client(us).get_host_by_name(name, AddrType::IPv4).await
}

wire_test! {
    fn a_name_and_its_aliases_and_what_an_address_is_called() {
        prepare();
        let _server = start_server();
        join_in(|us| async move {
            for name in ["broker.test", "BROKER.test.", "mqtt.test", "story.test"] {
                assert_eq!(address(us, name).await, Ok(BROKER), "{name}");
            }
            let mut name = [0; 255];
            let len = client(us).get_host_by_address(BROKER, &mut name).await;
            assert_eq!(&name[..len.expect("it has a name")], b"broker.test");
            assert_eq!(us.holds(), 0, "a question is over when it is answered");
        });
    }
}

wire_test! {
    fn what_nobody_is_called_is_not_found() {
        prepare();
        let _server = start_server();
        join_in(|us| async move {
            assert_eq!(address(us, "nobody.test").await, Err(DnsError::NotFound));
            let mut name = [0; 255];
            let nameless = Ipv4Addr::new(192, 0, 2, 8).into();
            let found = client(us).get_host_by_address(nameless, &mut name).await;
            assert_eq!(found, Err(DnsError::NotFound));
        });
    }
}

wire_test! {
    fn twenty_questions_at_once_get_each_its_own_answer() {
        prepare();
        let _server = start_server();
        join_in(|us| async move {
            let mut asking = tokio::task::JoinSet::new();
            for number in 0..20 {
                asking.spawn_local(async move {
                    match number % 2 {
                        0 => assert_eq!(address(us, "broker.test").await, Ok(BROKER)),
                        _ => assert_eq!(address(us, "no.test").await, Err(DnsError::NotFound)),
                    }
                });
            }
            asking.join_all().await;
        });
    }
}

wire_test! {
    fn a_server_that_is_stopped_times_out_and_one_that_goes_on_answers_again() {
        prepare();
        let server = start_server();
        join_in(|us| async move {
            assert_eq!(address(us, "broker.test").await, Ok(BROKER));
            server.signal("STOP");
            let hasty = client(us).with_patience(Duration::from_millis(200), 2);
            let asked = hasty.get_host_by_name("mqtt.test", AddrType::IPv4).await;
            assert_eq!(asked, Err(DnsError::TimedOut));
            server.signal("CONT");
            assert_eq!(address(us, "mqtt.test").await, Ok(BROKER));
        });
    }
}
