//! The stack under real executors, with their clocks as its timer: two hosts on a cable in memory, in
//! real time, no part of which is waited for but what the stack itself waits for.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::{Condvar, LazyLock, Mutex, Once, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use embassy_futures::join::join;
use embassy_futures::select::{Either, select};
use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_time_driver::Driver as TimeDriver;
use embedded_io_async::{Read, Write};
use whohas::cache::Fixed;
use whohas::link::Link;
use whohas::net::{Config, Net, Pools, TcpError};
use whohas::time::{Clock, Timer};
use whohas::{Instant, LocalResolver, Policy, Prefix, UnicastMac};

/// tokio's time.
#[derive(Clone, Copy)]
struct TokioTime(tokio::time::Instant);

impl Clock for TokioTime {
    fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }
}

impl Timer for TokioTime {
    async fn wait_until(&self, deadline: Instant) {
        tokio::time::sleep_until(self.0 + deadline.since(Instant::ZERO)).await;
    }
}

/// embassy-time's, which is one for the whole program.
#[derive(Clone, Copy)]
struct EmbassyTime;

/// What embassy-time has under `std`, written out: with that feature it could not be built together
/// with packages that bring their own driver, as `tests/stacks` does.
struct SystemTime {
    epoch: LazyLock<std::time::Instant>,
    alarms: Mutex<BTreeMap<u64, Vec<Waker>>>,
    earlier: Condvar,
}

embassy_time_driver::time_driver_impl!(static SYSTEM_TIME: SystemTime = SystemTime {
    epoch: LazyLock::new(std::time::Instant::now),
    alarms: Mutex::new(BTreeMap::new()),
    earlier: Condvar::new(),
});

impl TimeDriver for SystemTime {
    fn now(&self) -> u64 {
        self.epoch.elapsed().as_micros() as u64
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        static RINGS: Once = Once::new();
        RINGS.call_once(|| drop(std::thread::spawn(|| SYSTEM_TIME.ring())));
        let mut alarms = self.alarms.lock().expect("no alarm has panicked");
        alarms.entry(at).or_default().push(waker.clone());
        self.earlier.notify_one();
    }
}

impl SystemTime {
    /// Wakes who waits, for ever.
    fn ring(&self) -> ! {
        let mut alarms = self.alarms.lock().expect("no alarm has panicked");
        loop {
            let later = alarms.split_off(&(self.now() + 1));
            let due = std::mem::replace(&mut *alarms, later);
            due.into_values().flatten().for_each(Waker::wake);
            let next = alarms.keys().next().map_or(u64::MAX, |at| *at);
            let wait = Duration::from_micros(next.saturating_sub(self.now()));
            let woken = self.earlier.wait_timeout(alarms, wait);
            (alarms, _) = woken.expect("no alarm has panicked");
        }
    }
}

impl Clock for EmbassyTime {
    fn now(&self) -> Instant {
        Instant::from_micros(embassy_time::Instant::now().as_micros())
    }
}

impl Timer for EmbassyTime {
    async fn wait_until(&self, deadline: Instant) {
        let deadline = embassy_time::Instant::from_micros(deadline.as_micros());
        embassy_time::Timer::at(deadline).await;
    }
}

/// One direction of a cable.
#[derive(Default)]
struct Wire {
    frames: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
}

/// One end of a cable, as a driver.
struct Card {
    mac: [u8; 6],
    from: Rc<RefCell<Wire>>,
    to: Rc<RefCell<Wire>>,
}

struct Received(Vec<u8>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, f: F) -> R {
        f(&mut self.0)
    }
}

struct Room<'c>(&'c RefCell<Wire>);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        let mut wire = self.0.borrow_mut();
        wire.frames.push_back(frame);
        if let Some(waker) = wire.waker.take() {
            waker.wake();
        }
        result
    }
}

