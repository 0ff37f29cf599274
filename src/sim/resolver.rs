//! Resolvers as stations: attach one to a port and the LAN is its driver.

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

/// One queue of a shared resolver. On a simulated LAN nobody else has the token while a queue is at
/// it, so no frame is left over.
#[cfg(feature = "std")]
impl Station for &crate::resolver::shared::Reader {
    fn receive(&mut self, now: Instant, frame: &[u8]) {
        let brought = crate::resolver::shared::Reader::receive(self, now, frame);
        debug_assert!(brought.is_ok());
    }

    fn handle_timeout(&mut self, now: Instant) {
        crate::resolver::shared::Reader::handle_timeout(self, now);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut frame = [0; ARP_FRAME_LEN];
        crate::resolver::shared::Reader::poll_transmit(self, now, &mut frame)
            .then(|| frame.to_vec())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        crate::resolver::shared::Reader::poll_timeout(self)
    }
}
