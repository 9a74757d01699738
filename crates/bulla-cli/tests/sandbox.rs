//! A folder with a home and nothing else, in which `bulla` runs.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Sandbox {
    folder: PathBuf,
    /// Removes the folder, if it is this sandbox's own.
    _own: Option<TempDir>,
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// Makes an empty folder and an empty home.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Self::empty_in(folder.path());
        Self { _own: Some(folder), ..sandbox }
    }

    /// Makes an empty folder and an empty home in a folder that is there, and stays.
    pub(crate) fn empty_in(folder: &Path) -> Self {
        for inner in ["work", "home"] {
            fs::create_dir(folder.join(inner)).unwrap();
        }
        Self::found_in(folder)
    }

    /// Takes the folder and the home that another sandbox has made in a folder.
    pub(crate) fn found_in(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), _own: None }
    }

    /// Makes a folder with a project in it.
    pub(crate) fn with_project() -> Self {
        let sandbox = Self::empty();
        sandbox.run(["init"]).succeeds();
        sandbox
    }

    /// Returns where the program runs.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.work().join(name)
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Returns the names of the files in the folder, hidden ones included.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.work()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Prepares a run, with nothing of this process's environment but the way to programs.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.prepare(Command::new(env!("CARGO_BIN_EXE_bulla")), arguments)
    }

    pub(crate) fn prepare<A: AsRef<OsStr>>(
        &self,
        mut command: Command,
        arguments: impl IntoIterator<Item = A>,
    ) -> Command {
        command.args(arguments).current_dir(self.work()).env_clear().env("HOME", self.home());
        command.env("PATH", env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        Run::of(&mut self.command(arguments))
    }

    /// Runs the program with bytes on its standard input.
    pub(crate) fn feed<A: AsRef<OsStr>>(&self, input: &[u8], arguments: impl IntoIterator<Item = A>) -> Run {
        let mut child = self.spawn_fed(arguments);
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // The program may end before it has read everything.
            scope.spawn(move || stdin.write_all(input).ok());
            Run::end_of(child)
        })
    }

    /// Runs the program with a person at its terminal, who gives one answer; what the terminal showed is the run's `stderr`.
    pub(crate) fn at_terminal<A: AsRef<OsStr>>(&self, answer: &str, arguments: impl IntoIterator<Item = A>) -> Run {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let child = {
            let mut command = self.command(arguments);
            command.stdin(terminal.try_clone().unwrap()).stderr(terminal).stdout(Stdio::piped());
            command.spawn().unwrap()
        };
        let mut person = File::from(person);
        person.write_all(answer.as_bytes()).unwrap();
        let mut shown = Vec::new();
        // The terminal ends with an error once nobody has it open any more.
        let _ = person.read_to_end(&mut shown);
        Run { stderr: String::from_utf8(shown).unwrap(), ..Run::end_of(child) }
    }

    pub(crate) fn spawn_fed<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Child {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::end_of(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn end_of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).expect("messages are text");
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Expects an exit code, an error that says `part`, and no data.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, part: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.starts_with("error: "), "{self:?}");
        assert!(self.stderr.contains(part), "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        self
    }

    /// Expects an exit code, and an error that says `part` behind what was said before.
    #[track_caller]
    pub(crate) fn fails_late(self, code: i32, part: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        let error = self.stderr.split_once("error: ").map(|(_, error)| error);
        assert!(error.is_some_and(|error| error.contains(part)), "{self:?}");
        self
    }

    /// Expects an exit code and a stable code, in JSON.
    #[track_caller]
    pub(crate) fn refuses(self, code: i32, stable: &str) -> Self {
        assert_eq!((self.code, self.json_error()["code"].as_str()), (Some(code), Some(stable)), "{self:?}");
        assert!(self.stdout.is_empty(), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Reads standard output as JSON, one object a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Reads standard error as one JSON object.
    #[track_caller]
    pub(crate) fn json_error(&self) -> Value {
        serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Reads a number that makes a test longer or shorter.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Bytes that look random and are the same each time.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(len).collect()
}
