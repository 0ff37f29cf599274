//! Compiles the look-ups that are DPDK's own.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=tables.c");
    let mut tables = cc::Build::new();
    tables.file("tables.c").opt_level(3).warnings(true);
    // That libdpdk is there was seen to by `whohas-dpdk`, which says what to do if it is not.
    let flags = Command::new("pkg-config")
        .args(["--cflags", "libdpdk"])
        .output();
    let flags = flags.map_or_else(|_| String::new(), text);
    for flag in flags.split_whitespace() {
        match flag.strip_prefix("-I") {
            Some(folder) => tables.flag("-isystem").flag(folder),
            None => tables.flag(flag),
        };
    }
    for flag in ["-include", "rte_config.h"] {
        tables.flag(flag);
    }
    tables.compile("whohas_bench_tables");
    for library in ["rte_eal", "rte_fib", "rte_hash"] {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}

fn text(output: std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
