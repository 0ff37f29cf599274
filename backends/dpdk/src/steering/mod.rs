//! Stub.
use whohas::link::Flow;

/// Stub.
#[derive(Clone, Debug)]
pub struct Steering;

impl Steering {
    pub(crate) fn by_software(_queues: u16) -> Self {
        Self
    }
    pub(crate) fn queue_of(&self, _flow: &Flow) -> Option<u16> {
        None
    }
    pub(crate) fn owner_of_frame(&self, _frame: &[u8]) -> Option<u16> {
        None
    }
}
