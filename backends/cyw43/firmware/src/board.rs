//! A Pico 2 W: its radio, its watchdog and its source of randomness.

use cyw43::{A4, Aligned, Control, NetDriver, Runner, SpiBus, State};
use cyw43_firmware::{CYW43_43439A0, CYW43_43439A0_CLM};
use cyw43_pio::{PioSpi, RM2_CLOCK_DIVIDER};
use embassy_rp::gpio::{Level, Output};
use embassy_rp::peripherals::{DMA_CH0, PIN_23, PIN_24, PIN_25, PIN_29, PIO0, TRNG, WATCHDOG};
use embassy_rp::pio::Pio;
use embassy_rp::trng::{self, Trng};
use embassy_rp::{Peri, bind_interrupts, dma, pio};
use static_cell::StaticCell;

use crate::settings::SETTINGS;

bind_interrupts!(struct Interrupts {
    DMA_IRQ_0 => dma::InterruptHandler<DMA_CH0>;
    PIO0_IRQ_0 => pio::InterruptHandler<PIO0>;
    TRNG_IRQ => trng::InterruptHandler<TRNG>;
});

/// What runs the radio.
pub type RadioRunner = Runner<'static, SpiBus<Output<'static>, PioSpi<'static, PIO0, 0>>>;

/// What the programs use of the board.
pub struct Board {
    /// The radio, without power.
    pub radio: RadioParts,
    /// The watchdog, asleep.
    pub watchdog: Peri<'static, WATCHDOG>,
    /// Truly random, and another one at every start.
    pub seed: u64,
}

/// Where the radio is.
pub struct RadioParts {
    power: Peri<'static, PIN_23>,
    select: Peri<'static, PIN_25>,
    data: Peri<'static, PIN_24>,
    clock: Peri<'static, PIN_29>,
    pio: Peri<'static, PIO0>,
    dma: Peri<'static, DMA_CH0>,
}

impl Board {
    /// The board; once.
    pub fn take() -> Self {
        let parts = embassy_rp::init(embassy_rp::config::Config::default());
        let mut random = Trng::new(parts.TRNG, Interrupts, trng::Config::default());
        Self {
            radio: RadioParts {
                power: parts.PIN_23,
                select: parts.PIN_25,
                data: parts.PIN_24,
                clock: parts.PIN_29,
                pio: parts.PIO0,
                dma: parts.DMA_CH0,
            },
            watchdog: parts.WATCHDOG,
            seed: random.blocking_next_u64(),
        }
    }
}

/// The radio: its driver for a stack, its control, and what has to run for both of them.
pub struct Radio {
    /// Frames.
    pub driver: NetDriver<'static>,
    /// Everything else.
    pub control: Control<'static>,
    /// A task.
    pub runner: RadioRunner,
}

impl RadioParts {
    /// Gives the radio power, and what it runs.
    pub async fn power_on(self) -> Radio {
        static FIRMWARE: &Aligned<A4, [u8]> = &Aligned(*CYW43_43439A0);
        let mut pio = Pio::new(self.pio, Interrupts);
        let bus = PioSpi::new(
            &mut pio.common,
            pio.sm0,
            // Faster than this the RP2350 does not read it reliably.
            RM2_CLOCK_DIVIDER,
            pio.irq0,
            Output::new(self.select, Level::High),
            self.data,
            self.clock,
            dma::Channel::new(self.dma, Interrupts),
        );
        let power = Output::new(self.power, Level::Low);
        let (driver, control, runner) = cyw43::new(state(), power, bus, FIRMWARE, SETTINGS).await;
        Radio {
            driver,
            control,
            runner,
        }
    }
}

/// What the radio's driver and its runner share.
// Not a part of whoever calls it: what goes over the stack would do so at every poll.
#[inline(never)]
fn state() -> &'static mut State {
    static STATE: StaticCell<State> = StaticCell::new();
    STATE.init_with(State::new)
}

/// Sets the radio up; its runner has to run already. Then it has an address, and may join.
pub async fn set_up(control: &mut Control<'static>) {
    control.init(CYW43_43439A0_CLM).await;
}
