//! Running other programs: stdin closed, colours left to them, errors that repeat the command line.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::failure::Failure;

/// A program about to be run.
pub(crate) struct Process {
    command: Command,
}

impl Process {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.stdin(Stdio::null());
        Self { command }
    }

    /// A subcommand of the cargo that runs us.
    pub(crate) fn cargo(subcommand: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        // Incremental files cost time and space and help nobody who runs everything once.
        Self::new(cargo).env("CARGO_INCREMENTAL", "0").arg(subcommand)
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Has it run as another user, who belongs to the group of the same number only.
    pub(crate) fn user(mut self, id: u32) -> Self {
        self.command.uid(id).gid(id);
        self
    }

    /// Runs it; what it prints is seen only if it fails.
    pub(crate) fn quietly(mut self) -> Result<(), Failure> {
        match self.command.output() {
            Ok(output) => self.succeeded(Ok(output.status)).map_err(|failure| {
                let printed = [output.stdout, output.stderr].concat();
                Failure::new(format!("{failure}\n{}", String::from_utf8_lossy(&printed).trim_end()))
            }),
            Err(error) => self.succeeded(Err(error)),
        }
    }

    /// Runs it; its output goes where ours goes.
    pub(crate) fn run(mut self) -> Result<(), Failure> {
        let status = self.command.status();
        self.succeeded(status)
    }

    /// Runs it and returns what it printed; its messages go where ours go.
    pub(crate) fn output(mut self) -> Result<String, Failure> {
        let output = self.command.stderr(Stdio::inherit()).output();
        let (status, stdout) = match output {
            Ok(output) => (Ok(output.status), output.stdout),
            Err(error) => (Err(error), Vec::new()),
        };
        self.succeeded(status)?;
        String::from_utf8(stdout).map_err(|_| Failure::new(format!("{} printed what is not UTF-8", self.line())))
    }

    /// Runs it, passes on what it prints and shows each line to `see` as well.
    pub(crate) fn watch(mut self, mut see: impl FnMut(&str)) -> Result<(), Failure> {
        let status = self.command.stdout(Stdio::piped()).spawn().and_then(|mut child| {
            if let Some(stdout) = child.stdout.take() {
                let mut ours = std::io::stdout().lock();
                // Tests may print anything: lines are bytes here.
                for line in BufReader::new(stdout).split(b'\n') {
                    let line = line?;
                    ours.write_all(&line)?;
                    ours.write_all(b"\n")?;
                    see(&String::from_utf8_lossy(&line));
                }
            }
            child.wait()
        });
        self.succeeded(status)
    }

    /// Runs it with everything it prints in the file.
    pub(crate) fn log_to(mut self, log: &Path) -> Result<(), Failure> {
        let file = std::fs::File::create(log).map_err(Failure::on(log))?;
        let both = file.try_clone().map_err(Failure::on(log))?;
        let status = self.command.stdout(file).stderr(both).status();
        self.succeeded(status)
    }

    fn succeeded(&self, status: std::io::Result<ExitStatus>) -> Result<(), Failure> {
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::new(format!("{}: {status}", self.line()))),
            Err(error) => Err(Failure::new(format!("{}: could not be run: {error}", self.line()))),
        }
    }

    fn line(&self) -> String {
        let program = Path::new(self.command.get_program()).file_name().unwrap_or_default();
        let words = std::iter::once(program).chain(self.command.get_args());
        words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_command_line() {
        let failure = Process::new("/bin/sh").args(["-c", "exit 3"]).run().unwrap_err().to_string();
        assert_eq!(failure, "sh -c exit 3: exit status: 3");
        let failure = Process::new("/nowhere/at-all").run().unwrap_err().to_string();
        assert!(failure.starts_with("at-all: could not be run"), "{failure}");
    }

    #[test]
    fn standard_input_is_closed() {
        assert_eq!(Process::new("cat").output().unwrap(), "");
    }

    #[test]
    fn watched_lines_arrive_in_order() {
        let mut lines = Vec::new();
        Process::new("printf").arg("one\\ntwo").watch(|line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines, ["one", "two"]);
    }
}
