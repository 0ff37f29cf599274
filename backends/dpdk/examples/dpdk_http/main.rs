//! A small HTTP server with a stack of its own on every queue of a DPDK port, and one cache of neighbours
//! for all of them. In one command, on a cable that it lays itself:
//!
//! ```console
//! $ cargo run --release -p whohas-dpdk --example dpdk_http -- --demo
//! ```
//!
//! `server` is how queues, stacks and the cache are put together: begin there. `http` is the protocol,
//! `site` what is served, `status` what is told of the server itself, `demo` the cable.

mod arguments;
mod demo;
mod http;
mod server;
mod site;
mod status;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use arguments::{Command, USAGE};
use demo::Demo;
use server::Server;
use whohas_dpdk::Stop;

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
        Command::Serve(serve) => {
            let stop = stop_on_signals()?;
            Server::open(&serve)?.run(&stop, || ())?;
        }
        Command::Demo { serve, once } => {
            // Its folder is gone when this ends, however it does: last, as DPDK has files there.
            let demo = Demo::enter()?;
            let stop = stop_on_signals()?;
            Server::open(&serve)?.run(&stop, || {
                demo.explain(&demo::url(serve.port));
                let fetched = demo.fetch(serve.port);
                if once {
                    stop.raise();
                }
                // In words, to be told on another thread.
                fetched.map_err(|error| error.to_string())
            })??;
        }
    }
    Ok(())
}

/// Raised by Ctrl-C, and by who ends a program politely.
fn stop_on_signals() -> Result<Stop, Box<dyn Error>> {
    let stop = Stop::new();
    for signal in [
        signal_hook::consts::SIGHUP,
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ] {
        signal_hook::flag::register(signal, stop.flag())?;
    }
    Ok(stop)
}
