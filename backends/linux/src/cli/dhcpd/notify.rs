//! What a service manager is told: the protocol of `sd_notify`, which is a datagram with a few lines.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};
use rustix::time::{ClockId, clock_gettime};
use whohas::Instant;

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub(super) struct Notifier {
    socket: Option<OwnedFd>,
    /// How often it wants to hear from us at least.
    watchdog: Option<Watchdog>,
}

#[derive(Debug)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl Notifier {
    /// By what the manager has put into the environment. To be called before the process renounces the
    /// right to connect to it.
    pub(super) fn connect() -> io::Result<Self> {
        let socket = env::var_os("NOTIFY_SOCKET").map(open).transpose()?;
        let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
        let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|&micros| for_us && micros > 0);
        Ok(Self {
            watchdog: watchdog
                .filter(|_| socket.is_some())
                .map(|micros| Watchdog {
                    // In time even if one is late.
                    every: Duration::from_micros(micros / 2),
                    next: Instant::ZERO,
                }),
            socket,
        })
    }

    /// All is set up: requests are answered from now on.
    pub(super) fn ready(&self, status: impl Display) {
        self.tell(format_args!("READY=1\nSTATUS={status}\n"));
    }

    /// The configuration is being read again. [`ready`](Self::ready) says that it is over.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.tell(format_args!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\n");
    }

    /// That the loop still goes round, if it is time to say so.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Some(watchdog) = &mut self.watchdog else {
            return;
        };
        // A clock that was set back must not keep us silent.
        if watchdog.next <= now || watchdog.next > now + watchdog.every {
            watchdog.next = now + watchdog.every;
            self.tell("WATCHDOG=1\n");
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.watchdog.as_ref().map(|watchdog| watchdog.next)
    }

    /// A manager that does not listen is no reason not to serve.
    fn tell(&self, message: impl Display) {
        if let Some(socket) = &self.socket {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let _ = send(socket, message.to_string().as_bytes(), flags);
        }
    }
}

fn open(name: OsString) -> io::Result<OwnedFd> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name)?,
        path => SocketAddrUnix::new(path)?,
    };
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    connect(&socket, &address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    /// A notifier and the manager's end.
    fn pair(watchdog: Option<Watchdog>) -> (Notifier, UnixDatagram) {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let socket = Some(ours.into());
        (Notifier { socket, watchdog }, theirs)
    }

    fn heard(manager: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 256];
        let len = manager.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..len].to_vec()).unwrap())
    }

    #[test]
    fn the_manager_hears_of_every_turn_in_its_own_words() {
        let (notifier, manager) = pair(None);
        notifier.ready("2 leases");
        assert_eq!(
            heard(&manager).as_deref(),
            Some("READY=1\nSTATUS=2 leases\n")
        );
        notifier.reloading();
        let reloading = heard(&manager).unwrap();
        let micros = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap();
        assert!(micros.trim_end().parse::<u64>().unwrap() > 0);
        notifier.stopping();
        assert_eq!(heard(&manager).as_deref(), Some("STOPPING=1\n"));
    }

    #[test]
    fn the_watchdog_is_fed_when_it_is_time_and_not_before() {
        let every = Duration::from_secs(5);
        let (mut notifier, manager) = pair(Some(Watchdog {
            every,
            next: Instant::ZERO,
        }));
        let start = Instant::from_secs(1_000);
        notifier.handle_timeout(start);
        assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1\n"));
        assert_eq!(notifier.poll_timeout(), Some(start + every));
        notifier.handle_timeout(start + every - Duration::from_micros(1));
        assert_eq!(heard(&manager), None);
        notifier.handle_timeout(start + every);
        assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1\n"));
        // The clock is set back by a day.
        notifier.handle_timeout(Instant::from_secs(1));
        assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1\n"));
    }

    #[test]
    fn without_a_manager_nothing_is_said() {
        let notifier = Notifier {
            socket: None,
            watchdog: None,
        };
        notifier.ready("nobody hears this");
        assert_eq!(notifier.poll_timeout(), None);
    }
}
