//! Whether a peer can be reached, and what was in the way.

use embedded_io_async::ErrorKind;

/// Why there is no connection, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Trouble {
    /// The peer ended the connection before it was done.
    #[error("the peer closed the connection too early")]
    Closed,
    /// Something else.
    #[error("the stack reports {0:?}")]
    Other(ErrorKind),
    /// The peer does not listen.
    #[error("the peer refused the connection: does the server run, on this port?")]
    Refused,
    /// The peer reset the connection.
    #[error("the peer reset the connection")]
    Reset,
    /// It took too long.
    #[error("the peer did not answer in time")]
    TimedOut,
    /// There is no way to the peer.
    #[error("the peer cannot be reached: is it on, and the address right?")]
    Unreachable,
}

impl Trouble {
    pub(crate) fn of(error: &impl embedded_io_async::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                Self::Reset
            }
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::AddrNotAvailable | ErrorKind::NotConnected | ErrorKind::NotFound => {
                Self::Unreachable
            }
            other => Self::Other(other),
        }
    }
}

/// How often a peer was dialled, and what became of it. Wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Reach {
    /// Dials begun.
    pub dialled: u32,
    /// Dials that came to a connection.
    pub connected: u32,
    /// Dials that were refused.
    pub refused: u32,
    /// Dials, and connections, on which nothing was heard in time.
    pub timed_out: u32,
    /// Dials that found no way.
    pub unreachable: u32,
    /// Connections that the peer reset.
    pub reset: u32,
    /// Connections that the peer ended while something was expected of it.
    pub closed: u32,
    /// Anything else.
    pub other: u32,
}

impl Reach {
    /// All zero.
    pub const ZERO: Self = Self {
        dialled: 0,
        connected: 0,
        refused: 0,
        timed_out: 0,
        unreachable: 0,
        reset: 0,
        closed: 0,
        other: 0,
    };

    pub(crate) const fn count(&mut self, trouble: Trouble) {
        let counter = match trouble {
            Trouble::Closed => &mut self.closed,
            Trouble::Other(_) => &mut self.other,
            Trouble::Refused => &mut self.refused,
            Trouble::Reset => &mut self.reset,
            Trouble::TimedOut => &mut self.timed_out,
            Trouble::Unreachable => &mut self.unreachable,
        };
        *counter = counter.wrapping_add(1);
    }

    /// Every counter and its name.
    pub fn each(&self) -> [(&'static str, u32); 8] {
        let Self {
            dialled,
            connected,
            refused,
            timed_out,
            unreachable,
            reset,
            closed,
            other,
        } = *self;
        [
            ("dialled", dialled),
            ("connected", connected),
            ("refused", refused),
            ("timed_out", timed_out),
            ("unreachable", unreachable),
            ("reset", reset),
            ("closed", closed),
            ("other", other),
        ]
    }
}
