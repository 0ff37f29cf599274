//! embassy's time, which the MQTT client reads: tokio's.

use std::sync::OnceLock;
use std::task::Waker;
use std::time::Duration;

use embassy_time_driver::Driver;
use tokio::time::{Instant, sleep_until};

static EPOCH: OnceLock<Instant> = OnceLock::new();

struct TokioTime;

fn epoch() -> Instant {
    *EPOCH.get_or_init(Instant::now)
}

impl Driver for TokioTime {
    fn now(&self) -> u64 {
        epoch().elapsed().as_micros() as u64
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        let (at, waker) = (epoch() + Duration::from_micros(at), waker.clone());
        tokio::spawn(async move {
            sleep_until(at).await;
            waker.wake();
        });
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: TokioTime = TokioTime);
