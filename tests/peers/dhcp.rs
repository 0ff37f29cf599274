//! An address from a dnsmasq at the other end of the cable.

use std::future::Future;
use std::net::Ipv4Addr;
use std::time::Duration;

use embedded_io_async::{Read, Write};
use whohas::Prefix;
use whohas::conflict::{Defence, Timing};
use whohas::dhcp::client::Config;
use whohas::link::{IpLink, Route};
use whohas::net::DhcpClient;
use whohas_linux::TokioClock;

use crate::kernel;
use crate::support::cable::{OUR_MAC, THEIR_IP, THEM};
use crate::support::run;
use crate::us::{Us, Wire, arrive, prepare};
use crate::wire_test;
use whohas_lab::peers::{Program, Scratch};

type Dhcp = DhcpClient<'static, 'static, Wire, TokioClock>;

/// The first address that is given.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);
const DNS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 53);

/// No test needs to wait as long as a user.
const HASTY: Timing = Timing {
    probe_wait: Duration::from_millis(20),
    probe_min: Duration::from_millis(50),
    probe_max: Duration::from_millis(100),
    announce_wait: Duration::from_millis(200),
    announce_interval: Duration::from_millis(200),
    ..Timing::RFC5227
};

/// A server for ten addresses, of which ours is the first.
fn start_server() -> (Program, Scratch) {
    let leases = Scratch::write("leases", "");
    let file = format!("--dhcp-leasefile={}", leases.path());
    let host = format!("--dhcp-host={OUR_MAC},{FIRST}");
    let router = format!("--dhcp-option=option:router,{THEIR_IP}");
    let dns = format!("--dhcp-option=option:dns-server,{DNS}");
    let interface = format!("--interface={THEM}");
    let arguments = [
        "--no-daemon",
        "--conf-file=/dev/null",
        // In a user namespace there is nobody else to become.
        "--user=root",
        "--port=0",
        "--no-ping",
        "--log-dhcp",
        "--dhcp-authoritative",
        "--dhcp-range=10.0.0.50,10.0.0.59,255.255.255.0,120",
        // Nobody has to wait for the half of two minutes, which is the shortest lease that it gives.
        "--dhcp-option=option:T1,4",
        "--domain=lab.example",
        &interface,
        &file,
        &host,
        &router,
        &dns,
    ];
    let mut server = Program::start("dnsmasq", &arguments);
    server.expect("DHCP, IP range");
    (server, leases)
}

/// Lets a client run while `story` does.
async fn with_client<F: Future<Output = ()>>(
    us: Us,
    adjust: impl FnOnce(Dhcp) -> Dhcp,
    story: impl FnOnce(&'static Dhcp) -> F,
) {
    let config = Config::new().with_host_name("sensor-7");
    let mut config = config.expect("a name");
    config.timing.start_wait = Duration::ZERO;
    let client = DhcpClient::new(us.net, us.clock, config);
    let client = adjust(client.with_detection(HASTY, Defence::OncePerInterval));
    let client: &'static Dhcp = Box::leak(Box::new(client));
    tokio::select! {
        ended = client.run() => panic!("{ended:?}"),
        () = story(client) => {}
    }
}

fn own(us: Us) -> Vec<Prefix> {
    us.net.with_link(|link| link.addresses().1.to_vec())
}

wire_test! {
    fn from_discover_to_a_connection_to_renewal_and_release() {
        prepare();
        let (mut server, leases) = start_server();
        let (port, echo) = kernel::serve(1, kernel::echo);
        arrive(|us| with_client(us, |client| client, move |client| async move {
            let lease = client.lease().await;
            assert_eq!(lease.ip(), FIRST);
            assert_eq!(own(us), [Prefix::new(FIRST, 24).expect("a prefix")]);
            assert_eq!(lease.server(), THEIR_IP);
            assert_eq!(lease.dns_servers().as_ref(), [DNS]);
            assert_eq!(lease.domain(), Some("lab.example"));
            assert_eq!(lease.duration(), Some(Duration::from_secs(120)));
            let routes = us.net.with_link(|link| link.routes().to_vec());
            assert_eq!(routes, [Route::default_via(THEIR_IP)]);
            for said in ["DHCPDISCOVER", "DHCPOFFER", "DHCPREQUEST", "DHCPACK"] {
                server.expect(said);
            }
            let known = std::fs::read_to_string(leases.path()).expect("a file");
            assert!(known.contains("10.0.0.50 sensor-7"), "{known}");

            let mut connection = us.dial(port).await.expect("it listens");
            connection.write_all(b"hello").await.expect("there is room");
            let mut buffer = [0; 5];
            connection.read_exact(&mut buffer).await.expect("an echo");
            connection.close().await.expect("closed");
            kernel::ended(echo).await;

            while client.counters().renewed < 1 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            server.expect_times(2, "DHCPACK");
            assert_eq!(client.counters().bound, 1);

            client.release().await;
            assert_eq!(own(us), []);
            server.expect("DHCPRELEASE");
            let known = std::fs::read_to_string(leases.path()).expect("a file");
            assert!(!known.contains("10.0.0.50"), "{known}");
            println!("dhcp: {:?}", client.counters());
        }));
    }
}

wire_test! {
    fn an_address_that_the_server_does_not_have_is_refused_and_another_one_taken() {
        prepare();
        let (mut server, _leases) = start_server();
        let elsewhere = Ipv4Addr::new(192, 0, 2, 9);
        arrive(|us| with_client(us, |client| client.with_known(elsewhere), move |client| async move {
            assert_eq!(client.lease().await.ip(), FIRST);
            server.expect("DHCPNAK");
            let counters = client.counters();
            assert_eq!((counters.refused, counters.bound), (1, 1));
            assert_eq!(counters.received, counters.accepted + counters.dropped());
        }));
    }
}

wire_test! {
    fn an_address_that_the_kernel_has_is_declined_and_another_one_taken() {
        prepare();
        let (mut server, _leases) = start_server();
        run("ip", &["addr", "add", &format!("{FIRST}/32"), "dev", THEM]);
        arrive(|us| with_client(us, |client| client, move |client| async move {
            let lease = client.lease().await;
            assert_ne!(lease.ip(), FIRST);
            server.expect("DHCPDECLINE");
            let said = server.said();
            let declined = said.iter().find(|line| line.contains("DHCPDECLINE"));
            let declined = declined.expect("it was expected").clone();
            assert!(declined.contains(&FIRST.to_string()), "{declined}");
            assert!(declined.contains(OUR_MAC), "{declined}");
            assert_eq!(own(us), [lease.prefix()]);
            println!("dhcp: {declined}; then {}", lease.ip());
        }));
    }
}

wire_test! {
    fn an_address_that_the_kernel_takes_later_is_given_up_and_declined() {
        prepare();
        let (mut server, _leases) = start_server();
        arrive(|us| with_client(us, |client| client, move |client| async move {
            let lease = client.lease().await;
            assert_eq!(lease.ip(), FIRST);
            run("ip", &["addr", "add", &format!("{FIRST}/24"), "dev", THEM]);
            // It answers for the address, and defends its own against ours.
            let theft = tokio::task::spawn_blocking(|| {
                for _ in 0..4 {
                    let address = FIRST.to_string();
                    let _ = crate::support::attempt("arping", &["-A", "-c", "1", "-I", THEM, &address]);
                    std::thread::sleep(Duration::from_millis(300));
                }
            });
            assert_eq!(client.changed(Some(&lease)).await, None);
            theft.await.expect("it ran");
            server.expect("DHCPDECLINE");
            let other = client.lease().await;
            assert_ne!(other.ip(), FIRST);
        }));
    }
}
