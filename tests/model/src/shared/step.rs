//! What queues do, as data that reads like a script.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};

use super::QUEUES;
use crate::step::{Frame, Pick, Place, Span, Step};

/// One of the queues.
#[derive(Clone, Copy, PartialEq, Eq, proptest_derive::Arbitrary)]
pub struct Queue(u8);

/// A step of a trace.
#[derive(Clone, proptest_derive::Arbitrary)]
pub enum Doing {
    /// As with any cache; what the administrator does is done by nobody in particular.
    #[proptest(weight = 30)]
    By(Queue, #[proptest(strategy = "any::<Step>().boxed()")] Step),
    /// All this is done while somebody has the token.
    #[proptest(weight = 6)]
    Busy(
        #[proptest(strategy = "vec(any::<(Queue, Meanwhile)>(), 1..10).boxed()")]
        Vec<(Queue, Meanwhile)>,
    ),
    /// Reads so many changes, if there are.
    #[proptest(weight = 4)]
    Read(Queue, u8),
    /// Goes away, and another takes its place.
    #[proptest(weight = 1)]
    Replace(Queue),
}

/// What can be done while somebody has the token.
#[derive(Clone, proptest_derive::Arbitrary)]
pub enum Meanwhile {
    #[proptest(weight = 8)]
    Hold(Place),
    #[proptest(weight = 2)]
    HoldAgain(Pick),
    #[proptest(weight = 6)]
    Release(Pick),
    ConfirmHeld(Pick),
    #[proptest(weight = 5)]
    Receive(#[proptest(strategy = "any::<Frame>().boxed()")] Frame),
    /// Time passes, and this queue says so.
    #[proptest(weight = 3)]
    Sleep(Span),
}

impl Queue {
    /// From 0.
    pub const fn number(number: u8) -> Self {
        Self(number)
    }

    pub(super) fn at(self) -> usize {
        usize::from(self.0) % QUEUES
    }
}

impl fmt::Debug for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(queue, step) => write!(f, "By({queue:?}, {step:?})"),
            Self::Busy(doings) => f.debug_tuple("Busy").field(doings).finish(),
            Self::Read(queue, most) => write!(f, "Read({queue:?}, {most})"),
            Self::Replace(queue) => write!(f, "Replace({queue:?})"),
        }
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold(place) => write!(f, "Hold({place:?})"),
            Self::HoldAgain(pick) => write!(f, "HoldAgain({pick:?})"),
            Self::Release(pick) => write!(f, "Release({pick:?})"),
            Self::ConfirmHeld(pick) => write!(f, "ConfirmHeld({pick:?})"),
            Self::Receive(frame) => write!(f, "Receive({frame:?})"),
            Self::Sleep(span) => write!(f, "Sleep({span:?})"),
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "queue {}", self.at())
    }
}
