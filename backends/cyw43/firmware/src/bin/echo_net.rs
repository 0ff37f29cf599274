//! Joins, gets an address and has a server echo what it says, on `net`.

#![no_std]
#![no_main]

use cyw43::NetDriver;
use embassy_executor::Spawner;
use whohas::dhcp;
use whohas::net::Config;
use whohas_cyw43::{Host, Stack};
use whohas_firmware::board::{self, Board, RadioRunner};
use whohas_firmware::echo;

// One connection, and a datagram socket for DHCP.
static HOST: Host<NetDriver<'static>, 16, 1, 2048, 2048, 1, 1024> = Host::new();

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    let board = Board::take();
    let mut radio = board.radio.power_on().await;
    spawner.spawn(run_radio(radio.runner).unwrap());
    let config = Config::new(board.seed);
    let stack = HOST
        .start(radio.driver, config, dhcp::client::Config::new())
        .unwrap();
    spawner.spawn(run_stack(stack).unwrap());
    board::set_up(&mut radio.control).await;
    echo::join(&mut radio.control).await;
    stack.dhcp.lease().await;
    echo::talk(stack.net).await
}

#[embassy_executor::task]
async fn run_radio(runner: RadioRunner) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn run_stack(stack: Stack<NetDriver<'static>>) {
    let _ = stack.run().await;
}
