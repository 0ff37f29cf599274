//! Clients that others wrote: what they are started with, and what they understand.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use whohas_lab::Folder;
use whohas_lab::lan::{ETH0, Host};
use whohas_lab::peers::Program;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ISC's.
    Dhclient,
    /// Of the BSDs and of Raspberry Pis.
    Dhcpcd,
    /// busybox's.
    Udhcpc,
}

/// A client that runs at a host.
pub struct Client<'h> {
    kind: Kind,
    host: &'h Host,
    folder: Folder,
    program: Program,
    /// How many leases it has told of, or will have told of.
    told: usize,
}

/// Gives the interface its address, unless somebody answers for that.
const DHCLIENT_SCRIPT: &str = r#"#!/bin/sh
case "$reason" in
PREINIT) ip link set "$interface" up ;;
BOUND | REBOOT)
    busybox arping -q -D -c 2 -w 2 -I "$interface" "$new_ip_address" || exit 1
    ip addr replace "$new_ip_address/24" dev "$interface"
    ;;
EXPIRE | FAIL | RELEASE | STOP) ip addr flush dev "$interface" ;;
esac
exit 0
"#;
const UDHCPC_SCRIPT: &str = r#"#!/bin/sh
case "$1" in
deconfig) ip addr flush dev "$interface" ;;
bound) ip addr replace "$ip/24" dev "$interface" ;;
esac
exit 0
"#;

impl<'h> Client<'h> {
    /// Starts one that has never been here.
    #[track_caller]
    pub fn start(kind: Kind, host: &'h Host) -> Self {
        let folder = Folder::new();
        if kind == Kind::Dhcpcd {
            // Where it keeps leases and sockets, wherever it is told to.
            host.hide("/run");
            host.hide("/var/lib/dhcpcd");
        }
        let script = match kind {
            Kind::Dhclient => DHCLIENT_SCRIPT,
            Kind::Dhcpcd => "#!/bin/sh\n",
            Kind::Udhcpc => UDHCPC_SCRIPT,
        };
        let path = folder.path().join("script");
        fs::write(&path, script).expect("it is ours");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let program = run(kind, host, &folder);
        Self {
            kind,
            host,
            folder,
            program,
            told: 0,
        }
    }

    /// Waits until it tells of a lease; the address.
    #[track_caller]
    pub fn bound(&mut self) -> Ipv4Addr {
        let (before, after) = match self.kind {
            Kind::Dhclient => ("bound to ", " --"),
            Kind::Dhcpcd => ("leased ", " for"),
            Kind::Udhcpc => ("lease of ", " obtained"),
        };
        self.told += 1;
        self.program.expect_times(self.told, before);
        let lines = self.program.said().iter();
        let mut told = lines.filter_map(|line| {
            let (_, rest) = line.split_once(before)?;
            Some(rest.split_once(after)?.0.to_owned())
        });
        let address = told.nth(self.told - 1).expect("an address");
        address.parse().expect("an address")
    }

    /// Has it renew its lease; or waits, if it does as it likes.
    #[track_caller]
    pub fn renew(&mut self) {
        match self.kind {
            Kind::Dhclient => {}
            Kind::Dhcpcd => drop(self.host.run("dhcpcd", &["-4", "-N", ETH0])),
            Kind::Udhcpc => self.program.signal("USR1"),
        }
    }

    /// Has it give the lease back, and end.
    #[track_caller]
    pub fn release(&mut self) {
        match self.kind {
            Kind::Dhclient => {
                // Which writes down what it is called by only after it has told of its lease.
                self.program.signal("TERM");
                self.program.ended();
                let arguments = dhclient(&self.folder);
                let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
                arguments.extend(["-r", ETH0]);
                self.host.run("dhclient", &arguments);
            }
            // While it is about something else it does not hear that now and then.
            Kind::Dhcpcd => loop {
                self.program.signal("ALRM");
                if self.program.ends_within(Duration::from_secs(5)).is_some() {
                    break;
                }
            },
            Kind::Udhcpc => {
                self.program.signal("USR2");
                self.program.expect("entering released state");
                self.program.signal("TERM");
            }
        }
        self.program.ended();
    }

    /// Starts it once more, after it has ended.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.program = run(self.kind, self.host, &self.folder);
        self.told = 0;
    }

    /// Waits until it has said this.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        self.program.expect(text);
    }

    /// What it says when it declines.
    pub fn declining(&self) -> &'static str {
        match self.kind {
            Kind::Dhclient => "DHCPDECLINE",
            Kind::Dhcpcd => "sending DECLINE",
            Kind::Udhcpc => "declining",
        }
    }
}

#[track_caller]
fn run(kind: Kind, host: &Host, folder: &Folder) -> Program {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (script, configuration) = (path("script"), path("conf"));
    let wishes = match kind {
        // It renews after a half of that.
        Kind::Dhclient => "send dhcp-lease-time 10;\n",
        Kind::Dhcpcd | Kind::Udhcpc => "",
    };
    fs::write(&configuration, wishes).expect("it is ours");
    match kind {
        Kind::Dhclient => {
            let arguments = dhclient(folder);
            let mut arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            arguments.push(ETH0);
            host.start("dhclient", &arguments)
        }
        #[rustfmt::skip]
        Kind::Dhcpcd => host.start("dhcpcd", &[
            "-4", "-B", "-d", "-t", "60", "-f", &configuration, "-c", &script, ETH0,
        ]),
        #[rustfmt::skip]
        Kind::Udhcpc => host.start("busybox", &[
            "udhcpc", "-i", ETH0, "-f", "-a", "-T", "2", "-t", "5", "-A", "1", "-s", &script,
        ]),
    }
}

fn dhclient(folder: &Folder) -> Vec<String> {
    let path = |name: &str| folder.path().join(name).display().to_string();
    let files = [
        ("-cf", "conf"),
        ("-lf", "leases"),
        ("-pf", "pid"),
        ("-sf", "script"),
    ];
    let files = files.map(|(flag, name)| [flag.to_owned(), path(name)]);
    let flags = ["-d", "-4", "-v"].map(str::to_owned);
    flags
        .into_iter()
        .chain(files.into_iter().flatten())
        .collect()
}
