//! Joins, gets an address and has a server echo what it says, on embassy-net behind the transparent
//! adapter.

#![no_std]
#![no_main]

use cyw43::NetDriver;
use embassy_executor::Spawner;
use embassy_net::tcp::client::{TcpClient, TcpClientState};
use embassy_net::{Config, Runner, StackResources};
use static_cell::StaticCell;
use whohas::cache::Fixed;
use whohas::link::Transparent;
use whohas::net::Held;
use whohas_cyw43::{EmbassyClock, Neighbours, PowerSave};
use whohas_firmware::board::{self, Board, RadioRunner};
use whohas_firmware::echo;

type Adapter = Transparent<NetDriver<'static>, &'static Neighbours, EmbassyClock>;

static NEIGHBOURS: Neighbours = Neighbours::new(PowerSave, Fixed::new());
// One connection, and a socket for DHCP.
static RESOURCES: StaticCell<StackResources<2>> = StaticCell::new();
static CLIENT: StaticCell<TcpClientState<1, 2048, 2048>> = StaticCell::new();

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let board = Board::take();
    let mut radio = board.radio.power_on().await;
    spawner.spawn(run_radio(radio.runner).unwrap());
    let adapter = Adapter::new(radio.driver, &NEIGHBOURS, EmbassyClock);
    let resources = RESOURCES.init_with(StackResources::new);
    let config = Config::dhcpv4(embassy_net::DhcpConfig::default());
    let (stack, runner) = embassy_net::new(adapter, config, resources, board.seed);
    spawner.spawn(run_stack(runner).unwrap());
    board::set_up(&mut radio.control).await;
    echo::join(&mut radio.control).await;
    stack.wait_config_up().await;
    let tcp = TcpClient::new(stack, CLIENT.init_with(TcpClientState::new));
    echo::talk(&Held::new(tcp, &NEIGHBOURS)).await
}

#[embassy_executor::task]
async fn run_radio(runner: RadioRunner) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run_stack(mut runner: Runner<'static, Adapter>) -> ! {
    runner.run().await
}
