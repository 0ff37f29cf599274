//! What firmware does with the chip: power, Wi-Fi, and joining again whenever the link is lost.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use std::rc::Rc;

use cyw43::{
    A4, Aligned, Control, JoinOptions, NetDriver, PowerManagementMode, SpiBusCyw43, State,
};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_time::{Duration, Timer, with_timeout};
use whohas_stacks::world::World;

use crate::chip::{Chip, Power};

// What is in them does not matter to the chip, only that it comes.
const FIRMWARE: &Aligned<A4, [u8]> = &Aligned([0x5a; 256]);
const SETTINGS: &Aligned<A4, [u8]> = &Aligned([0xa5; 64]);
const REGULATIONS: &[u8] = &[0xc3; 1_500];

/// The driver of a chip that has power and nothing else, its runner being a task of the world's.
pub fn power_on(world: &mut World, chip: &Chip) -> (NetDriver<'static>, Control<'static>) {
    let (power, bus) = chip.wires();
    power_on_with(world, power, bus)
}

/// The same with a bus of one's own.
pub fn power_on_with(
    world: &mut World,
    power: Power,
    bus: impl SpiBusCyw43 + 'static,
) -> (NetDriver<'static>, Control<'static>) {
    let state = Box::leak(Box::new(State::new()));
    let (driver, control, runner) = world.run(cyw43::new(state, power, bus, FIRMWARE, SETTINGS));
    world.spawn(async move { runner.run().await });
    (driver, control)
}

/// Sets the chip up: from now on it has an address, and may join.
pub async fn set_up(control: &mut Control<'static>) {
    control.init(REGULATIONS).await;
}

/// Where to be.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name.
    pub ssid: String,
    /// Its secret, if it has one.
    pub passphrase: Option<String>,
    /// How the chip is to sleep there.
    pub sleep: PowerManagementMode,
}

/// What became of the attempts to join. Clones are the same attempts.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    joined: Rc<Cell<u32>>,
    failed: Rc<Cell<u32>>,
}

impl Attempts {
    /// Those that succeeded.
    pub fn joined(&self) -> u32 {
        self.joined.get()
    }

    /// Those that did not.
    pub fn failed(&self) -> u32 {
        self.failed.get()
    }
}

/// How long to wait after an attempt that failed: this long at first, then twice as long ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A chip that says nothing for so long never will.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the stack may take to notice that the link is up.
const NOTICE: Duration = Duration::from_secs(5);

/// Joins, and joins again whenever the link is lost, for ever.
pub async fn stay(mut control: Control<'static>, network: Network, link: Watch, told: Attempts) {
    let mut pause = FIRST_PAUSE;
    loop {
        let passphrase = network.passphrase.as_deref();
        let options = passphrase.map_or_else(JoinOptions::new_open, |passphrase| {
            JoinOptions::new(passphrase.as_bytes())
        });
        let joined = with_timeout(JOIN_TIMEOUT, control.join(&network.ssid, options)).await;
        if let Ok(Ok(())) = joined {
            told.joined.set(told.joined.get() + 1);
            pause = FIRST_PAUSE;
            control.set_power_management(network.sleep).await;
            let up = with_timeout(NOTICE, link.until(LinkState::Up)).await;
            if up.is_ok() {
                link.until(LinkState::Down).await;
            }
        } else {
            told.failed.set(told.failed.get() + 1);
            Timer::after(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// A driver whose link others watch too: only the stack that owns a driver is told by it.
pub struct Watched<D> {
    driver: D,
    watch: Watch,
}

impl<D> Watched<D> {
    /// Lets others watch.
    pub fn new(driver: D) -> Self {
        let watch = Watch::default();
        Self { driver, watch }
    }

    /// The link, as the stack last saw it.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }
}

/// A link that is watched.
#[derive(Clone, Default)]
pub struct Watch(Rc<Link>);

#[derive(Default)]
struct Link {
    is_up: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Watch {
    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.0.is_up.get()
    }

    /// Waits until the link is so.
    pub async fn until(&self, state: LinkState) {
        poll_fn(|context| {
            if self.is_up() == (state == LinkState::Up) {
                return Poll::Ready(());
            }
            self.0.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn set(&self, is_up: bool) {
        if self.0.is_up.replace(is_up) != is_up {
            self.0.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl<D: Driver> Driver for Watched<D> {
    type RxToken<'a>
        = D::RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.driver.receive(context)
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        self.driver.transmit(context)
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        let state = self.driver.link_state(context);
        self.watch.set(state == LinkState::Up);
        state
    }

    fn capabilities(&self) -> Capabilities {
        self.driver.capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        self.driver.hardware_address()
    }
}
