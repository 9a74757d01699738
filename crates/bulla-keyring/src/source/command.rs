//! Commands.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use futures_channel::oneshot;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use zeroize::Zeroizing;

use super::{MAX_VALUE_LEN, SecretPair, Source, SourceError, checked, without_line_end};

/// How long a command is given unless something else is said.
pub const COMMAND_TIME: Duration = Duration::from_secs(10);

/// Takes what a command writes to standard output: text where it is UTF-8, without the line feed at its end; bytes otherwise.
///
/// The program is run directly, by no shell, with this process's environment, with nothing on standard input, and in a process group of its
/// own, on a thread of its own, so that no executor is kept waiting. It ends with exit code 0 and closes its output in time, or it is killed
/// with its whole group. What it starts in the background and leaves behind is killed as well, except for what has left the group.
///
/// # Security
/// What the command writes to standard error goes nowhere, for it may hold the secret; an error names the program and
/// the exit code only. Arguments are visible to every user of the machine: they are no place for a secret.
#[derive(Debug, Clone)]
pub struct CommandSource {
    program: String,
    arguments: Vec<String>,
    time: Duration,
}

impl CommandSource {
    /// Names the program and its arguments.
    #[must_use]
    pub fn new(program: impl Into<String>, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect(), time: COMMAND_TIME }
    }

    /// Gives the command another time than [`COMMAND_TIME`].
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    fn run(&self) -> Result<SecretPair, SourceError> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut group = Group(command.spawn().map_err(|source| self.not_run(source))?);
        let output = self.output(&mut group);
        // What the command left running is killed before the command is waited for: until then its number is no other group's.
        group.kill();
        let status = group.0.wait().map_err(|source| self.not_run(source))?;
        let output = output?;
        if !status.success() {
            return Err(SourceError::CommandFailed { program: self.program.clone(), status: status_in_words(status) });
        }
        checked(output, || self.describe()).map(Into::into)
    }

    /// Reads to the end of the output and of the command, within the time.
    fn output(&self, group: &mut Group) -> Result<Vec<u8>, SourceError> {
        let (Some(stdout), Some(leader)) = (group.0.stdout.take(), group.leader()) else {
            return Err(self.not_run(io::ErrorKind::BrokenPipe.into()));
        };
        let (sender, receiver) = mpsc::sync_channel(1);
        let reading = move || {
            // One byte more than a value has, reserved at once, so that no copy is left behind by growing.
            let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_VALUE_LEN + 1));
            let read = stdout.take(MAX_VALUE_LEN as u64 + 1).read_to_end(&mut bytes);
            if bytes.len() <= MAX_VALUE_LEN {
                // It is left to be waited for, so that its number stays its own.
                let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                let _ = retry_on_intr(|| waitid(WaitId::Pid(leader), options));
            }
            // Nobody listens any more if the time was over.
            let _ = sender.send(read.map(|_| bytes));
        };
        thread::Builder::new()
            .name("bulla-command".to_owned())
            .spawn(reading)
            .map_err(|source| self.not_run(source))?;
        match receiver.recv_timeout(self.time) {
            // It is killed for it, so that its exit status says nothing.
            Ok(Ok(bytes)) if bytes.len() > MAX_VALUE_LEN => Err(SourceError::TooLong(self.describe())),
            Ok(Ok(mut bytes)) => {
                without_line_end(&mut bytes);
                Ok(std::mem::take(&mut bytes))
            }
            Ok(Err(source)) => Err(self.not_run(source)),
            Err(_) => Err(SourceError::TimedOut { program: self.program.clone(), time: self.time }),
        }
    }

    fn describe(&self) -> String {
        format!("the command `{}`", self.program)
    }

    fn not_run(&self, source: io::Error) -> SourceError {
        SourceError::NotRun { program: self.program.clone(), source }
    }
}

#[async_trait]
impl Source for CommandSource {
    async fn fetch(&self) -> Result<SecretPair, SourceError> {
        let (sender, receiver) = oneshot::channel();
        let command = self.clone();
        // Whoever asked may have gone away; the command is bounded all the same.
        let running = move || drop(sender.send(command.run()));
        thread::Builder::new()
            .name("bulla-command".to_owned())
            .spawn(running)
            .map_err(|source| self.not_run(source))?;
        receiver.await.unwrap_or_else(|_| Err(self.not_run(io::ErrorKind::Other.into())))
    }
}

/// A command that runs in a process group of its own, of which it is the leader.
struct Group(Child);

impl Group {
    fn leader(&self) -> Option<Pid> {
        i32::try_from(self.0.id()).ok().and_then(Pid::from_raw)
    }

    /// Kills whoever is left of the group. The leader has not been waited for yet.
    fn kill(&self) {
        if let Some(leader) = self.leader() {
            // There may be nobody left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn status_in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;

    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
