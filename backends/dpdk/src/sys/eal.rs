//! DPDK's environment: one for the process.

use std::ffi::{CStr, CString, c_int};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, fs};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::failure::Failure;
use super::ffi;
use super::pool::sweep;
use super::thread::Registered;

/// There was one already: DPDK starts once in a process.
static STARTED: AtomicBool = AtomicBool::new(false);

/// DPDK's environment. Clones are the same one; when the last is dropped, and with it whatever was made
/// of them, DPDK is shut down. A process has one in its life.
#[derive(Clone)]
pub struct Eal(
    // Held for what its end does.
    #[expect(dead_code)] Arc<Running>,
);

struct Running {
    /// Where DPDK has put its files.
    runtime_dir: Option<PathBuf>,
}

/// Why DPDK was not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EalError {
    /// It was, once: this process has used up its start.
    #[error("DPDK starts once in a process: keep the first `Eal`, and clone it")]
    Again,
    /// An argument has a zero byte in it.
    #[error("the argument {0:?} has a zero byte in it")]
    Argument(String),
    /// DPDK would not.
    #[error(
        "DPDK does not start: {0} (without huge pages and devices: `--no-huge -m 64 --no-pci`)"
    )]
    Start(#[from] Failure),
}

impl Eal {
    /// Starts DPDK with its own arguments, without a program's name.
    ///
    /// The thread goes on where it ran before: DPDK would bind it, and all that it starts, to one core.
    pub(crate) fn start(arguments: &[String], echo: bool) -> Result<Self, EalError> {
        let mut argv = vec![CString::from(c"whohas")];
        for argument in arguments {
            let argument = CString::new(argument.as_str());
            argv.push(argument.map_err(|error| {
                let bytes = error.into_vec();
                EalError::Argument(String::from_utf8_lossy(&bytes).into_owned())
            })?);
        }
        if STARTED.swap(true, Ordering::AcqRel) {
            return Err(EalError::Again);
        }
        let affinity = sched_getaffinity(None);
        // DPDK keeps some of its arguments, and moves them about: they are its own from here on.
        let mut argv: Vec<_> = argv.into_iter().map(CString::into_raw).collect();
        let argc = argv.len() as c_int;
        argv.push(std::ptr::null_mut());
        let argv = Vec::leak(argv);
        // SAFETY: this happens once in the life of the process, with a list of strings that live for
        // ever and that ends with null, as the arguments of a program do.
        let code = unsafe {
            // A log that cannot be kept goes where DPDK sends it.
            ffi::whohas_log_keep(echo);
            ffi::rte_eal_init(argc, argv.as_mut_ptr())
        };
        restore(affinity);
        if code < 0 {
            return Err(Failure::last("rte_eal_init").into());
        }
        Ok(Self(Arc::new(Running {
            runtime_dir: runtime_dir(),
        })))
    }

    /// Makes this thread known to DPDK, so that it takes frames from pools, and gives them back, without
    /// asking the others each time.
    pub fn register_thread(&self) -> Result<Registered, Failure> {
        Registered::new(self)
    }

    /// The release of DPDK that runs, as it says itself.
    pub fn version(&self) -> String {
        // SAFETY: a constant string.
        let version = unsafe { CStr::from_ptr(ffi::rte_version()) };
        version.to_string_lossy().into_owned()
    }
}

impl Drop for Eal {
    fn drop(&mut self) {
        // What was left may be all that keeps DPDK running.
        sweep();
    }
}

impl fmt::Debug for Eal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Eal").field(&self.version()).finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: it runs, as `Running` is made when it has been started, and whatever was made of it
        // has a clone of its handle: this is the last.
        unsafe { ffi::rte_eal_cleanup() };
        if let Some(dir) = &self.runtime_dir {
            // Of use to nobody now, and it may be gone.
            let _ = fs::remove_dir_all(dir);
        }
    }
}

fn restore(affinity: rustix::io::Result<CpuSet>) {
    if let Ok(affinity) = affinity {
        // Where we may not, we run where DPDK has put us.
        let _ = sched_setaffinity(None, &affinity);
    }
}

fn runtime_dir() -> Option<PathBuf> {
    // SAFETY: it runs, and its folder's name stays as it is as long as it does.
    let dir = unsafe { CStr::from_ptr(ffi::rte_eal_get_runtime_dir()) };
    let dir = dir.to_str().ok()?;
    (!dir.is_empty()).then(|| PathBuf::from(dir))
}
