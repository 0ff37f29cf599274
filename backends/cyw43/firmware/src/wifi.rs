//! Wi-Fi: joins, and joins again whenever the link is lost.

use cyw43::{Control, JoinOptions, NetDriver, PowerManagementMode};
use embassy_time::{Duration, Timer, with_timeout};
use portable_atomic::{AtomicU32, Ordering};
use whohas::link::ConfigurableLink;
use whohas::time::Clock;
use whohas_app::otlp::Telemetry;
use whohas_app::tell;
use whohas_cyw43::{EmbassyClock, Stack};
use whohas_firmware::config::{PASSPHRASE, SSID};

use crate::heart::Heart;

/// A radio that says nothing for so long never will.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait after an attempt that failed: this long at first, then twice as long ...
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// ... up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often to see whether the link is still there.
const LOOK: Duration = Duration::from_secs(2);
/// How long the light is on each time.
const BLINK: Duration = Duration::from_millis(20);
/// The radio's pin with the light.
const LIGHT: u8 = 0;

/// How often the network was joined, and lost.
pub struct Counters {
    pub joined: AtomicU32,
    pub failed: AtomicU32,
}

/// For everybody to read.
pub static COUNTERS: Counters = Counters {
    joined: AtomicU32::new(0),
    failed: AtomicU32::new(0),
};

/// Stays in the network for ever.
pub async fn stay(
    control: &mut Control<'static>,
    stack: Stack<NetDriver<'static>>,
    telemetry: &Telemetry,
    heart: &Heart,
) -> ! {
    let mut pause = FIRST_PAUSE;
    loop {
        match join(control).await {
            Ok(()) => {
                COUNTERS.joined.fetch_add(1, Ordering::Relaxed);
                tell!(telemetry, EmbassyClock.now(), info, "wifi: joined {}", SSID);
                pause = FIRST_PAUSE;
                control
                    .set_power_management(PowerManagementMode::PowerSave)
                    .await;
                // The link comes up a little later than the radio has joined.
                loop {
                    blink(control, heart).await;
                    Timer::after(LOOK).await;
                    if !stack.net.with_link(|link| ConfigurableLink::is_up(link)) {
                        break;
                    }
                }
                tell!(telemetry, EmbassyClock.now(), warn, "wifi: lost {}", SSID);
            }
            Err(why) => {
                COUNTERS.failed.fetch_add(1, Ordering::Relaxed);
                tell!(
                    telemetry,
                    EmbassyClock.now(),
                    warn,
                    "wifi: cannot join {}: {}",
                    SSID,
                    why
                );
                blink(control, heart).await;
                Timer::after(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn join(control: &mut Control<'static>) -> Result<(), &'static str> {
    let options = if PASSPHRASE.is_empty() {
        JoinOptions::new_open()
    } else {
        JoinOptions::new(PASSPHRASE.as_bytes())
    };
    match with_timeout(JOIN_TIMEOUT, control.join(SSID, options)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cyw43::JoinError::NetworkNotFound)) => Err("there is no such network"),
        Ok(Err(cyw43::JoinError::AuthenticationFailure)) => Err("is the passphrase right?"),
        Ok(Err(cyw43::JoinError::JoinFailure(_))) => Err("the access point refuses"),
        Err(_timeout) => Err("nobody answers"),
    }
}

/// A question that only a radio which works answers, for people to see.
async fn blink(control: &mut Control<'static>, heart: &Heart) {
    control.gpio_set(LIGHT, true).await;
    Timer::after(BLINK).await;
    control.gpio_set(LIGHT, false).await;
    heart.beat();
}
