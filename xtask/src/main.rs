//! The project's own commands: `cargo xtask test`, `bench`, `firmware`, `fuzz` and `man`.

mod bench;
mod cross;
mod cyw43;
mod dpdk;
mod elf;
mod emulated;
mod firmware;
mod fuzz;
mod linux;
mod man;
mod probe;
mod project;
mod row;
mod setup;
mod shell;
mod size;
mod stages;
mod suite;
mod table;
mod uf2;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use lexopt::prelude::*;

use project::Project;
use shell::Shell;

const USAGE: &str = "\
cargo xtask test [--list] [--seconds N] [--verbose] [STAGE..]
                                                   check everything, or the named stages
cargo xtask bench [--quick] [--verbose] [NAME..]   measure, and write target/bench/NAME.json
cargo xtask firmware [--verbose]                   build the firmware of the Pico 2 W for the network in
                                                   the environment, as ELF and as UF2
cargo xtask fuzz [--seconds N] [--verbose] [TARGET..]   look for crashes, N seconds per target
cargo xtask man                                    write the command's manual to target/man and its
                                                   completions to target/completions

`test --seconds N` is for the stages whose work has no end of its own, `stress` and `fuzz`.
With CI=true in the environment, `test` fails where it would otherwise skip a stage for something
that it could not set up, unless this machine rules it out.";

fn main() -> ExitCode {
    match Arguments::parse().and_then(run) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments {
        command,
        names,
        list,
        quick,
        verbose,
        duration,
    } = arguments;
    let project = Project::load()?;
    let shell = Shell::new(verbose);
    let success = match command.as_str() {
        "test" if list => {
            stages::list();
            true
        }
        "test" => stages::run(&project, &shell, &names, duration)?,
        "bench" => {
            bench::run(&project, &shell, &names, quick)?;
            true
        }
        "firmware" => {
            firmware::make(&project, &shell)?;
            true
        }
        "fuzz" => {
            let duration = duration.unwrap_or(fuzz::DEFAULT_DURATION);
            fuzz::run(&project, &shell, &names, duration)?
        }
        "man" => {
            man::write(&project)?;
            true
        }
        other => bail!("no command is called `{other}`\n\n{USAGE}"),
    };
    Ok(if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Arguments {
    command: String,
    names: Vec<String>,
    list: bool,
    quick: bool,
    verbose: bool,
    duration: Option<Duration>,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut arguments = Self {
            command: String::new(),
            names: Vec::new(),
            list: false,
            quick: false,
            verbose: false,
            duration: None,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("list") if arguments.command == "test" => arguments.list = true,
                Long("quick") if arguments.command == "bench" => arguments.quick = true,
                Long("seconds") if matches!(arguments.command.as_str(), "fuzz" | "test") => {
                    arguments.duration = Some(Duration::from_secs(parser.value()?.parse()?));
                }
                Short('v') | Long("verbose") => arguments.verbose = true,
                Short('h') | Long("help") => {
                    println!("{USAGE}");
                    std::process::exit(0);
                }
                Value(command) if arguments.command.is_empty() => {
                    arguments.command = command.string()?;
                }
                Value(name) => arguments.names.push(name.string()?),
                _ => return Err(argument.unexpected().into()),
            }
        }
        if arguments.command.is_empty() {
            bail!("{USAGE}");
        }
        Ok(arguments)
    }
}
