//! What stages need of the machine, and the getting of it: Debian's packages where we may install
//! them, `cargo install` everywhere. Toolchains, components and targets are the user's to add:
//! for those we say the command.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cross::{CrossToolchain, THUMBV6M, THUMBV8M};
use crate::project::Project;
use crate::shell::{Shell, answer};

/// What pkg-config is asked for, here and by the build script of the backend.
const LIBDPDK: &str = "libdpdk >= 22.11";

/// What a virtual network card boots with.
const BOOT_ROM: &str = "/usr/lib/ipxe/qemu/pxe-virtio.rom";

/// Something that a stage cannot run without.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    ArpScan,
    Broker,
    CargoFuzz,
    Clippy,
    Collector,
    CrossToolchain,
    DhcpClients,
    DhcpServer,
    Dpdk,
    LoadGenerator,
    NameServer,
    NetworkTools,
    Nightly,
    OldestRust,
    Qemu,
    Rustfmt,
    Testpmd,
    Valgrind,
    VirtualMachine,
}

/// A need that is not met.
#[derive(Clone)]
pub(crate) struct Lack {
    /// What is missing, and what would help.
    pub(crate) reason: String,
    /// We are not able to get it on this machine, whatever we try.
    pub(crate) beyond_us: bool,
}

/// How a need can be met.
enum Source {
    Debian(&'static [&'static str]),
    Cargo(&'static str),
    /// From the Python package index, into a folder of ours, on what these packages of Debian bring.
    Pip {
        package: &'static str,
        needs: &'static [&'static str],
    },
    /// Only by the user, with this command.
    User(&'static str),
}

/// What of the needs the machine lacks.
pub(crate) struct Machine {
    lacks: BTreeMap<Need, Lack>,
}

impl Machine {
    /// Looks for everything in `needs` and tries to get what is missing.
    pub(crate) fn set_up(
        project: &Project,
        shell: &Shell,
        needs: impl IntoIterator<Item = Need>,
    ) -> Self {
        let mut lacks = BTreeMap::new();
        for need in needs {
            if need.is_met(project) || lacks.contains_key(&need) {
                continue;
            }
            let attempt = need.get(project, shell);
            if !need.is_met(project) {
                lacks.insert(need, need.lack(project, attempt));
            }
        }
        for lack in lacks.values() {
            shell.say(&format!("setup: {}", lack.reason));
        }
        Self { lacks }
    }

    /// The first of `needs` that is not met.
    pub(crate) fn lack(&self, needs: &[Need]) -> Option<&Lack> {
        needs.iter().find_map(|need| self.lacks.get(need))
    }
}

impl Need {
    fn is_met(self, project: &Project) -> bool {
        match self {
            Self::ArpScan => are_there(&["arp-scan"]),
            Self::Broker => are_there(&["mosquitto", "mosquitto_sub"]),
            Self::CargoFuzz => answer(project.cargo("fuzz").arg("--version")).is_some(),
            Self::Clippy => answer(project.cargo("clippy").arg("--version")).is_some(),
            Self::Collector => collector(project).is_some(),
            Self::CrossToolchain => [THUMBV8M, THUMBV6M]
                .into_iter()
                .all(|target| CrossToolchain::find(target).is_some()),
            Self::DhcpClients => are_there(&["busybox", "dhclient", "dhcpcd"]),
            Self::DhcpServer => are_there(&["kea-dhcp4", "perfdhcp"]),
            Self::Dpdk => answer(pkg_config().args(["--exists", LIBDPDK])).is_some(),
            Self::LoadGenerator => are_there(&["curl", "wrk"]),
            Self::NameServer => answer(Command::new("dnsmasq").arg("--version")).is_some(),
            Self::NetworkTools => {
                are_there(&["ethtool", "ip", "ping", "script", "sysctl"]) && has_arping()
            }
            Self::Nightly => answer(&mut project.nightly_cargo("--version")).is_some(),
            Self::OldestRust => OldestRust::find(project).is_some(),
            Self::Qemu => answer(Command::new("qemu-system-arm").arg("--version")).is_some(),
            Self::Rustfmt => answer(project.cargo("fmt").arg("--version")).is_some(),
            // Not started: whatever it is asked, it might take the machine's network for itself.
            Self::Testpmd => is_in_path("dpdk-testpmd"),
            Self::Valgrind => answer(Command::new("valgrind").arg("--version")).is_some(),
            Self::VirtualMachine => {
                are_there(&["qemu-system-x86_64"]) && Path::new(BOOT_ROM).exists()
            }
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::ArpScan => "a scanner to compare with",
            Self::Broker => "an MQTT broker",
            Self::CargoFuzz => "cargo-fuzz",
            Self::Clippy => "clippy",
            Self::Collector => "a telemetry collector",
            Self::CrossToolchain => "a compiler for Cortex-M",
            Self::DhcpClients => "a DHCP client that others wrote",
            Self::DhcpServer => "a DHCP server to compare with, and its load generator",
            Self::Dpdk => "libdpdk 22.11 or newer",
            Self::LoadGenerator => "a program that loads a web server",
            Self::NameServer => "a DNS server",
            Self::NetworkTools => "a tool that talks to the kernel's network",
            Self::Nightly => "a nightly toolchain",
            Self::OldestRust => "the toolchain of rust-version",
            Self::Qemu => "an emulator for Cortex-M",
            Self::Rustfmt => "rustfmt",
            Self::Testpmd => "DPDK's own forwarder to compare with",
            Self::Valgrind => "valgrind",
            Self::VirtualMachine => "a machine that boots from the network",
        }
    }

