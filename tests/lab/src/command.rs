//! The `whohas` command, built as people install it.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Says where it is, where somebody has built it already.
pub const COMMAND: &str = "WHOHAS_COMMAND";

/// Where it is.
pub fn whohas() -> PathBuf {
    env::var_os(COMMAND).map_or_else(build, PathBuf::from)
}

fn build() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--package", "whohas-linux"])
        .args([
            "--bin",
            "whohas",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs, as it has built this program");
    assert!(output.status.success(), "the command was not built");
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let (_, rest) = line.split_once(r#""executable":""#)?;
        rest.split('"').next()
    });
    executables
        .next_back()
        .expect("cargo says where it is")
        .into()
}