impl Driver for Card {
    type RxToken<'c> = Received;
    type TxToken<'c> = Room<'c>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received, Room<'_>)> {
        let mut wire = self.from.borrow_mut();
        wire.waker = Some(context.waker().clone());
        let frame = wire.frames.pop_front()?;
        Some((Received(frame), Room(&self.to)))
    }

    fn transmit(&mut self, _context: &mut Context<'_>) -> Option<Room<'_>> {
        Some(Room(&self.to))
    }

    fn link_state(&mut self, _context: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

type Neighbours = LocalResolver<Fixed<4>>;

fn link<'r, T: Timer>(
    n: u8,
    neighbours: &'r Neighbours,
    timer: T,
    from: &Rc<RefCell<Wire>>,
    to: &Rc<RefCell<Wire>>,
) -> Link<Card, &'r Neighbours, T> {
    let mac = UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear");
    let card = Card {
        mac: mac.octets(),
        from: from.clone(),
        to: to.clone(),
    };
    let mut link = Link::new(card, neighbours, timer);
    let own = Prefix::new(ip(n), 24).expect("24 bits");
    link.set_addresses(&[own]).expect("a host's address");
    link
}

/// A megabyte there and back between two hosts, and a refusal.
async fn story<T: Timer + Copy>(timer: T) {
    let (there, back) = (Rc::default(), Rc::default());
    let neighbours = [(); 2].map(|()| Neighbours::new(Policy::STRICT, Fixed::new()));
    // What they were made from has to outlive the stacks.
    let mut server_pools = Pools::<_, 2, 16_384, 16_384, 1, 256>::new();
    let mut client_pools = Pools::<_, 2, 16_384, 16_384, 1, 256>::new();
    let server = link(1, &neighbours[0], timer, &there, &back);
    let client = link(2, &neighbours[1], timer, &back, &there);
    let server = Net::new(server, &mut server_pools, Config::new(1));
    let client = Net::new(client, &mut client_pools, Config::new(2));
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let echo = async {
        let port = NonZeroU16::new(7).expect("not zero");
        let mut listener = server.listen(port, 1).expect("a free socket");
        let (mut connection, _from) = listener.accept().await;
        let mut buffer = [0; 4_096];
        loop {
            match connection.read(&mut buffer).await.expect("no reset") {
                0 => break,
                len => connection
                    .write_all(&buffer[..len])
                    .await
                    .expect("no reset"),
            }
        }
        connection.close().await.expect("acknowledged");
    };
    let dial = async {
        let mut connection = client.dial(SocketAddrV4::new(ip(1), 7)).await?;
        let (mut reader, mut writer) = connection.split();
        let write = async {
            writer.write_all(&body).await.expect("no reset");
            writer.shut_down().expect("open");
        };
        let read = async {
            let mut received = vec![0; body.len()];
            reader.read_exact(&mut received).await.expect("all of it");
            assert!(received == body);
        };
        join(write, read).await;
        let refused = client.dial(SocketAddrV4::new(ip(1), 8)).await;
        Ok::<_, TcpError>(refused.map(drop))
    };
    let stacks = select(server.run(&timer), client.run(&timer));
    // While the stacks run, which they do for ever.
    let Either::Second(((), refused)) = select(stacks, join(echo, dial)).await;
    assert_eq!(refused, Ok(Err(TcpError::Refused)));
}

#[test]
fn under_tokio() {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(story(TokioTime(tokio::time::Instant::now())));
}

#[test]
fn under_embassy() {
    #[embassy_executor::task]
    async fn tell(done: mpsc::Sender<()>) {
        story(EmbassyTime).await;
        done.send(()).expect("the test waits");
    }

    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let executor: &mut _ = Box::leak(Box::new(embassy_executor::Executor::new()));
        executor.run(|spawner| spawner.spawn(tell(done).expect("a place for the task")));
    });
    // A wake-up that is lost, or a task that failed, never says so.
    assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok(()));
}
