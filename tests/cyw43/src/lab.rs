//! All of it put together.

use cyw43::{Control, NetDriver, PowerManagementMode};
use embassy_net::Config;
use whohas::Instant;
use whohas::sim::LanDriver;
use whohas_stacks::world::World;
use whohas_stacks::{PORT, US, embassy, ip, mac};

use crate::air::{AccessPoint, Air};
use crate::chip::Chip;
use crate::host::Host;
use crate::wifi::{self, Attempts, Network, Watched};

/// The driver as the stacks have it.
pub type Station = Watched<NetDriver<'static>>;

/// A world with a chip in it, and an access point in reach.
///
/// Whatever else there is to be, a broker or a collector, is a task of the [`world`](Self::world)'s:
/// [`host_at`](Self::host_at) gives it a stack, and [`World::spawn`] runs it.
pub struct Lab {
    /// The LAN, the time, and whatever runs in it.
    pub world: World,
    /// The chip.
    pub chip: Chip,
    /// What is around it.
    pub air: Air,
    /// Where to be.
    pub network: Network,
    /// How joining went.
    pub attempts: Attempts,
}

impl Lab {
    /// With an access point like most are, and a chip that saves power as it does by default.
    pub fn new(seed: u64) -> Self {
        Self::with(seed, AccessPoint::default(), PowerManagementMode::PowerSave)
    }

    /// With this access point, and a chip that saves power like this.
    pub fn with(seed: u64, point: AccessPoint, sleep: PowerManagementMode) -> Self {
        let mut world = World::new(seed);
        let chip = Chip::new(mac(US));
        let network = Network {
            ssid: point.ssid.clone(),
            passphrase: point.passphrase.clone(),
            sleep,
        };
        let air = Air::new(&world.lan, &chip, point, seed);
        world.spawn(air.clone().run());
        Self {
            world,
            chip,
            air,
            network,
            attempts: Attempts::default(),
        }
    }

    /// Powers the chip on and sets it up.
    pub fn power_on(&mut self) -> (NetDriver<'static>, Control<'static>) {
        let (driver, mut control) = wifi::power_on(&mut self.world, &self.chip);
        let control = self.world.run(async move {
            wifi::set_up(&mut control).await;
            control
        });
        (driver, control)
    }

    /// Powers the chip on; from now on it joins, and joins again. Nothing gets far before somebody
    /// runs a stack on the driver.
    pub fn station(&mut self) -> Station {
        let (driver, control) = self.power_on();
        let driver = Watched::new(driver);
        let network = self.network.clone();
        let stay = wifi::stay(control, network, driver.watch(), self.attempts.clone());
        self.world.spawn(stay);
        driver
    }

    /// `net` on the chip, once it has joined.
    pub fn join(&mut self) -> Host<Station> {
        let driver = self.station();
        let watch = driver.watch();
        let us = Host::start(&mut self.world, driver, ip(US));
        self.world
            .run(async move { watch.until(embassy_net_driver::LinkState::Up).await });
        us
    }

    /// The same with an address by DHCP, once it has one.
    pub fn join_by_dhcp(&mut self, seed: u64) -> Host<Station> {
        let driver = self.station();
        let (us, dhcp) = Host::start_with_dhcp(&mut self.world, driver, seed);
        self.world.run(dhcp.lease());
        us
    }

    /// embassy-net on the chip, unmodified, once it has joined.
    pub fn join_embassy(&mut self, config: Config) -> embassy_net::Stack<'static> {
        let driver = self.station();
        let stack = embassy::start(&mut self.world, driver, config);
        self.world.run(async move { stack.wait_link_up().await });
        stack
    }

    /// A host with a cable, 10.0.0.n at 02:00:00:00:00:n.
    pub fn host_at(&mut self, n: u8) -> Host<LanDriver> {
        let driver = self.world.lan.add_driver(mac(n));
        Host::start(&mut self.world, driver, ip(n))
    }

    /// Such a host that says back what it hears.
    pub fn echo_at(&mut self, n: u8) -> Host<LanDriver> {
        let host = self.host_at(n);
        self.world.spawn(host.clone().echo(PORT));
        host
    }

    /// How often the station has asked everybody or one for this address since the log was cleared.
    pub fn requests_for(&self, n: u8) -> usize {
        self.world.lan.lan().log().requests_for(ip(n))
    }

    /// This many seconds from now.
    pub fn after(&self, secs: u64) -> Instant {
        self.world.now() + core::time::Duration::from_secs(secs)
    }
}
