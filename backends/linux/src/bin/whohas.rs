//! The `whohas` command; `whohas --help` says what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    whohas_linux::cli::main()
}
