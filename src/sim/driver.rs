//! A simulated LAN as the driver, the clock and the executor of somebody else's stack.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell, RefMut};
use core::future::{Future, poll_fn};
use core::ops::Range;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};

use super::{Lan, PortId};
use crate::link::{Draft, DriverInPlace};
use crate::time::{Clock, Instant, Timer};
use crate::wire::UnicastMac;

/// How often something may be polled at one instant before it is taken for something that never
/// rests.
const MAX_POLLS: u32 = 250_000;

/// The longest frame, without its checksum.
const FRAME_LEN: usize = 1514;

/// A [`Lan`] that many share: drivers on its ports, a clock, and a loop that runs a future in virtual
/// time.
///
/// Clones are the same LAN. For one thread.
///
/// ```
/// use core::time::Duration;
/// use whohas::sim::{Lan, SharedLan};
/// use whohas::time::{Clock, Timer};
/// use whohas::{Instant, UnicastMac};
///
/// let lan = SharedLan::new(Lan::new(42));
/// let _driver = lan.add_driver(UnicastMac::new([2, 0, 0, 0, 0, 1])?);
/// let clock = lan.clock();
/// // An hour passes at once.
/// lan.run(async { clock.wait_until(clock.now() + Duration::from_secs(3_600)).await });
/// assert_eq!(lan.now(), Instant::from_secs(3_600));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SharedLan(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    lan: RefCell<Lan>,
    /// Who wants to be woken when.
    alarms: RefCell<Vec<(Instant, Waker)>>,
    /// Who wants to be woken when anything has happened.
    watchers: RefCell<Vec<Waker>>,
}

impl SharedLan {
    /// Shares this LAN.
    pub fn new(lan: Lan) -> Self {
        Self(Rc::new(Shared {
            lan: RefCell::new(lan),
            alarms: RefCell::default(),
            watchers: RefCell::default(),
        }))
    }

    /// The LAN itself, for hosts, faults and the log.
    ///
    /// Let go of it before anything else uses the LAN.
    pub fn lan(&self) -> RefMut<'_, Lan> {
        self.0.lan.borrow_mut()
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.0.lan.borrow().now()
    }

    /// The LAN's time as a clock that can wake and wait.
    pub fn clock(&self) -> LanClock {
        LanClock(self.clone())
    }

    /// A driver on a new port.
    pub fn add_driver(&self, mac: UnicastMac) -> LanDriver {
        let port = self.lan().add_port(mac);
        LanDriver {
            lan: self.clone(),
            port,
            state: Rc::new(PortState {
                mac: Cell::new(mac.octets()),
                up: Cell::new(true),
                room: Cell::new(None),
            }),
        }
    }

    /// When something happens next, or somebody wants to be woken.
    pub fn next_event(&self) -> Option<Instant> {
        let alarm = self.0.alarms.borrow().iter().map(|(at, _)| *at).min();
        self.0
            .lan
            .borrow()
            .next_event()
            .into_iter()
            .chain(alarm)
            .min()
    }

    /// Lets everything happen up to and including this time, and wakes who waits for any of it.
    pub fn advance_to(&self, time: Instant) {
        let happened = self
            .0
            .lan
            .borrow()
            .next_event()
            .is_some_and(|next| next <= time);
        self.lan().advance_to(time);
        let now = self.now();
        let mut due = Vec::new();
        self.0.alarms.borrow_mut().retain(|(at, waker)| {
            if *at <= now {
                due.push(waker.clone());
            }
            *at > now
        });
        if happened {
            due.append(&mut self.0.watchers.borrow_mut());
        }
        due.into_iter().for_each(Waker::wake);
    }

    /// Runs a future to its end, in no time but the LAN's: whenever it waits, the next thing happens.
    ///
    /// # Panics
    ///
    /// If it waits and nothing will ever happen, or never rests at one instant.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        match self.run_until(Instant::FAR_FUTURE, future) {
            Some(output) => output,
            None => panic!("nothing will ever happen, and the future still waits"),
        }
    }

    /// Runs a future until this time at the latest; `None` if it has not ended by then.
    ///
    /// # Panics
    ///
    /// If the future never rests at one instant.
    pub fn run_until<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            let mut polls = 0;
            while woken.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return Some(output);
                }
                polls += 1;
                assert!(
                    polls < MAX_POLLS,
                    "the future never rests at {}",
                    self.now()
                );
                // What was sent on a link without delay is there at the same instant.
                self.advance_to(self.now());
            }
            match self.next_event() {
                Some(next) if next <= deadline => self.advance_to(next),
                Some(_) => {
                    self.advance_to(deadline);
                    return None;
                }
                None if deadline == Instant::FAR_FUTURE => return None,
                None => {
                    self.advance_to(deadline);
                    return None;
                }
            }
        }
    }

    fn watch(&self, waker: &Waker) {
        let mut watchers = self.0.watchers.borrow_mut();
        if !watchers.iter().any(|watcher| watcher.will_wake(waker)) {
            watchers.push(waker.clone());
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The time of a [`SharedLan`].
#[derive(Clone, Debug)]
pub struct LanClock(SharedLan);

impl Clock for LanClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) {
        let mut alarms = self.0.0.alarms.borrow_mut();
        let same = |(at, other): &(Instant, Waker)| *at == deadline && other.will_wake(waker);
        if !alarms.iter().any(same) {
            alarms.push((deadline, waker.clone()));
        }
    }
}

