//! What was asked on the command line.

use crate::failure::Failure;
use crate::steps;

pub(crate) const HELP: &str = "\
Bulla's automation

    cargo xtask test [--only STEP]... [--skip STEP]... [--seconds N]
        run everything a change has to pass; --list names the steps
    cargo xtask fuzz [TARGET]... [--seconds N]
        build the fuzz targets and run each for N seconds (default 5)
    cargo xtask venv
        make the Python environment that interoperability tests use and print its interpreter
    cargo xtask services up|down
        start the servers that tests share, and print the variables that tell the tests of them, and of the program of a
        server that they start themselves; or stop what was started:
        eval \"$(cargo xtask services up)\" && cargo test -p bulla-backend --features postgres
";

const DEFAULT_FUZZ_SECONDS: u32 = 5;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) options: Options,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    List,
    Test,
    Venv,
    ServicesUp,
    ServicesDown,
    /// The named fuzz targets, or all if there are none.
    Fuzz(Vec<String>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    only: Vec<String>,
    skip: Vec<String>,
    pub(crate) fuzz_seconds: u32,
}

impl Options {
    /// Tells whether the options select the step of this name.
    pub(crate) fn select(&self, step: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|name| name == step);
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }
}

impl Arguments {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = arguments;
        let mut command = match arguments.next().as_deref() {
            None | Some("help" | "--help" | "-h") => Command::Help,
            Some("test") => Command::Test,
            Some("venv") => Command::Venv,
            Some("services") => match arguments.next().as_deref() {
                Some("up") => Command::ServicesUp,
                Some("down") => Command::ServicesDown,
                _ => return Err(Failure::new("`cargo xtask services` is followed by `up` or `down`")),
            },
            Some("fuzz") => Command::Fuzz(Vec::new()),
            Some(other) => return Err(Failure::new(format!("no command {other:?}; see `cargo xtask help`"))),
        };
        let mut options = Options { only: Vec::new(), skip: Vec::new(), fuzz_seconds: DEFAULT_FUZZ_SECONDS };
        while let Some(argument) = arguments.next() {
            match (argument.as_str(), &mut command) {
                ("--help" | "-h", _) => command = Command::Help,
                ("--list", Command::Test) => command = Command::List,
                ("--only", Command::Test) => options.only.push(step(arguments.next())?),
                ("--skip", Command::Test) => options.skip.push(step(arguments.next())?),
                ("--seconds", Command::Test | Command::Fuzz(_)) => options.fuzz_seconds = seconds(arguments.next())?,
                (target, Command::Fuzz(targets)) if !target.starts_with('-') => targets.push(argument),
                (other, _) => return Err(Failure::new(format!("no argument {other:?}; see `cargo xtask help`"))),
            }
        }
        Ok(Self { command, options })
    }
}

fn step(value: Option<String>) -> Result<String, Failure> {
    match value {
        Some(name) if steps::STEPS.iter().any(|step| step.name == name) => Ok(name),
        Some(name) => Err(Failure::new(format!("no step {name:?}; see `cargo xtask test --list`"))),
        None => Err(Failure::new("the name of a step is missing; see `cargo xtask test --list`")),
    }
}

fn seconds(value: Option<String>) -> Result<u32, Failure> {
    // Zero means "for ever" to libFuzzer.
    match value.map(|text| text.parse()) {
        Some(Ok(seconds @ 1..)) => Ok(seconds),
        _ => Err(Failure::new("--seconds takes a whole number, at least 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, Failure> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn only_and_skip_select_steps() {
        let options = parse("test --only floors --only tidy --skip tidy").unwrap().options;
        assert!(options.select("floors"));
        assert!(!options.select("tidy"));
        assert!(!options.select("format"));
        let everything = parse("test").unwrap().options;
        assert!(steps::STEPS.iter().all(|step| everything.select(step.name)));
    }

    #[test]
    fn fuzz_takes_targets_and_seconds() {
        let arguments = parse("fuzz context --seconds 300").unwrap();
        assert_eq!(arguments.command, Command::Fuzz(vec!["context".to_owned()]));
        assert_eq!(arguments.options.fuzz_seconds, 300);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "tset",
            "test --only nothing",
            "test --only",
            "test context",
            "venv --seconds 5",
            "fuzz --seconds 0",
            "services",
            "services sideways",
            "services up now",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
