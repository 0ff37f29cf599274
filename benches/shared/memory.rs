//! How much memory a table takes, as the system sees it: what an allocator was asked for says nothing
//! of its own overhead, and counts zeros that were promised but never written to.
//!
//! Each table is made in a process of its own, where nobody has left memory to be used again.

use std::process::Command;
use std::rc::Rc;
use std::time::Duration;
use std::{env, fs, mem};

use crate::cases::{Figure, Lan};
use crate::{CONTENDERS, Figures};

const OPTION: &str = "--memory-of";

/// Has every contender measured by a process that prints the row. Nothing where the system does not
/// say how much memory a process has.
pub(crate) fn measure(size: u32) {
    if resident().is_none() {
        return;
    }
    let program = env::current_exe().expect("the bench knows where it is");
    for contender in 0..CONTENDERS.len() {
        let status = Command::new(&program)
            .args([OPTION, &contender.to_string(), &size.to_string()])
            // glibc gives large blocks back when they are freed, instead of by experience.
            .env("MALLOC_MMAP_THRESHOLD_", "65536")
            .status();
        assert!(status.expect("the bench runs again").success());
    }
}

/// If we are such a process: does what it is for.
pub(crate) fn is_all_that_is_wanted() -> bool {
    let mut arguments = env::args()
        .skip_while(|argument| argument != OPTION)
        .skip(1);
    let mut number = || arguments.next()?.parse::<u32>().ok();
    let (Some(contender), Some(size)) = (number(), number()) else {
        return false;
    };
    print(contender as usize, size);
    true
}

fn print(contender: usize, size: u32) {
    let lan = &Rc::new(Lan::new(size));
    let fill = || CONTENDERS[contender](lan, Duration::ZERO);
    // What is there once in a process is not counted.
    mem::forget(fill());
    let before = resident();
    let filled = fill();
    let (Some(before), Some(after)) = (before, resident()) else {
        return;
    };
    let bytes = (after - before) / f64::from(size);
    let mut figures = Figures::default();
    let figure = Figure::new("memory-per-entry", bytes, "bytes");
    figures.add(filled.name(), [figure]);
    figures.print(&format!("/{size}"));
}

/// How many bytes of memory this process has that are no file's.
fn resident() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}
