//! The cables to the other namespace, one for every contender, each as that contender needs it.

use std::net::Ipv4Addr;

use whohas_lab::tool;

/// A cable: interface `NAME` here, `NAME-far` there, addresses in a subnet of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cable {
    pub(crate) name: &'static str,
    subnet: u8,
}

/// How long the prefixes of all cables are.
pub(crate) const PREFIX_LEN: u8 = 24;

impl Cable {
    pub(crate) const fn new(name: &'static str, subnet: u8) -> Self {
        Self { name, subnet }
    }

    /// The address at this end.
    pub(crate) const fn near_ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, self.subnet, 1)
    }

    /// The kernel's address at the other end.
    pub(crate) const fn far_ip(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, self.subnet, 2)
    }

    /// The MAC address at this end.
    pub(crate) const fn near_mac(self) -> [u8; 6] {
        [2, 0, 0, 0, self.subnet, 1]
    }

    /// Lays it to the namespace of the process `far`.
    pub(crate) fn lay(self, far: u32) {
        let Self { name, subnet } = self;
        tool(&format!(
            "ip link add {name} address 02:00:00:00:{subnet:02x}:01 type veth \
             peer name {name}-far address 02:00:00:00:{subnet:02x}:02 netns {far}"
        ));
        tool(&format!("ip link set {name} addrgenmode none up"));
    }

    /// The other end, set up from over there.
    pub(crate) fn set_up_far_end(self) {
        let (name, ip) = (self.name, self.far_ip());
        tool(&format!("ip link set {name}-far addrgenmode none up"));
        tool(&format!("ip addr add {ip}/{PREFIX_LEN} dev {name}-far"));
    }

    /// Gives this end to our own kernel.
    pub(crate) fn give_to_kernel(self) {
        let (name, ip) = (self.name, self.near_ip());
        tool(&format!("ip addr add {ip}/{PREFIX_LEN} dev {name}"));
    }

    /// Has the other end send what a stack without offloads can take: packets of the MTU's size, with
    /// their checksums.
    pub(crate) fn send_plain_packets(self) {
        tool(&format!(
            "ethtool -K {}-far tx off tso off gso off",
            self.name
        ));
    }
}