impl Timer for LanClock {
    async fn wait_until(&self, deadline: Instant) {
        poll_fn(|context| {
            if self.now() >= deadline {
                return Poll::Ready(());
            }
            self.wake_at(deadline, context.waker());
            Poll::Pending
        })
        .await;
    }
}

/// A port of a [`SharedLan`] as an Ethernet driver.
///
/// Clones are the same port: give one to the stack, and keep another to pull the cable, change the
/// MAC address or refuse frames.
#[derive(Clone, Debug)]
pub struct LanDriver {
    lan: SharedLan,
    port: PortId,
    state: Rc<PortState>,
}

#[derive(Debug)]
struct PortState {
    mac: Cell<[u8; 6]>,
    up: Cell<bool>,
    /// How many frames there is room for; `None` for any number.
    room: Cell<Option<usize>>,
}

impl LanDriver {
    /// The port.
    pub const fn port(&self) -> PortId {
        self.port
    }

    /// The LAN that the port is of.
    pub const fn lan(&self) -> &SharedLan {
        &self.lan
    }

    /// Has another MAC address from now on.
    pub fn set_mac(&self, mac: UnicastMac) {
        self.lan.lan().set_mac(self.port, mac);
        self.state.mac.set(mac.octets());
        self.changed();
    }

    /// Says that its MAC address is zero, as some drivers do before they are set up, until
    /// [`set_mac`](Self::set_mac).
    pub fn forget_mac(&self) {
        self.state.mac.set([0; 6]);
    }

    /// Takes this many more frames and then no more; `None`: all.
    pub fn set_room(&self, frames: Option<usize>) {
        self.state.room.set(frames);
        self.changed();
    }

    /// Pulls the cable: the link is down.
    pub fn unplug(&self) {
        self.lan.lan().unplug(self.port);
        self.state.up.set(false);
        self.changed();
    }

    /// Puts the cable back: the link is up.
    pub fn plug_in(&self) {
        self.lan.lan().plug_in(self.port);
        self.state.up.set(true);
        self.changed();
    }

    /// Wakes who waits.
    fn changed(&self) {
        let watchers = self.lan.0.watchers.take();
        watchers.into_iter().for_each(Waker::wake);
    }
}

impl Driver for LanDriver {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Outlet<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Frame, Outlet<'_>)> {
        if self.state.room.get() == Some(0) {
            self.lan.watch(context.waker());
            return None;
        }
        let frame = self.lan.lan().receive(self.port);
        match frame {
            Some(frame) => Some((Frame(frame.into()), Outlet(self))),
            None => {
                self.lan.watch(context.waker());
                None
            }
        }
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Outlet<'_>> {
        if self.state.room.get() == Some(0) {
            self.lan.watch(context.waker());
            return None;
        }
        Some(Outlet(self))
    }

    fn link_state(&mut self, context: &mut Context<'_>) -> LinkState {
        self.lan.watch(context.waker());
        if self.state.up.get() {
            LinkState::Up
        } else {
            LinkState::Down
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_LEN;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.state.mac.get())
    }
}

impl DriverInPlace for LanDriver {
    type Draft<'a> = LanDraft<'a>;

    fn peek<T>(&mut self, context: &mut Context<'_>, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let seen = self.lan.lan().peek(self.port).map(look);
        if seen.is_none() {
            self.lan.watch(context.waker());
        }
        seen
    }

    fn receive_in_place(&mut self, context: &mut Context<'_>) -> Option<(Frame, LanDraft<'_>)> {
        let (frame, outlet) = self.receive(context)?;
        Some((frame, LanDraft::new(outlet)))
    }

    fn draft(&mut self, context: &mut Context<'_>) -> Option<LanDraft<'_>> {
        self.transmit(context).map(LanDraft::new)
    }
}

/// Room for one frame that may be given back.
#[derive(Debug)]
pub struct LanDraft<'a> {
    outlet: Outlet<'a>,
    bytes: Vec<u8>,
}

impl<'a> LanDraft<'a> {
    const fn new(outlet: Outlet<'a>) -> Self {
        let bytes = Vec::new();
        Self { outlet, bytes }
    }
}

impl Draft for LanDraft<'_> {
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        // Not zeros: a driver's buffer holds what was in it before.
        self.bytes.resize(len, 0xa5);
        &mut self.bytes
    }

    fn send(self, frame: Range<usize>) {
        let Self { outlet, bytes } = self;
        let frame = &bytes[frame];
        outlet.consume(frame.len(), |room| room.copy_from_slice(frame));
    }
}

/// A received frame.
#[derive(Debug)]
pub struct Frame(Box<[u8]>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

/// Room for one frame.
#[derive(Debug)]
pub struct Outlet<'a>(&'a LanDriver);

impl TxToken for Outlet<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // Not zeros: a driver's buffer holds what was in it before.
        let mut frame = alloc::vec![0xa5; len];
        let result = f(&mut frame);
        let LanDriver { lan, port, state } = self.0;
        lan.lan().send(*port, &frame);
        state
            .room
            .set(state.room.get().map(|room| room.saturating_sub(1)));
        result
    }
}

impl LanClock {
    /// This long from now.
    pub fn after(&self, duration: Duration) -> Instant {
        self.now() + duration
    }
}
