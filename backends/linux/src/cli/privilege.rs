//! The capabilities that are needed, raised for the calls that need them, and then none at all.

use rustix::process::{geteuid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
    set_no_new_privs,
};

use super::failure::Failure;

/// What packet sockets need, and what lets them have a larger buffer than others may.
const RAW_SOCKETS: CapabilitySet = CapabilitySet::NET_RAW.union(CapabilitySet::NET_ADMIN);
/// The same, and what a port below 1024 needs.
const SERVER_SOCKETS: CapabilitySet = RAW_SOCKETS.union(CapabilitySet::NET_BIND_SERVICE);

/// Refuses to run with another user's files at hand: capabilities do what is needed.
pub(super) fn refuse_set_user_id() -> Result<(), Failure> {
    if getuid() == geteuid() {
        return Ok(());
    }
    Err(Failure::usage(
        "whohas is not made to be set-user-ID: take that bit off, and run `setcap cap_net_raw+p` on it",
    ))
}

/// Lowers what is raised: from now on files are read with a user's rights. What is held can be raised
/// again, until sockets have been opened.
pub(super) fn lower() -> Result<(), Failure> {
    let held = capabilities(None).map_err(|error| failed("read", error))?;
    set(CapabilitySet::empty(), held.permitted)
}

/// Runs `open` with nothing raised but the right to packet sockets, if there is that right; after it
/// there is none, and none can be had again.
pub(super) fn with_raw_sockets<T>(open: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    with(RAW_SOCKETS, open)
}

/// The same with the right to listen at DHCP's port besides.
pub(super) fn with_server_sockets<T>(
    open: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    with(SERVER_SOCKETS, open)
}

fn with<T>(wanted: CapabilitySet, open: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let held = capabilities(None).map_err(|error| failed("read", error))?;
    set(held.permitted & wanted, held.permitted & wanted)?;
    let opened = open();
    set(CapabilitySet::empty(), CapabilitySet::empty())?;
    // Refused by kernels from before 4.3, where there is nothing to clear.
    let _ = clear_ambient_capability_set();
    set_no_new_privs(true).map_err(|error| failed("renounce", error))?;
    opened
}

fn set(effective: CapabilitySet, permitted: CapabilitySet) -> Result<(), Failure> {
    let sets = CapabilitySets {
        effective,
        permitted,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(|error| failed("reduce", error))
}

fn failed(what: &str, error: rustix::io::Errno) -> Failure {
    Failure::device(format!("cannot {what} the privileges"), error.into())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn sets() -> (CapabilitySet, CapabilitySet) {
        let held = capabilities(None).unwrap();
        (held.effective, held.permitted)
    }

    /// In a thread, which has privileges of its own.
    #[test]
    fn nothing_is_raised_but_while_sockets_are_opened() {
        let run = || {
            let none = CapabilitySet::empty();
            let (_, held) = sets();
            lower().unwrap();
            assert_eq!(sets(), (none, held));
            let wanted = held & SERVER_SOCKETS;
            with_server_sockets(|| {
                assert_eq!(sets(), (wanted, wanted));
                Ok(())
            })
            .unwrap();
            assert_eq!(sets(), (none, none));
        };
        thread::spawn(run).join().unwrap();
    }
}
