//! What the configuration says of each client.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use whohas::dhcp::server::{Answer, Backend, Client, ClientKey, Plan, Subnet};

/// The plan, without those who are to get no answer at all.
#[derive(Debug)]
pub(in super::super) struct Known<'p> {
    pub(super) plan: &'p Plan<'p>,
    ignored: HashSet<ClientKey<'p>>,
}

impl<'p> Known<'p> {
    pub(in super::super) fn new(
        plan: &'p Plan<'p>,
        ignored: impl IntoIterator<Item = ClientKey<'p>>,
    ) -> Self {
        let ignored = ignored.into_iter().collect();
        Self { plan, ignored }
    }

    fn ignores(&self, client: &Client<'_>) -> bool {
        let hardware = client.hardware.mac().map(ClientKey::Hardware);
        let id = client.client_id.map(ClientKey::Id);
        let mut keys = hardware.into_iter().chain(id);
        !self.ignored.is_empty() && keys.any(|key| self.ignored.contains(&key))
    }
}

impl Backend for Known<'_> {
    fn client(&self, client: &Client<'_>) -> Answer<'_> {
        match self.ignores(client) {
            true => Answer::Ignore,
            false => self.plan.client(client),
        }
    }

    fn subnet(&self, ip: Ipv4Addr) -> Option<&Subnet<'_>> {
        self.plan.subnet(ip)
    }

    fn is_reserved(&self, ip: Ipv4Addr) -> bool {
        self.plan.is_reserved(ip)
    }
}
