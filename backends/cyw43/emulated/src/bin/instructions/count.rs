//! Counting instructions, and saying how many there were.

use core::hint::black_box;

use cortex_m::asm;
use cortex_m_semihosting::hprintln;
use whohas_emulated::program::fail;
use whohas_emulated::time::ticks;

/// What a tick of the timer and an instruction take, in nanoseconds.
const TICK: u64 = 50;
const INSTRUCTION: u64 = 64;
/// How often something is done to be measured.
const SAMPLES: usize = 15;

/// Fails unless instructions are what is counted.
pub fn check() {
    // A turn of its loop is two instructions.
    let counted = |turns: u32| instructions(|| asm::delay(turns));
    let difference = counted(2_000).abs_diff(counted(1_000));
    if difference.abs_diff(2_000) > 1 {
        fail(format_args!(
            "2000 instructions are counted as {difference}: is it `-icount shift=6`?"
        ));
    }
}

/// How many instructions this takes.
pub fn instructions<R>(act: impl FnOnce() -> R) -> u64 {
    let nothing = between(|| ());
    between(act).saturating_sub(nothing)
}

#[inline(never)]
fn between<R>(act: impl FnOnce() -> R) -> u64 {
    let before = ticks();
    black_box(act());
    (ticks() - before) * TICK / INSTRUCTION
}

/// The median of what this measures again and again, as a row.
pub fn row(case: &str, who: &str, mut measure: impl FnMut() -> u64) {
    let mut samples = [0; SAMPLES];
    for sample in &mut samples {
        *sample = measure();
    }
    samples.sort_unstable();
    let value = samples[SAMPLES / 2];
    hprintln!(
        r#"{{"case":"{}","who":"{}","value":{},"unit":"instructions"}}"#,
        case,
        who,
        value
    );
}
