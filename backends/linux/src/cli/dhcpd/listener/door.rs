//! Where visitors come in: a Unix socket that few may use, or a TCP port, on loopback as a rule.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, chmod, fchmod};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
    sockopt::socket_peercred,
};
use rustix::process::{Gid, Uid, geteuid};
use thiserror::Error;

use crate::sys::socket::peer_groups;

/// How many may wait outside.
const BACKLOG: i32 = 16;

/// A socket that listens. What it left in the file system goes with it.
#[derive(Debug)]
pub(in crate::cli::dhcpd) struct Door {
    socket: OwnedFd,
    guard: Option<Guard>,
}

/// Why there is no way in.
#[derive(Debug, Error)]
pub(in crate::cli::dhcpd) enum DoorError {
    /// Another daemon is there.
    #[error("{}: another daemon listens there; stop it, or choose another socket", .0.display())]
    InUse(PathBuf),
    /// Something is there that is not a socket.
    #[error("{}: is in the way and is not a socket; choose another path", .0.display())]
    NotASocket(PathBuf),
    /// The system refused.
    #[error("cannot listen at {at}: {error}")]
    System {
        /// Where.
        at: String,
        /// What it said.
        error: io::Error,
    },
}

impl Door {
    /// A Unix socket for root, for the daemon's own user and, if there is one, for a group.
    ///
    /// A file that a daemon has left there that is gone is removed.
    pub(in crate::cli::dhcpd) fn unix(path: &Path, group: Option<Gid>) -> Result<Self, DoorError> {
        let system = |error: io::Error| DoorError::System {
            at: path.display().to_string(),
            error,
        };
        remove_stale(path)?;
        let address = SocketAddrUnix::new(path).map_err(|error| system(error.into()))?;
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .map_err(|error| system(error.into()))?;
        // Before the file is there, so that it is nobody else's at any moment.
        let own = Mode::RUSR | Mode::WUSR;
        fchmod(&socket, own).map_err(|error| system(error.into()))?;
        bind(&socket, &address).map_err(|error| system(error.into()))?;
        let guard = Guard::of(path, group).map_err(system)?;
        if let Some(group) = group {
            chown(path, None, Some(group.as_raw())).map_err(system)?;
            let shared = own | Mode::RGRP | Mode::WGRP;
            chmod(path, shared).map_err(|error| system(error.into()))?;
        }
        listen(&socket, BACKLOG).map_err(|error| system(error.into()))?;
        Ok(Self {
            socket,
            guard: Some(guard),
        })
    }

    /// A TCP port. Who may reach it is decided by its address: loopback, unless the configuration says
    /// otherwise.
    pub(in crate::cli::dhcpd) fn tcp(address: SocketAddr) -> Result<Self, DoorError> {
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        let listener = listener.map_err(|error| DoorError::System {
            at: address.to_string(),
            error,
        })?;
        Ok(Self {
            socket: listener.into(),
            guard: None,
        })
    }

    /// Whether only those come in that the system vouches for.
    pub(in crate::cli::dhcpd) const fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }

    /// The next visitor, if one waits, and whether it may come in.
    pub(super) fn accept(&self) -> io::Result<Option<(OwnedFd, bool)>> {
        match accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(socket) => {
                let admitted = self
                    .guard
                    .as_ref()
                    .is_none_or(|guard| guard.admits(socket.as_fd()));
                Ok(Some((socket, admitted)))
            }
            // Of the visitor, not of ours: it has gone again.
            Err(Errno::WOULDBLOCK | Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The file of a Unix socket, and who may use it.
#[derive(Debug)]
struct Guard {
    path: PathBuf,
    /// Which file it is, so that another daemon's is not taken for it.
    identity: (u64, u64),
    group: Option<Gid>,
}

impl Guard {
    fn of(path: &Path, group: Option<Gid>) -> io::Result<Self> {
        let file = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: (file.dev(), file.ino()),
            group,
        })
    }

    /// Says so by the peer's own identity: a file's mode can be changed by mistake.
    fn admits(&self, socket: BorrowedFd<'_>) -> bool {
        let Ok(peer) = socket_peercred(socket) else {
            return false;
        };
        if peer.uid == Uid::ROOT || peer.uid == geteuid() {
            return true;
        }
        self.group.is_some_and(|group| {
            peer.gid == group
                || peer_groups(socket).is_ok_and(|groups| groups.contains(&group.as_raw()))
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that nobody listens at.
fn remove_stale(path: &Path) -> Result<(), DoorError> {
    let system = |error| DoorError::System {
        at: path.display().to_string(),
        error,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(system(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(DoorError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(system)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system(error)),
        Ok(_) => Err(DoorError::InUse(path.to_owned())),
    }
}
