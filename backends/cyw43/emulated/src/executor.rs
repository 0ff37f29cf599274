//! embassy's executor, with a sleep that an emulator takes for one.
//!
//! embassy's own for Cortex-M sleeps with WFE, which QEMU does not do: it would go round and round.

use core::sync::atomic::{AtomicBool, Ordering};

use cortex_m::interrupt;
use embassy_executor::Spawner;
use embassy_executor::raw::Executor;
use static_cell::StaticCell;

/// A task has been woken since the tasks were last polled.
static WOKEN: AtomicBool = AtomicBool::new(false);

/// Starts the tasks and runs them for ever.
pub fn run(start: impl FnOnce(Spawner)) -> ! {
    static EXECUTOR: StaticCell<Executor> = StaticCell::new();
    let executor: &'static Executor = EXECUTOR.init(Executor::new(core::ptr::null_mut()));
    start(executor.spawner());
    loop {
        // SAFETY: only called here, which no task and no interrupt does.
        unsafe { executor.poll() };
        interrupt::free(|_| {
            // An interrupt that comes from here on ends the sleep, although it is served after it.
            if !WOKEN.swap(false, Ordering::AcqRel) {
                cortex_m::asm::wfi();
            }
        });
    }
}

/// Called by the executor when there is something to poll.
#[unsafe(export_name = "__pender")]
fn pend(_context: *mut ()) {
    WOKEN.store(true, Ordering::Release);
}
