//! Finds libdpdk, and compiles what it has in its headers only.

use std::env;
use std::path::Path;
use std::process::{Command, exit};

/// The oldest release that this is tested with. Newer ones have all that is used here.
const OLDEST: &str = "22.11";

/// The libraries of DPDK that are called. Drivers are loaded by DPDK itself, but the one for ports
/// made of rings, which is called as well.
const LIBRARIES: [&str; 6] = [
    "rte_eal",
    "rte_ethdev",
    "rte_mbuf",
    "rte_mempool",
    "rte_net_ring",
    "rte_ring",
];

fn main() {
    println!("cargo::rerun-if-changed=shim");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_LIBDIR");
    println!("cargo::rerun-if-env-changed=PKG_CONFIG_PATH");
    if env::var_os("DOCS_RS").is_some() {
        // Documentation is not linked.
        return;
    }
    let mut shim = cc::Build::new();
    shim.file("shim/shim.c").opt_level(3).warnings(true);
    // The headers of DPDK are not ours to warn about.
    for flag in pkg_config("--cflags") {
        match flag.strip_prefix("-I") {
            Some(folder) => shim.flag("-isystem").flag(folder),
            None => shim.flag(flag),
        };
    }
    for function in ["-include", "rte_config.h"] {
        shim.flag(function);
    }
    shim.compile("whohas_dpdk_shim");

    for flag in pkg_config("--libs-only-L") {
        if let Some(folder) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={folder}");
        }
    }
    for library in LIBRARIES {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}

/// What pkg-config says of libdpdk. Asked by hand, because the compiler needs every flag in its order
/// and not only folders and definitions.
fn pkg_config(question: &str) -> Vec<String> {
    let program = env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let name = Path::new(&program).display().to_string();
    let wanted = format!("libdpdk >= {OLDEST}");
    let output = Command::new(&program).args([question, &wanted]).output();
    let output = output.unwrap_or_else(|error| give_up(&format!("{name} does not run ({error})")));
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        give_up(&reason.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let flags = String::from_utf8_lossy(&output.stdout);
    flags.split_whitespace().map(str::to_owned).collect()
}

fn give_up(reason: &str) -> ! {
    println!(
        "cargo::error=libdpdk {OLDEST} or newer is needed: \
         `sudo apt-get install libdpdk-dev pkg-config` ({reason})"
    );
    exit(1);
}
