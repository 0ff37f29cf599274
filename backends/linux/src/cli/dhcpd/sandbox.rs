//! What the daemon gives up before it looks at the first lease or packet. Capabilities are gone
//! already, with the sockets that they opened; here it gives up other files (Landlock) and the system
//! calls that only an intruder would need (seccomp).
//!
//! Both do what this kernel can, and say what it could not. The list of system calls is one of those
//! that are denied: a list of those that are needed would end the daemon with the next release of the C
//! library. The systemd unit has such a list, where an administrator can mend it.
//!
//! To be called while there is one thread: those that are started later inherit it all.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{capabilities, no_new_privs};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use thiserror::Error;

use super::desk::SandboxStatus;

/// The directories that stay in reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// Files in them can be read: the configuration's.
    pub(super) read: Vec<PathBuf>,
    /// Files in them can be read, written, made and removed: the store's.
    pub(super) write: Vec<PathBuf>,
    /// Files in them can be removed: that of the control socket, at the end.
    pub(super) remove: Vec<PathBuf>,
}

/// What was not given up, and why.
#[derive(Debug, Error)]
pub(super) enum Weakness {
    /// There is no Landlock, or only a part of it.
    #[error("this kernel {0} (Landlock): the daemon could open files that it does not need")]
    Files(&'static str),
    /// Landlock failed.
    #[error("cannot keep the daemon from files that it does not need (Landlock): {0}")]
    FilesFailed(#[from] RulesetError),
    /// A directory is not there, and so cannot stay in reach.
    #[error("{} will be out of reach: {error}", path.display())]
    Directory {
        path: PathBuf,
        error: landlock::PathFdError,
    },
    /// Seccomp failed.
    #[error("cannot keep the daemon from system calls that it does not need (seccomp): {0}")]
    Calls(String),
}

/// Gives up what can be given up.
pub(super) fn enter(reach: &Reach) -> (SandboxStatus, Vec<Weakness>) {
    let mut weaknesses = Vec::new();
    let landlock = match confine_files(reach, &mut weaknesses) {
        Ok(RulesetStatus::FullyEnforced) => true,
        Ok(RulesetStatus::PartiallyEnforced) => {
            weaknesses.push(Weakness::Files("can do a part of this"));
            true
        }
        Ok(RulesetStatus::NotEnforced) => {
            weaknesses.push(Weakness::Files("cannot do this"));
            false
        }
        Err(error) => {
            weaknesses.push(error.into());
            false
        }
    };
    let seccomp = confine_calls();
    let status = SandboxStatus {
        capabilities: capabilities(None)
            .is_ok_and(|sets| sets.effective.is_empty() && sets.permitted.is_empty()),
        no_new_privs: no_new_privs().unwrap_or(false),
        landlock,
        seccomp: seccomp.is_ok(),
    };
    weaknesses.extend(seccomp.err());
    (status, weaknesses)
}

fn confine_files(
    reach: &Reach,
    weaknesses: &mut Vec<Weakness>,
) -> Result<RulesetStatus, RulesetError> {
    // What newer kernels can do besides is left to newer releases, with tests.
    const KNOWN: ABI = ABI::V6;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write =
        read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg | AccessFs::RemoveFile;
    let remove = AccessFs::RemoveFile.into();
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        // Nobody is called, and who calls us is let in by sockets that are there already.
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    let all: [(&[PathBuf], BitFlags<AccessFs>); 3] = [
        (&reach.read, read),
        (&reach.write, write),
        (&reach.remove, remove),
    ];
    for (paths, access) in all {
        for path in paths {
            match PathFd::new(path) {
                Ok(directory) => rules = rules.add_rule(PathBeneath::new(directory, access))?,
                Err(error) => weaknesses.push(Weakness::Directory {
                    path: path.clone(),
                    error,
                }),
            }
        }
    }
    let RestrictionStatus { ruleset, .. } = rules.restrict_self()?;
    Ok(ruleset)
}

/// What no server needs once it runs: other programs, other processes, other users, other namespaces,
/// the kernel's own workings, and ways around what was given up.
const DENIED: &[i64] = &[
    // Programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_memfd_create,
    // Processes.
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    // Users and namespaces.
    libc::SYS_capset,
    libc::SYS_chroot,
    libc::SYS_setgid,
    libc::SYS_setgroups,
    libc::SYS_setns,
    libc::SYS_setregid,
    libc::SYS_setresgid,
    libc::SYS_setresuid,
    libc::SYS_setreuid,
    libc::SYS_setuid,
    libc::SYS_unshare,
    // File systems.
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_umount2,
    // The kernel.
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    // The clock and the name of the machine.
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

fn confine_calls() -> Result<(), Weakness> {
    let refuse = |errno: i32| SeccompAction::Errno(errno as u32);
    let denied = DENIED.iter().map(|&call| (call, Vec::new()));
    let with_conditions = [
        // Threads are started by it, and so are processes, and namespaces are made.
        (libc::SYS_clone, vec![unless(0, libc::CLONE_THREAD)?]),
        // Memory that holds code is what was loaded at the start.
        (libc::SYS_mmap, vec![when(2, libc::PROT_EXEC)?]),
        (libc::SYS_mprotect, vec![when(2, libc::PROT_EXEC)?]),
        (libc::SYS_pkey_mprotect, vec![when(2, libc::PROT_EXEC)?]),
    ];
    apply(denied.chain(with_conditions).collect(), refuse(libc::EPERM))?;
    // Its arguments are in memory, where no filter can look. Threads are then started by `clone`.
    apply(vec![(libc::SYS_clone3, Vec::new())], refuse(libc::ENOSYS))
}

/// A rule for calls that have this bit in an argument.
fn when(argument: u8, bit: i32) -> Result<SeccompRule, Weakness> {
    bits(argument, bit, bit)
}

/// A rule for calls that do not have it.
fn unless(argument: u8, bit: i32) -> Result<SeccompRule, Weakness> {
    bits(argument, bit, 0)
}

fn bits(argument: u8, mask: i32, value: i32) -> Result<SeccompRule, Weakness> {
    let (len, mask) = (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask as u64));
    SeccompCondition::new(argument, len, mask, value as u64)
        .and_then(|condition| SeccompRule::new(vec![condition]))
        .map_err(failed)
}

fn apply(rules: Vec<(i64, Vec<SeccompRule>)>, refusal: SeccompAction) -> Result<(), Weakness> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(failed)?;
    let rules = rules.into_iter().collect();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture);
    let program: seccompiler::BpfProgram = filter.map_err(failed)?.try_into().map_err(failed)?;
    apply_filter(&program).map_err(failed)
}

