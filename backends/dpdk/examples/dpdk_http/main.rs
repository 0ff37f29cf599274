//! A small HTTP server with a stack of its own on every queue of a DPDK port, and one cache of neighbours
//! for all of them. In one command, on a cable that it lays itself:
//!
//! ```console
//! $ cargo run --release -p whohas-dpdk --example dpdk_http -- --demo
//! ```
//!
//! `http` is the protocol, `site` what is served, `server` how queues, stacks and the cache are put
//! together; `kernel` is the same service on the kernel's sockets, `demo` the cable.

mod arguments;
mod demo;
mod http;
mod kernel;
mod site;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use arguments::{Command, USAGE};
use demo::Demo;

fn main() -> ExitCode {
    let command = Command::parse(env::args_os().skip(1));
    match command.map_err(Into::into).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dpdk_http: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    match command {
        Command::Help => println!("{USAGE}"),
        Command::Kernel { address, threads } => kernel::run(address, threads)?,
        Command::Serve(_serve) => return Err("not yet".into()),
        Command::Demo { serve, once: _ } => {
            let demo = Demo::enter()?;
            demo.explain(&demo::url(serve.port));
            demo.fetch(serve.port)?;
        }
    }
    Ok(())
}
