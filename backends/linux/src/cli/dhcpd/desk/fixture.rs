//! A daemon without a network and a disk: a server, and what is said of the rest.

use std::net::Ipv4Addr;
use std::time::Duration;

use whohas::dhcp::server::{
    Arrival, Binding, Boot, Counters, Growable, InterfaceId, LeaseTimes, Plan, Policy, Pool,
    Received, Server, Subnet, Usage,
};
use whohas::dhcp::store::{Cause, Claim, Expiry, Holder, Outcome, Record, Version};
use whohas::wire::dhcp::{
    ClientHardware, DhcpHeader, LeaseTime, MessageBuilder, MessageType, OptionCode,
};
use whohas::{Instant, Prefix, UnicastMac};

use super::super::meters::Meters;
use super::super::socket::SocketCounters;
use super::{
    Desk, InterfaceStatus, LeaseClaims, PoolStatus, SandboxStatus, Status, StoreStatus, Visitors,
};

/// What visitors are shown by tests.
#[derive(Debug)]
pub(in crate::cli::dhcpd) struct Fixture {
    pub(in crate::cli::dhcpd) now: Instant,
    pub(in crate::cli::dhcpd) server: Server<Growable>,
    pub(in crate::cli::dhcpd) meters: Meters,
    pub(in crate::cli::dhcpd) status: Status,
    pub(in crate::cli::dhcpd) names: Vec<Box<str>>,
}

pub(in crate::cli::dhcpd) fn mac(number: u32) -> UnicastMac {
    let [a, b, c, d] = number.to_be_bytes();
    UnicastMac::new([2, 0, a, b, c, d]).expect("it is unicast")
}

