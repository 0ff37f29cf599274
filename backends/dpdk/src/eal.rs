//! How DPDK is started.

use std::process;

use rustix::thread::{CpuSet, sched_getaffinity};

use crate::sys::eal::{Eal, EalError};

/// How DPDK is started: its own arguments.
///
/// ```no_run
/// use whohas_dpdk::EalOptions;
///
/// // Whatever was given to the program for DPDK, as `-l 0-3 -a 0000:01:00.0`.
/// let eal = EalOptions::new().arguments(std::env::args().skip(1)).start()?;
/// # Ok::<(), whohas_dpdk::EalError>(())
/// ```
///
/// Without root, DPDK puts its files to `$XDG_RUNTIME_DIR`, or to a folder for temporary files. In a user
/// namespace it believes to be root and may not write where root does: set `RUNTIME_DIRECTORY` to a folder
/// of yours there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EalOptions {
    arguments: Vec<String>,
    echo: bool,
}

impl EalOptions {
    /// No arguments: huge pages, every core, and every card that is bound to DPDK.
    pub fn new() -> Self {
        Self::default()
    }

    /// Without huge pages, cards, files for other processes or a user's rights, in `megabytes` of memory:
    /// for virtual devices, and for tests.
    pub fn without_hardware(megabytes: u32) -> Self {
        let memory = megabytes.to_string();
        let core = first_core().to_string();
        // DPDK takes another process with the same name for a second part of this one.
        let prefix = format!("--file-prefix=whohas-{}", process::id());
        Self::new().arguments([
            "--no-huge",
            "-m",
            &memory,
            "--no-pci",
            "-l",
            &core,
            "--no-shconf",
            "--no-telemetry",
            "--log-level=4",
            &prefix,
        ])
    }

    /// One more argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A virtual device, as `net_af_packet0,iface=eth0,qpairs=2`: the port is called what is in front
    /// of the first comma.
    pub fn device(self, device: &str) -> Self {
        self.argument(format!("--vdev={device}"))
    }

    /// Has DPDK's log written to the standard error as well. What is logged about a failure is told
    /// with it in any case.
    pub fn log_to_stderr(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Starts DPDK. The calling thread stays on the processors that it was on.
    pub fn start(&self) -> Result<Eal, EalError> {
        Eal::start(&self.arguments, self.echo)
    }
}

/// A core that we may run on.
fn first_core() -> usize {
    let allowed = sched_getaffinity(None).ok();
    let allowed = allowed.and_then(|set| (0..CpuSet::MAX_CPU).find(|&core| set.is_set(core)));
    allowed.unwrap_or(0)
}
