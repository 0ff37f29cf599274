//! Which interrupts there are, and who looks after them.

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;
use cortex_m_rt::{ExceptionFrame, exception};

use crate::{lan9118, program, time};

/// An interrupt of the board's.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Interrupt {
    Counter = 3,
    Alarm = 4,
    Ethernet = 48,
}

// SAFETY: the numbers are the board's, and never change.
unsafe impl InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self as u16
    }
}

/// Lets the interrupts come. Before the devices are set up none does.
pub fn enable() {
    for interrupt in [Interrupt::Counter, Interrupt::Alarm, Interrupt::Ethernet] {
        // SAFETY: whatever the handlers share with others is behind critical sections, none of which is
        // made of priorities.
        unsafe { NVIC::unmask(interrupt) };
    }
}

/// Every interrupt: there is no list of those of this board.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    const COUNTER: i16 = Interrupt::Counter as i16;
    const ALARM: i16 = Interrupt::Alarm as i16;
    const ETHERNET: i16 = Interrupt::Ethernet as i16;
    match number {
        COUNTER | ALARM => time::on_interrupt(),
        ETHERNET => lan9118::on_interrupt(),
        _ => program::fail(format_args!("nobody looks after interrupt {number}")),
    }
}

#[exception]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    program::fail(format_args!("{frame:?}"))
}