const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// What the server gives to whom.
fn with_plan<T>(then: impl FnOnce(&Plan<'_>) -> T) -> T {
    let hour = LeaseTime::of(3_600);
    let pools = [Pool {
        first: Ipv4Addr::new(10, 9, 0, 10),
        last: Ipv4Addr::new(10, 9, 0, 209),
    }];
    let subnets = [Subnet {
        prefix: Prefix::new(OWN, 8).expect("a prefix"),
        pools: &pools,
        reservations: &[],
        reserved: &[],
        options: &[],
        lease_times: LeaseTimes {
            default: hour,
            min: hour,
            max: hour,
        },
        boot: Boot::default(),
        authoritative: false,
        server_id: None,
    }];
    then(&Plan::new(&subnets, &[]).expect("a plan"))
}

impl Fixture {
    /// So many leases, from 10.0.0.10 on.
    pub(in crate::cli::dhcpd) fn with_leases(count: u32) -> Self {
        let now = Instant::from_secs(1_800_000_000);
        let policy = Policy {
            probe: None,
            ..Policy::DEFAULT
        };
        let mut this = Self {
            now,
            server: Server::new(policy, Growable::new(1 << 20), 7),
            meters: Meters::default(),
            status: status(u64::from(count)),
            names: vec!["dhcp.example.org".into()],
        };
        let first = u32::from(Ipv4Addr::new(10, 0, 0, 10));
        // In an order that is not that of the addresses.
        let numbers = (0..count).step_by(2).chain((1..count).step_by(2));
        for number in numbers {
            let name = (number % 3 != 0).then(|| format!("host-{number}"));
            let left = Duration::from_secs(u64::from(number * 37 % 43_200 + 60));
            this.lease((first + number).into(), number, name.as_deref(), left);
        }
        this
    }

    /// A client has a lease.
    pub(in crate::cli::dhcpd) fn lease(
        &mut self,
        ip: Ipv4Addr,
        number: u32,
        host_name: Option<&str>,
        left: Duration,
    ) {
        let claim = Claim::Leased {
            holder: Holder {
                hardware: ClientHardware::ethernet(mac(number)),
                client_id: None,
                host_name,
            },
            expiry: Expiry::At(self.now + left),
        };
        let record = Record { ip, claim };
        self.server.load(self.now, &record).expect("there is room");
    }

    /// Puts an address into quarantine.
    pub(in crate::cli::dhcpd) fn decline(&mut self, ip: Ipv4Addr, cause: Cause, left: Duration) {
        let until = self.now + left;
        let claim = Claim::Quarantined { until, cause };
        let record = Record { ip, claim };
        self.server.load(self.now, &record).expect("there is room");
    }

    /// A client gets a lease, if it is to, and says what was sent. The store is one that never fails.
    pub(in crate::cli::dhcpd) fn dora(&mut self, number: u32) {
        let mut header = DhcpHeader::request(number, mac(number));
        header.broadcast = true;
        let mut request = [0; 300];
        let discover = MessageBuilder::new(&mut request, &header, MessageType::Discover);
        let len = discover.expect("there is room").finish();
        self.receive(&request[..len]);
        let Some(offered) = self.answer() else { return };
        let mut builder = MessageBuilder::new(&mut request, &header, MessageType::Request)
            .expect("there is room");
        let requested = builder.address(OptionCode::REQUESTED_IP, offered);
        let chosen = builder.address(OptionCode::SERVER_ID, OWN);
        requested.and(chosen).expect("there is room");
        let len = builder.finish();
        self.receive(&request[..len]);
        self.answer();
    }

    /// What a datagram does.
    pub(in crate::cli::dhcpd) fn receive(&mut self, datagram: &[u8]) -> Received {
        let arrival = Arrival {
            interface: InterfaceId(1),
            mac: mac(0xff),
            addresses: &[Prefix::new(OWN, 8).expect("a prefix")],
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::BROADCAST,
        };
        let (server, now) = (&mut self.server, self.now);
        let received = with_plan(|plan| server.receive(now, plan, &arrival, datagram));
        self.meters.received(self.now, &received);
        received
    }

    /// The address that is in the reply.
    fn answer(&mut self) -> Option<Ipv4Addr> {
        while let Some(change) = self.server.poll_change() {
            let outcome = Outcome {
                ticket: change.ticket,
                result: Ok(Version(1)),
            };
            self.server.stored(self.now, outcome);
            self.meters.commits.observe(Duration::from_micros(900));
        }
        let mut reply = [0; 1_472];
        let server = &mut self.server;
        let transmit = with_plan(|plan| server.poll_transmit(plan, &mut reply))?;
        let took = Duration::from_micros(1_100);
        self.meters.replied(self.now, transmit.kind, took);
        while let Some(event) = self.server.poll_event() {
            self.meters.happened(self.now, &event);
        }
        let message = whohas::wire::dhcp::Message::parse(&reply[..transmit.len]);
        Some(message.expect("it is one").header().your_ip)
    }
}

fn status(leased: u64) -> Status {
    Status {
        uptime: Duration::from_secs(93_784),
        configuration: Some("/etc/whohas/dhcpd.toml".to_owned()),
        interfaces: vec![InterfaceStatus {
            name: "eth0".to_owned(),
            address: Some("10.0.0.1/8".to_owned()),
            up: true,
            probes: true,
            counters: SocketCounters::default(),
        }],
        pools: vec![PoolStatus {
            subnet: "10.0.0.0/8".to_owned(),
            pool: "10.0.0.10-10.1.255.254".to_owned(),
            usage: Usage {
                capacity: leased + 100,
                free: 100,
                leased,
                ..Usage::default()
            },
        }],
        store: StoreStatus {
            kind: "log",
            path: Some("/var/lib/whohas/leases".to_owned()),
            fault: None,
        },
        sandbox: SandboxStatus {
            capabilities: true,
            no_new_privs: true,
            landlock: true,
            seccomp: false,
        },
        refused: 0,
        lease_claims: Some(LeaseClaims::default()),
        visitors: [Visitors::default(); 2],
    }
}

impl Desk for Fixture {
    fn now(&self) -> Instant {
        self.now
    }

    fn bindings(&self) -> impl Iterator<Item = Binding<'_>> {
        self.server.bindings()
    }

    fn binding(&self, ip: Ipv4Addr) -> Option<Binding<'_>> {
        self.server.binding(ip)
    }

    fn release(&mut self, ip: Ipv4Addr) -> bool {
        self.server.release(self.now, ip)
    }

    fn clear(&mut self, ip: Ipv4Addr) -> bool {
        self.server.clear(self.now, ip)
    }

    fn counters(&self) -> Counters {
        *self.server.counters()
    }

    fn meters(&self) -> &Meters {
        &self.meters
    }

    fn names(&self) -> &[Box<str>] {
        &self.names
    }

    fn status(&self) -> Status {
        self.status.clone()
    }
}
