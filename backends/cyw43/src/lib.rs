//! whohas on a Pico 2 W: from the driver of its radio to TCP, UDP and DNS with an address by DHCP. There
//! is nothing of the Pico in here, so it is the same for every driver that embassy-net has: W5500,
//! ENC28J60, ...
//!
//! # With whohas as the stack
//!
//! ```no_run
//! use cyw43::NetDriver;
//! use embedded_io_async::{Read, Write};
//! use embedded_nal_async::{AddrType, Dns, TcpConnect};
//! use whohas::dhcp;
//! use whohas::net::Config;
//! use whohas_cyw43::{Host, Stack};
//! # use whohas_stacks as _; // the time driver
//!
//! static HOST: Host<NetDriver<'static>> = Host::new();
//!
//! async fn device(driver: NetDriver<'static>, seed: u64) -> Result<(), Box<dyn core::error::Error>> {
//!     let stack = HOST.start(driver, Config::new(seed), dhcp::client::Config::new())?;
//!     spawn(stack.run());
//!
//!     let broker = stack.dns().await.get_host_by_name("broker.example", AddrType::IPv4).await?;
//!     let mut connection = stack.net.connect((broker, 1883).into()).await?;
//!     connection.write_all(b"any number of bytes").await?;
//!     Ok(())
//! }
//! # fn spawn(_task: impl Future) {}
//! ```
//!
//! # With embassy-net as the stack
//!
//! The transparent adapter goes between its driver and itself, and `Held` around its client. Then its
//! connections have the same holds, and its own neighbour cache nothing to do.
//!
//! ```no_run
//! use cyw43::NetDriver;
//! use embassy_net::tcp::client::{TcpClient, TcpClientState};
//! use embassy_net::{Config, StackResources};
//! use embedded_nal_async::TcpConnect;
//! use whohas::link::Transparent;
//! use whohas::net::Held;
//! use whohas_cyw43::{EmbassyClock, Neighbours, PowerSave};
//! # use whohas::cache::Fixed;
//! # use whohas_stacks as _; // the time driver
//!
//! static NEIGHBOURS: Neighbours = Neighbours::new(PowerSave, Fixed::new());
//!
//! async fn device(driver: NetDriver<'static>, seed: u64, resources: &'static mut StackResources<4>) {
//!     let driver: Transparent<_, _, _> = Transparent::new(driver, &NEIGHBOURS, EmbassyClock);
//!     let (stack, runner) = embassy_net::new(driver, Config::dhcpv4(Default::default()), resources, seed);
//!     spawn(runner);
//!
//!     let state = TcpClientState::<2, 2048, 2048>::new();
//!     let tcp = Held::new(TcpClient::new(stack, &state), &NEIGHBOURS);
//!     let connection = tcp.connect("10.0.0.2:1883".parse().unwrap()).await;
//! #   let _ = connection;
//! }
//! # fn spawn<T>(_task: T) {}
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

#[cfg(test)]
extern crate std;

mod clock;
mod host;
mod policy;

pub use clock::EmbassyClock;
pub use host::{AlreadyStarted, Host, HostLink, Neighbours, Stack};
pub use policy::PowerSave;
