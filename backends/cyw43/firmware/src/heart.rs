//! Signs of life: the watchdog is fed as long as every task gives one in time.

use core::future::{Future, poll_fn};
use core::pin::pin;

use defmt::{error, info};
use embassy_rp::Peri;
use embassy_rp::peripherals::WATCHDOG;
use embassy_rp::watchdog::{ResetReason, Watchdog};
use embassy_time::{Duration, Instant, Timer};
use portable_atomic::{AtomicU32, Ordering};

/// How long the watchdog waits for food.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it gets some.
const MEALS: Duration = Duration::from_secs(2);
/// How often a task that waits is looked after.
const PULSE: Duration = Duration::from_secs(1);

/// The life of one task.
pub struct Heart {
    name: &'static str,
    /// It is dead after so many seconds of silence.
    limit: u32,
    /// When it beat last, in seconds since the start.
    last: AtomicU32,
}

impl Heart {
    /// Beats for the first time when the device starts.
    pub const fn new(name: &'static str, limit: u32) -> Self {
        let last = AtomicU32::new(0);
        Self { name, limit, last }
    }

    /// A sign of life.
    pub fn beat(&self) {
        self.last.store(seconds(), Ordering::Relaxed);
    }

    /// Beats as long as `task` has not ended, and does not keep the processor to itself.
    pub async fn accompany<F: Future>(&self, task: F) -> F::Output {
        let mut task = pin!(task);
        let mut pulse = Timer::after(PULSE);
        poll_fn(|context| {
            while pin!(&mut pulse).poll(context).is_ready() {
                pulse = Timer::after(PULSE);
            }
            self.beat();
            task.as_mut().poll(context)
        })
        .await
    }

    fn is_beating(&self) -> bool {
        let silence = seconds().saturating_sub(self.last.load(Ordering::Relaxed));
        silence <= self.limit
    }
}

fn seconds() -> u32 {
    // Wraps after 136 years.
    Instant::now().as_secs() as u32
}

/// Wakes the watchdog; says whether it was the last to end a life here.
pub fn watchdog(parts: Peri<'static, WATCHDOG>) -> (Watchdog, bool) {
    let mut watchdog = Watchdog::new(parts);
    let has_bitten = matches!(watchdog.reset_reason(), Some(ResetReason::TimedOut));
    watchdog.pause_on_debug(true);
    watchdog.start(PATIENCE);
    (watchdog, has_bitten)
}

/// Feeds the watchdog while all hearts beat.
pub async fn feed(mut watchdog: Watchdog, hearts: &[&Heart]) -> ! {
    info!("watchdog: {} tasks are looked after", hearts.len());
    loop {
        match hearts.iter().find(|heart| !heart.is_beating()) {
            None => watchdog.feed(PATIENCE),
            Some(dead) => error!("watchdog: {} is silent, the device starts anew", dead.name),
        }
        Timer::after(MEALS).await;
    }
}
