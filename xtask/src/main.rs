//! Bulla's automation. `cargo xtask test` is the test command of the project: what passes here is what a change has to
//! pass, on a developer's machine and on a server alike.
//!
//! [`arguments`] says what was asked, [`workspace`] where the parts are, [`process`] how other programs are run, [`services`]
//! which servers the tests need, [`system`] which programs; [`steps`] holds what the test command consists of, in order, a file for each.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program that speaks to its user")]

mod arguments;
mod failure;
mod process;
mod services;
mod steps;
mod system;
mod workspace;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use failure::Failure;
use workspace::Workspace;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let Arguments { command, options } = Arguments::parse(std::env::args().skip(1))?;
    match command {
        Command::Help => print!("{}", arguments::HELP),
        Command::List => steps::list(),
        Command::Test => return Ok(steps::run(&Workspace::load()?, &options)),
        Command::Venv => println!("{}", steps::venv::ensure(&Workspace::load()?)?.display()),
        Command::ServicesUp => {
            let workspace = Workspace::load()?;
            for (name, value) in services::Postgres::up(&workspace)?.variables() {
                println!("export {name}='{value}'");
            }
            let openbao = steps::venv::openbao(&steps::venv::ensure(&workspace)?)?;
            println!("export {}='{}'", steps::venv::OPENBAO, openbao.display());
        }
        Command::ServicesDown => {
            let stopped = services::Postgres::down(&Workspace::load()?)?;
            eprintln!("{}", if stopped { "stopped" } else { "nothing ran" });
        }
        Command::Fuzz(targets) => steps::fuzz::run(&Workspace::load()?, &targets, options.fuzz_seconds)?,
    }
    Ok(ExitCode::SUCCESS)
}
