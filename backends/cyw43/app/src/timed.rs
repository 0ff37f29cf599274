//! Waiting no longer than so long.

use core::future::Future;

use embassy_futures::select::{Either, select};
use whohas::Instant;
use whohas::time::Timer;

/// The time was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// The future's output, if it comes before the deadline. It is dropped otherwise.
pub(crate) async fn within<F: Future>(
    timer: &impl Timer,
    deadline: Instant,
    future: F,
) -> Result<F::Output, Elapsed> {
    match select(future, timer.wait_until(deadline)).await {
        Either::First(output) => Ok(output),
        Either::Second(()) => Err(Elapsed),
    }
}
