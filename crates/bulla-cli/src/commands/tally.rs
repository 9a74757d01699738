//! What became of each file, told one by one and in numbers.

use serde_json::{Map, Value, json};

use crate::failure::{Exit, Failure, Result};
use crate::names;
use crate::output::Output;
use crate::progress::Progress;

/// What is done to files, as words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) done: &'static str,
    pub(super) doing: &'static str,
}

/// Why a file was left as it is, without that being a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    Link,
    /// Of this project, or of this machine.
    Own,
}

impl Left {
    fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Own => "own",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Link => "left as it is: a symbolic link",
            Self::Own => "left as it is: the project, or this machine, needs it",
        }
    }
}

/// A file that was dealt with.
#[derive(Debug)]
pub(super) struct Done {
    /// Its path as seen from the root.
    pub(super) path: Vec<u8>,
    pub(super) bytes: u64,
    /// Whether an earlier run, or another process, did it.
    pub(super) before: bool,
}

/// Counts, and tells.
pub(super) struct Tally<'a> {
    output: &'a Output,
    words: Words,
    progress: Progress,
    done: u64,
    before: u64,
    left: u64,
    other: u64,
    failed: u64,
    removed: u64,
    folders: u64,
    bytes: u64,
    exit: Option<Exit>,
}

impl<'a> Tally<'a> {
    pub(super) fn new(output: &'a Output, words: Words) -> Self {
        let progress = Progress::counting(output);
        Self {
            output,
            words,
            progress,
            done: 0,
            before: 0,
            left: 0,
            other: 0,
            failed: 0,
            removed: 0,
            folders: 0,
            bytes: 0,
            exit: None,
        }
    }

    pub(super) fn done(&mut self, done: &Done, removed: bool) -> Result<()> {
        let outcome = if done.before { "unchanged" } else { self.words.done };
        *(if done.before { &mut self.before } else { &mut self.done }) += 1;
        if !done.before {
            self.bytes += done.bytes;
        }
        self.removed += u64::from(removed);
        self.progress.say(|| format!("{}: {} files, {} bytes", self.words.doing, self.done + self.before, self.bytes));
        if !self.output.json() {
            return Ok(());
        }
        let record = record(&done.path, outcome, [("bytes", json!(done.bytes)), ("source_removed", json!(removed))]);
        self.output.result(&record, String::new)
    }

    pub(super) fn left(&mut self, path: &[u8], why: Left) -> Result<()> {
        self.left += 1;
        self.tell(path, &record(path, "left", [("reason", json!(why.name()))]), why.text())
    }

    /// Counts a file that is nothing for this way: one that is sealed already, or that is not.
    pub(super) fn other(&mut self) {
        self.other += 1;
    }

    pub(super) fn folder(&mut self) {
        self.folders += 1;
    }

    pub(super) fn failed(&mut self, path: &[u8], failure: &Failure) -> Result<()> {
        if failure.is_silent() {
            return Err(Failure::closed_pipe());
        }
        self.failed += 1;
        let exit = failure.exit();
        self.exit = Some(self.exit.map_or(exit, |before| if before == exit { exit } else { Exit::Failed }));
        let text = match failure.hint() {
            Some(hint) => format!("{}\n  hint: {hint}", failure.message()),
            None => failure.message().to_owned(),
        };
        self.tell(path, &record(path, "failed", [("error", failure.to_json())]), &text)
    }

    /// Tells the numbers; fails if any file did.
    pub(super) fn finish(self, stopped: Option<Failure>) -> Result<()> {
        drop(self.progress);
        let words = self.words;
        let record = json!({
            words.done: self.done,
            "unchanged": self.before,
            "left": self.left,
            "other": self.other,
            "failed": self.failed,
            "sources_removed": self.removed,
            "folders": self.folders,
            "bytes": self.bytes,
        });
        let (done, before, left, removed) = (self.done, self.before, self.left, self.removed);
        self.output.done(&record, || {
            let mut text = format!("{} {done} files, {} bytes", words.done, self.bytes);
            for (count, what) in [(before, "done before"), (removed, "sources removed"), (left, "left as they are")] {
                if count > 0 {
                    text.push_str(&format!(", {count} {what}"));
                }
            }
            text
        })?;
        if let Some(failure) = stopped {
            return Err(failure);
        }
        let Some(exit) = self.exit else { return Ok(()) };
        let message = format!("{} files or folders were not {}", self.failed, words.done);
        Err(Failure::new(exit, "incomplete", message)
            .with_hint("each is named on standard output; the same command goes on where this one ended"))
    }

    fn tell(&self, path: &[u8], record: &Value, text: &str) -> Result<()> {
        self.output.result(record, || format!("{}: {text}", names::shown(if path.is_empty() { b"." } else { path })))
    }
}

fn record<const N: usize>(path: &[u8], outcome: &str, more: [(&str, Value); N]) -> Value {
    let mut record = Map::new();
    names::record(&mut record, path);
    record.insert("outcome".to_owned(), outcome.into());
    record.extend(more.map(|(name, value)| (name.to_owned(), value)));
    record.into()
}
