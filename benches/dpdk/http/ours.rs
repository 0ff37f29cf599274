//! The example as it is.

use std::num::NonZeroU16;

use whohas::Prefix;
use whohas_dpdk::Stop;

use super::arguments::{Device, Serve};
use super::contender::{NEAR, NEAR_IP, PORT, PREFIX_LEN, serve_until_told, set_up_near_end};
use super::server::Server;

pub(crate) const WHO: &str = "whohas";

pub(crate) fn serve(queues: u16) {
    set_up_near_end();
    let serve = Serve {
        address: Prefix::new(NEAR_IP, PREFIX_LEN).expect("a prefix"),
        gateway: None,
        port: NonZeroU16::new(PORT).expect("not zero"),
        queues: NonZeroU16::new(queues).expect("not zero"),
        device: Device::Interface(NEAR.to_owned()),
        spin: false,
        duration: None,
    };
    let stop = Stop::new();
    let served = Server::open(&serve).and_then(|server| {
        server.run(&stop, || {
            serve_until_told();
            stop.raise();
        })
    });
    served.expect("it serves");
}
