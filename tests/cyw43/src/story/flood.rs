//! Neighbours that say too much.

use core::time::Duration;

use whohas::sim::{PortId, SharedLan};
use whohas::time::Timer as _;
use whohas::wire::{ArpPacket, MacAddr};
use whohas_stacks::{US, ip, mac};

use crate::lab::Lab;

/// The first and the last of them.
const NEIGHBOURS: core::ops::RangeInclusive<u8> = 10..=209;

/// All other hosts of a network, of which each tells everybody who it is and asks for the device, in
/// turn.
pub struct Flood {
    lan: SharedLan,
    ports: Vec<(u8, PortId)>,
}

impl Flood {
    /// Plugs them in. They are silent.
    pub fn new(lab: &Lab) -> Self {
        let lan = lab.world.lan.clone();
        let plug = |n| (n, lan.lan().add_port(mac(n)));
        let ports = NEIGHBOURS.map(plug).collect();
        Self { lan, ports }
    }

    /// Has one after the other speak, each so long after the one before.
    pub fn start(self, lab: &mut Lab, duration: Duration, pause: Duration) {
        let clock = lab.world.lan.clock();
        let end = lab.world.now() + duration;
        lab.world.spawn(async move {
            for (n, port) in self.ports.iter().cycle() {
                let from = (mac(*n), ip(*n));
                for packet in [
                    ArpPacket::announcement(from.0, from.1),
                    ArpPacket::request(from.0, from.1, ip(US)),
                ] {
                    let mut frame = [0; 60];
                    packet
                        .emit_frame(MacAddr::BROADCAST, None, &mut frame)
                        .expect("a frame's length");
                    self.lan.lan().send(*port, &frame);
                }
                let next = clock.after(pause);
                if next > end {
                    return;
                }
                clock.wait_until(next).await;
            }
        });
    }
}
