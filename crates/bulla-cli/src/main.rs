//! The command line of Bulla.
//!
//! [`arguments`] is what every command takes, [`commands`] holds one file per command. What a command finds out goes to standard
//! output by [`output`]; why it failed, to standard error by [`failure`]. [`input`] and [`target`] are the files it reads and writes, [`tree`] whole
//! folders of them.

#![forbid(unsafe_code)]

mod arguments;
mod ask;
mod commands;
mod context;
mod duration;
mod failure;
mod input;
mod machines;
mod names;
mod output;
mod pace;
mod passphrase;
mod progress;
mod target;
mod tree;

use std::env;
use std::process::ExitCode;

use arguments::Arguments;
use clap::Parser;
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if !error.use_stderr() => return Output::help(&error),
        Err(error) => {
            // What was asked for is not known, but how the answer should look may be.
            let json = env::args_os().any(|argument| argument == "--json");
            return Output::new(json, false).fail(&Failure::from_usage(&error));
        }
    };
    let output = Output::new(arguments.global.json, arguments.global.quiet);
    match pollster::block_on(commands::run(arguments, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.fail(&failure),
    }
}
