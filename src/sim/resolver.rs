//! A [`LocalResolver`] as a station: attach it to a port and the LAN is its driver.

use alloc::vec::Vec;

use super::Station;
use crate::cache::{Profile, Storage};
use crate::resolver::LocalResolver;
use crate::time::Instant;
use crate::wire::ARP_FRAME_LEN;

impl<S: Storage, P: Profile, const WAKERS: usize> Station for &LocalResolver<S, P, WAKERS> {
    fn receive(&mut self, now: Instant, frame: &[u8]) {
        LocalResolver::receive(self, now, frame);
    }

    fn handle_timeout(&mut self, now: Instant) {
        LocalResolver::handle_timeout(self, now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut frame = [0; ARP_FRAME_LEN];
        LocalResolver::poll_transmit(self, now, &mut frame).then(|| frame.to_vec())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        LocalResolver::poll_timeout(self)
    }
}
