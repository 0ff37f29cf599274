//! Any driver of `embassy-net-driver` as a device of smoltcp 0.14: a [`Link`](super::Link) with the IP
//! medium, a [`Transparent`](super::Transparent) or a bare driver with Ethernet.

use core::task::{Context, Waker};

use embassy_net_driver::{Checksum, Driver, HardwareAddress, RxToken, TxToken};
use smoltcp::phy;
use smoltcp::time::Instant;

/// A driver as smoltcp wants it.
///
/// The driver wakes whoever is [set](Self::set_waker), nobody at first: for loops that poll anyway.
#[derive(Debug)]
pub struct Phy<D> {
    driver: D,
    waker: Waker,
}

impl<D> Phy<D> {
    /// This driver, which wakes nobody.
    pub fn new(driver: D) -> Self {
        Self {
            driver,
            waker: Waker::noop().clone(),
        }
    }

    /// The driver wakes this one from the next call on.
    pub fn set_waker(&mut self, waker: &Waker) {
        self.waker.clone_from(waker);
    }

    /// The driver.
    pub const fn driver(&self) -> &D {
        &self.driver
    }

    /// The driver, for its own settings and its time.
    pub const fn driver_mut(&mut self) -> &mut D {
        &mut self.driver
    }
}

impl<D: Driver> phy::Device for Phy<D> {
    type RxToken<'a>
        = Rx<D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let mut context = Context::from_waker(&self.waker);
        let (rx, tx) = self.driver.receive(&mut context)?;
        Some((Rx(rx), Tx(tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        let mut context = Context::from_waker(&self.waker);
        self.driver.transmit(&mut context).map(Tx)
    }

    fn capabilities(&self) -> phy::DeviceCapabilities {
        let driver = self.driver.capabilities();
        let mut capabilities = phy::DeviceCapabilities::default();
        capabilities.medium = match self.driver.hardware_address() {
            HardwareAddress::Ip => phy::Medium::Ip,
            _ethernet => phy::Medium::Ethernet,
        };
        capabilities.max_transmission_unit = driver.max_transmission_unit;
        capabilities.max_burst_size = driver.max_burst_size;
        capabilities.checksum.ipv4 = checksum(driver.checksum.ipv4);
        capabilities.checksum.udp = checksum(driver.checksum.udp);
        capabilities.checksum.tcp = checksum(driver.checksum.tcp);
        capabilities.checksum.icmpv4 = checksum(driver.checksum.icmpv4);
        capabilities
    }
}

const fn checksum(by_stack: Checksum) -> phy::Checksum {
    match by_stack {
        Checksum::Both => phy::Checksum::Both,
        Checksum::Rx => phy::Checksum::Rx,
        Checksum::Tx => phy::Checksum::Tx,
        Checksum::None => phy::Checksum::None,
    }
}

/// A received packet or frame.
pub struct Rx<T>(T);

impl<T: RxToken> phy::RxToken for Rx<T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        self.0.consume(|bytes| f(bytes))
    }
}

/// Room for a packet or a frame.
pub struct Tx<T>(T);

impl<T: TxToken> phy::TxToken for Tx<T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.0.consume(len, f)
    }
}
