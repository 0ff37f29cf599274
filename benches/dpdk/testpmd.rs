//! DPDK's own test program, which swaps the MAC addresses of frames and sends them back.

use std::io::Read;
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How many packets per second it has moved on a port of this driver.
pub(crate) fn run(device: &str, cores: [usize; 2], time: Duration) -> Result<f64, String> {
    let [main, forwarding] = cores;
    let mut command = Command::new("dpdk-testpmd");
    command
        .args([
            "--no-huge",
            "-m",
            "128",
            "--no-pci",
            "--no-shconf",
            "--no-telemetry",
        ])
        .args([
            "-l",
            &format!("{main},{forwarding}"),
            "--main-lcore",
            &main.to_string(),
        ])
        .arg(format!("--file-prefix=whohas-testpmd-{}", process::id()))
        .args(["--log-level=4", &format!("--vdev={device}"), "--"])
        .args([
            "--forward-mode=macswap",
            "--nb-cores=1",
            "--burst=32",
            "--tx-first",
        ])
        .args(["--stats-period", "1", "--total-num-mbufs=4096"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("dpdk-testpmd does not run: {error}"))?;
    // It starts within that time too.
    thread::sleep(time);
    if let Some(id) = Pid::from_raw(child.id().cast_signed()) {
        // Where it has ended already, what it has said tells why.
        let _ = kill_process(id, Signal::INT);
    }
    let mut said = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout
            .read_to_string(&mut said)
            .map_err(|error| error.to_string())?;
    }
    child.wait().map_err(|error| error.to_string())?;
    rate(&said).ok_or_else(|| format!("dpdk-testpmd tells no rate: {said}"))
}

/// The best of the rates that it tells; the first, when it has just begun, is zero.
fn rate(said: &str) -> Option<f64> {
    let rates = said.lines().filter_map(|line| {
        let rest = line.trim().strip_prefix("Rx-pps:")?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    });
    rates.filter(|rate| *rate > 0.0).reduce(f64::max)
}
