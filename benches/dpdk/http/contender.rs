//! The servers: each a process in a network namespace of its own, at one end of a new cable.

use std::net::Ipv4Addr;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use whohas_lab::beside::{self, Beside, hear};
use whohas_lab::tool;

use super::{kernel, ours, smoltcp};

/// Whose turn is when.
pub(crate) const WHO: [&str; 3] = [ours::WHO, kernel::WHO, smoltcp::WHO];

/// The contenders' end of the cable, which the kernel gives no address.
pub(crate) const NEAR: &str = "us";
/// The kernel's end.
const FAR: &str = "them";
pub(crate) const NEAR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const FAR_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
pub(crate) const PREFIX_LEN: u8 = 24;
pub(crate) const PORT: u16 = 80;

/// Serves, if this process is to; then it has ended.
pub(crate) fn was_it() -> bool {
    let Some(role) = beside::role() else {
        return false;
    };
    let (queues, who) = role.split_once(' ').expect("two words at least");
    let queues = queues.parse().expect("a number");
    // The namespace is here, and waits for its cable.
    hear();
    match who {
        ours::WHO => ours::serve(queues),
        kernel::WHO => kernel::serve(queues),
        smoltcp::WHO => smoltcp::serve(queues),
        other => panic!("nobody is called {other}"),
    }
    // Now, as the kernel takes its time with a namespace that is gone.
    tool(&format!("ip link delete {NEAR}"));
    true
}

/// To be called by a contender that serves: returns when it is to end.
pub(crate) fn serve_until_told() {
    println!("ready");
    while hear().is_some() {
        let cpu: Duration = clock_gettime(ClockId::ProcessCPUTime)
            .try_into()
            .expect("not negative");
        println!("{}", cpu.as_nanos());
    }
}

/// A contender that serves.
pub(crate) struct Running(Beside);

impl Running {
    pub(crate) fn start(who: &str, queues: u16) -> Self {
        let mut contender = Beside::start(&format!("{queues} {who}"));
        lay_cable(contender.id());
        contender.say("go");
        contender.answer_with("ready");
        Self(contender)
    }

    /// The processor time that it has had, the kernel's on its behalf included.
    pub(crate) fn cpu(&mut self) -> Duration {
        self.0.say("cpu");
        let nanos = self.0.answer().parse();
        Duration::from_nanos(nanos.expect("a number"))
    }

    /// Has it end, and waits until its cable is gone.
    pub(crate) fn end(self) {
        self.0.end();
    }
}

/// Lays a cable to the namespace of a process.
fn lay_cable(to: u32) {
    tool(&format!(
        "ip link add {FAR} type veth peer name {NEAR} netns {to}"
    ));
    tool(&format!("ip link set {FAR} addrgenmode none up"));
    tool(&format!("ip address add {FAR_IP}/{PREFIX_LEN} dev {FAR}"));
    // What the kernel leaves to a card, DPDK's programs would have to do.
    tool(&format!("ethtool -K {FAR} tx off"));
}

/// Sets up this end, in a contender.
pub(crate) fn set_up_near_end() {
    tool(&format!("ip link set {NEAR} addrgenmode none up"));
}
