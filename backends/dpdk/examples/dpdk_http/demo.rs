//! A cable to try it on: a veth pair in a network namespace of this program's own, which is gone when the
//! program is. As root, or as anybody who may make user namespaces.

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::num::NonZeroU16;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, id};
use std::thread;
use std::time::{Duration, Instant};

/// Our end of the cable, which has no address of the kernel's.
pub(crate) const US: &str = "us";
/// The kernel's end.
const THEM: &str = "them";
const THEIR_IP: &str = "10.0.0.2/24";
/// Where DPDK leaves its files: in its usual place only root may.
const RUNTIME: &str = "RUNTIME_DIRECTORY";
/// Says to the second start of this program that it is inside.
const INSIDE: &str = "WHOHAS_DEMO";

/// The namespace that this process is in, with its cable.
pub(crate) struct Demo {
    runtime: PathBuf,
    is_root: bool,
}

impl Demo {
    /// Starts this program anew in a namespace, where it comes back to here and lays the cable.
    pub(crate) fn enter() -> Result<Self, Box<dyn Error>> {
        let runtime = env::temp_dir().join(format!("dpdk_http-{}", id()));
        let Some(is_root) = env::var_os(INSIDE) else {
            return Err(enter_namespace(&runtime));
        };
        fs::create_dir(&runtime)?;
        let demo = Self {
            runtime,
            is_root: is_root == "root",
        };
        lay_cable()?;
        Ok(demo)
    }

    /// How to get at the server from another terminal.
    pub(crate) fn explain(&self, url: &str) {
        let user = match self.is_root {
            true => "",
            false => "--user --preserve-credentials ",
        };
        println!("\nFrom another terminal:");
        for program in [
            format!("curl {url}status"),
            format!("wrk --connections 64 --duration 5 {url}hello"),
        ] {
            println!("  nsenter --target {} {user}--net {program}", id());
        }
        println!("Ctrl-C ends it.\n");
    }

    /// Fetches a page from the kernel's end.
    pub(crate) fn fetch(&self, port: NonZeroU16) -> Result<(), Box<dyn Error>> {
        let url = url(port);
        let words = ["--silent", "--show-error", "--include", "--max-time", "10"];
        for path in ["hello", "status"] {
            // The status is brought up to date now and then.
            thread::sleep(Duration::from_millis(250));
            let page = format!("{url}{path}");
            let words: Vec<_> = words.into_iter().chain([page.as_str()]).collect();
            println!("{}", tool("curl", &words)?);
        }
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.runtime);
    }
}

/// The server of the demo.
pub(crate) fn url(port: NonZeroU16) -> String {
    match port.get() {
        80 => "http://10.0.0.1/".to_owned(),
        port => format!("http://10.0.0.1:{port}/"),
    }
}

/// Becomes `unshare`, which becomes this program again: one process all the time, so that a signal
/// finds it. Returns if that fails.
fn enter_namespace(runtime: &PathBuf) -> Box<dyn Error> {
    let works = |flags: &[&str]| {
        let tried = Command::new("unshare").args(flags).arg("true").output();
        tried.is_ok_and(|output| output.status.success())
    };
    const ROOT: &[&str] = &["--net"];
    const USER: &[&str] = &["--map-root-user", "--net"];
    let (flags, who) = if works(ROOT) {
        (ROOT, "root")
    } else if works(USER) {
        (USER, "user")
    } else {
        return "no network namespace can be made here: be root, or allow user namespaces \
            (and have `unshare`, of util-linux)"
            .into();
    };
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error.into(),
    };
    show("unshare", flags);
    Command::new("unshare")
        .args(flags)
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, who)
        .env(RUNTIME, runtime)
        .exec()
        .into()
}

fn lay_cable() -> Result<(), Box<dyn Error>> {
    let pair = ["link", "add", US, "type", "veth", "peer", "name", THEM];
    tool("ip", &pair)?;
    for end in [US, THEM] {
        // No IPv6 of the kernel's, which would only be noise.
        tool("ip", &["link", "set", end, "addrgenmode", "none", "up"])?;
    }
    tool("ip", &["address", "add", THEIR_IP, "dev", THEM])?;
    // The kernel leaves checksums to the other end of a veth, which is a stack that checks them.
    tool("ethtool", &["-K", THEM, "tx", "off"])?;
    wait_until_running()
}

/// Ends do not forward frames at once when they are set up.
fn wait_until_running() -> Result<(), Box<dyn Error>> {
    let patience = Instant::now() + Duration::from_secs(10);
    for end in [US, THEM] {
        while !run("ip", &["-oneline", "link", "show", end])?.contains("state UP") {
            if Instant::now() > patience {
                return Err(format!("the cable's end `{end}` does not come up").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// Runs a program that has to succeed, and shows it.
fn tool(program: &str, words: &[&str]) -> Result<String, Box<dyn Error>> {
    show(program, words);
    run(program, words)
}

fn show(program: &str, words: &[&str]) {
    println!("+ {program} {}", words.join(" "));
}

fn run(program: &str, words: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("`{program}` is not here: install {}", package(program)),
        _ => format!("`{program}` does not run: {error}"),
    })?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {}: {}", words.join(" "), complaint.trim_end()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What Debian and others call the package that has a program.
fn package(program: &str) -> &str {
    match program {
        "ip" => "iproute2",
        other => other,
    }
}