fn failed(error: impl ToString) -> Weakness {
    Weakness::Calls(error.to_string())
}

/// The directory that a file is in.
pub(super) fn directory_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The directory that a file is in, which may be a link to another place.
pub(super) fn real_directory_of(file: &Path) -> PathBuf {
    directory_of(&fs::canonicalize(file).unwrap_or_else(|_| file.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::net::TcpStream;
    use std::os::unix::process::CommandExt;
    use std::process::Command;
    use std::thread;

    fn folder(name: &str) -> PathBuf {
        let name = format!("whohas-sandbox-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Runs it in a thread: all that is given up is given up by it and its children alone.
    fn confined(reach: Reach, check: impl FnOnce(SandboxStatus) + Send + 'static) {
        let run = move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            let (status, weaknesses) = enter(&reach);
            for weakness in weaknesses {
                eprintln!("{weakness}");
            }
            check(status);
        };
        thread::spawn(run).join().unwrap();
    }

    fn refused<T: std::fmt::Debug>(result: io::Result<T>) {
        let error = result.expect_err("it is to be refused");
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }

    #[test]
    fn other_programs_processes_and_namespaces_are_out_of_reach() {
        confined(Reach::default(), |status| {
            assert!(status.seccomp && status.no_new_privs);
            refused(Command::new("true").status());
            refused(Err::<(), _>(Command::new("true").exec()));
            refused(crate::sys::be_traced());
            let namespace = rustix::thread::UnshareFlags::NEWUSER;
            #[allow(deprecated)]
            let unshared = rustix::thread::unshare(namespace);
            refused(unshared.map_err(io::Error::from));
            // What the store needs goes on.
            assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
        });
    }

    #[test]
    fn files_are_out_of_reach_but_for_those_of_the_daemon() {
        let [config, state, run] = ["config", "state", "run"].map(folder);
        let file = |folder: &Path| folder.join("file");
        fs::write(file(&config), "before").unwrap();
        fs::write(file(&run), "before").unwrap();
        let reach = Reach {
            read: vec![config.clone()],
            write: vec![state.clone()],
            remove: vec![run.clone()],
        };
        let folders = [config.clone(), state.clone(), run.clone()];
        confined(reach, move |status| {
            if !status.landlock {
                // Where it was promised that everything is run, nothing may be left out.
                assert_ne!(
                    std::env::var("CI").as_deref(),
                    Ok("true"),
                    "no Landlock here"
                );
                return;
            }
            refused(fs::read("/etc/passwd"));
            refused(TcpStream::connect("127.0.0.1:9"));
            assert_eq!(fs::read(file(&config)).unwrap(), b"before");
            refused(fs::write(file(&config), "after"));
            // As a log is written anew.
            let new = state.join("new");
            fs::write(&new, "a").unwrap();
            fs::rename(&new, file(&state)).unwrap();
            fs::write(file(&state), "b").unwrap();
            fs::rename(file(&state), state.join("damaged")).unwrap();
            refused(fs::read(file(&run)));
            fs::remove_file(file(&run)).unwrap();
        });
        for folder in folders {
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_told_and_the_rest_holds() {
        confined(Reach::default(), |status| assert!(status.seccomp));
        let mut weaknesses = Vec::new();
        let reach = Reach {
            write: vec!["/nowhere/at/all".into()],
            ..Reach::default()
        };
        let confine = move || confine_files(&reach, &mut weaknesses).map(|_| weaknesses.len());
        let told = thread::spawn(confine).join().unwrap();
        assert_eq!(told.unwrap(), 1);
    }

    #[test]
    fn a_file_is_in_a_directory_wherever_it_is_named_from() {
        let of = |file: &str| directory_of(Path::new(file));
        assert_eq!(of("/etc/whohas/dhcpd.toml"), Path::new("/etc/whohas"));
        assert_eq!(of("dhcpd.toml"), Path::new("."));
    }
}
