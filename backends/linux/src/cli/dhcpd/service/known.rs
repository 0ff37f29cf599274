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

#[cfg(test)]
mod tests {
    use super::*;
    use whohas::UnicastMac;
    use whohas::wire::dhcp::ClientHardware;

    #[test]
    fn whoever_is_ignored_is_known_by_either_of_its_names() {
        let mac = |number| UnicastMac::new([2, 0, 0, 0, 0, number]).unwrap();
        let plan = Plan::new(&[], &[]).unwrap();
        let ignored = [ClientKey::Hardware(mac(1)), ClientKey::Id(b"kiosk")];
        let known = Known::new(&plan, ignored);
        let ignores = |number, client_id| {
            known.ignores(&Client {
                hardware: ClientHardware::ethernet(mac(number)),
                client_id,
                vendor_class: None,
                architecture: None,
                link: Ipv4Addr::new(10, 0, 0, 1),
            })
        };
        assert!(ignores(1, None));
        assert!(ignores(1, Some(b"another")));
        assert!(ignores(2, Some(b"kiosk")));
        assert!(!ignores(2, None));
        assert!(!ignores(2, Some(b"another")));
    }
}
