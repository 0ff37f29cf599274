//! Room for one packet each way: a received one must be looked at before the stack gets it, and a sent
//! one be written before its next hop is known.

/// The one packet that is on its way up.
pub(super) struct Incoming<const MTU: usize> {
    bytes: [u8; MTU],
    /// Zero: none.
    len: usize,
}

impl<const MTU: usize> Default for Incoming<MTU> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const MTU: usize> Incoming<MTU> {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; MTU],
            len: 0,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// False if it is too long.
    pub(super) fn put(&mut self, packet: &[u8]) -> bool {
        let Some(room) = self.bytes.get_mut(..packet.len()) else {
            return false;
        };
        room.copy_from_slice(packet);
        self.len = packet.len();
        true
    }

    pub(super) fn take(&mut self) -> &mut [u8] {
        let len = core::mem::take(&mut self.len);
        &mut self.bytes[..len]
    }
}

/// Where the stack writes.
pub(super) struct Outgoing<const MTU: usize>([u8; MTU]);

impl<const MTU: usize> Outgoing<MTU> {
    pub(super) const fn new() -> Self {
        Self([0; MTU])
    }

    /// Room for so many bytes.
    ///
    /// # Panics
    ///
    /// If they are more than the capabilities said.
    pub(super) fn bytes(&mut self, len: usize) -> &mut [u8] {
        assert!(
            len <= MTU,
            "{len} bytes of the stack's, where the capabilities say {MTU} at most"
        );
        &mut self.0[..len]
    }
}