    fn source(self) -> Source {
        match self {
            Self::ArpScan => Source::Debian(&["arp-scan"]),
            Self::Broker => Source::Debian(&["mosquitto", "mosquitto-clients"]),
            Self::CargoFuzz => Source::Cargo("cargo-fuzz"),
            Self::Clippy => Source::User("rustup component add clippy"),
            // Built for the Python of Debian 12, whose library it loads.
            Self::Collector => Source::Pip {
                package: "rotel==0.0.1a15",
                needs: &["libpython3.11", "python3-venv"],
            },
            Self::CrossToolchain => Source::Debian(&["rustc-web", "rust-web-src"]),
            Self::DhcpClients => Source::Debian(&["busybox", "dhcpcd-base", "isc-dhcp-client"]),
            Self::DhcpServer => Source::Debian(&["kea-admin", "kea-dhcp4-server"]),
            Self::Dpdk => Source::Debian(&["libdpdk-dev", "pkg-config"]),
            Self::LoadGenerator => Source::Debian(&["curl", "wrk"]),
            Self::NameServer => Source::Debian(&["dnsmasq-base"]),
            Self::NetworkTools => Source::Debian(&[
                "bsdutils",
                "ethtool",
                "iproute2",
                "iputils-arping",
                "iputils-ping",
                "procps",
            ]),
            Self::Nightly => Source::User("rustup toolchain install nightly"),
            Self::OldestRust => Source::User("rustup toolchain install"),
            Self::Qemu => Source::Debian(&["qemu-system-arm"]),
            Self::Rustfmt => Source::User("rustup component add rustfmt"),
            Self::Testpmd => Source::Debian(&["dpdk-dev"]),
            Self::Valgrind => Source::Debian(&["valgrind"]),
            Self::VirtualMachine => Source::Debian(&["ipxe-qemu", "qemu-system-x86"]),
        }
    }

    /// What the user can do; not always what we would do.
    fn remedy(self, project: &Project) -> String {
        match (self, self.source()) {
            (Self::CrossToolchain, _) => format!("rustup target add {THUMBV8M} {THUMBV6M}"),
            (Self::OldestRust, Source::User(command)) => {
                format!("{command} {}", project.rust_version)
            }
            (_, Source::Debian(packages)) => format!("sudo apt-get install {}", packages.join(" ")),
            (_, Source::Cargo(package)) => format!("cargo install --locked {package}"),
            (_, Source::Pip { package, needs }) => {
                let folder = python_folder(project);
                let (needs, folder) = (needs.join(" "), folder.display());
                format!(
                    "sudo apt-get install {needs}; python3 -m venv {folder} && \
                     {folder}/bin/pip install {package}"
                )
            }
            (_, Source::User(command)) => command.into(),
        }
    }

    /// Tries to meet the need; the error says why that did not work.
    fn get(self, project: &Project, shell: &Shell) -> Result<(), Problem> {
        match self.source() {
            Source::Debian(packages) => {
                may_install_packages()?;
                let is_enough = || self.is_met(project);
                install_packages(shell, packages, is_enough).map_err(Problem::Failed)
            }
            Source::Cargo(package) => {
                shell.say(&format!("setup: cargo install --locked {package}"));
                let mut install = project.cargo("install");
                shell
                    .run("setup", install.args(["--locked", package]))
                    .map(drop)
                    .map_err(Problem::Failed)
            }
            Source::Pip { package, needs } => {
                let first = install_from_python(project, shell, package);
                if self.is_met(project) {
                    return Ok(());
                }
                if let Err(problem) = may_install_packages() {
                    return first.map_err(Problem::Failed).and(Err(problem));
                }
                install_packages(shell, needs, || true).map_err(Problem::Failed)?;
                install_from_python(project, shell, package).map_err(Problem::Failed)
            }
            Source::User(_) => Err(Problem::BeyondUs("only you can install it".into())),
        }
    }

    fn lack(self, project: &Project, attempt: Result<(), Problem>) -> Lack {
        let (beyond_us, why) = match attempt {
            Ok(()) => (false, "what was installed does not do".into()),
            Err(Problem::BeyondUs(why)) => (true, why),
            Err(Problem::Failed(error)) => (false, format!("{error:#}")),
        };
        let (what, remedy) = (self.what(), self.remedy(project));
        Lack {
            reason: format!("{what} is missing ({why}); try `{remedy}`"),
            beyond_us,
        }
    }
}

/// Whether these programs can be started; what they say to it does not matter.
fn are_there(programs: &[&str]) -> bool {
    let starts = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    programs.iter().all(starts)
}

/// There are two of that name, which understand each other's flags as something else.
fn has_arping() -> bool {
    let version = answer(Command::new("arping").arg("-V"));
    version.is_some_and(|version| version.contains("iputils"))
}

fn is_in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// As the build script of the backend runs it.
fn pkg_config() -> Command {
    Command::new(env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into()))
}

/// The collector that was installed for us, if it runs.
pub(crate) fn collector(project: &Project) -> Option<PathBuf> {
    let versions = fs::read_dir(python_folder(project).join("lib")).ok()?;
    let programs = versions
        .flatten()
        .map(|python| python.path().join("site-packages/rotel/rotel-agent"));
    let mut running =
        programs.filter(|program| answer(Command::new(program).arg("--version")).is_some());
    running.next()
}

/// Where Python's packages are installed.
fn python_folder(project: &Project) -> PathBuf {
    project.target_dir.join("python")
}

/// A toolchain of the `rust-version` that Cargo.toml promises.
pub(crate) enum OldestRust {
    /// The one that runs us.
    InUse,
    /// Another one, by the name that rustup gives it.
    Beside(String),
}

impl OldestRust {
    pub(crate) fn find(project: &Project) -> Option<Self> {
        let promised = &project.rust_version;
        let in_use = answer(Command::new("rustc").arg("--version"))?;
        if in_use.starts_with(&format!("rustc {promised}.")) {
            return Some(Self::InUse);
        }
        let installed = answer(Command::new("rustup").args(["toolchain", "list"]))?;
        let names = installed.lines().filter_map(|line| line.split(' ').next());
        let prefixes = [format!("{promised}."), format!("{promised}-")];
        names
            .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)))
            .map(|name| Self::Beside(name.to_owned()))
            .next()
    }
}

/// Why a need could not be met.
enum Problem {
    BeyondUs(String),
    Failed(anyhow::Error),
}

fn may_install_packages() -> Result<(), Problem> {
    if !Path::new("/etc/debian_version").exists()
        || answer(Command::new("apt-get").arg("-v")).is_none()
    {
        return Err(Problem::BeyondUs("this is not Debian".into()));
    }
    if answer(Command::new("id").arg("-u")).is_none_or(|id| id != "0") {
        return Err(Problem::BeyondUs("installing it takes root".into()));
    }
    Ok(())
}

/// Installs, and where that fails or gets too old a version refreshes the lists of packages and tries
/// once more: a fresh machine has none, or those of the day when its image was made.
fn install_packages(
    shell: &Shell,
    packages: &[&str],
    is_enough: impl Fn() -> bool,
) -> anyhow::Result<()> {
    shell.say(&format!("setup: apt-get install {}", packages.join(" ")));
    let install = || {
        let mut command = apt_get("install");
        command
            .args(["--no-install-recommends", "--yes"])
            .args(packages);
        shell.run("setup", &mut command)
    };
    if install().is_err() || !is_enough() {
        shell.say("setup: apt-get update");
        shell.run("setup", &mut apt_get("update"))?;
        install()?;
    }
    Ok(())
}

fn install_from_python(project: &Project, shell: &Shell, package: &str) -> anyhow::Result<()> {
    let folder = python_folder(project);
    shell.say(&format!("setup: pip install {package}"));
    let mut make = Command::new("python3");
    shell.run("setup", make.args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(folder.join("bin/pip"));
    let quiet = ["--disable-pip-version-check", "--quiet"];
    shell.run("setup", install.arg("install").args(quiet).arg(package))?;
    Ok(())
}

fn apt_get(subcommand: &str) -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg(subcommand)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}
