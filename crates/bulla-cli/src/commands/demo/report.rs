//! What the demo says, line by line, and whether all was as promised.

use std::time::Duration;

use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::output::Output;

pub(super) struct Report {
    output: Output,
    refused: u32,
    broken: Vec<&'static str>,
}

impl Report {
    pub(super) fn new(output: Output) -> Self {
        Self { output, refused: 0, broken: Vec::new() }
    }

    /// Says something that is not about what was done.
    pub(super) fn note(&self, text: &str) -> Result<()> {
        self.output.result(&json!({ "step": "note", "message": text }), || text.to_owned())
    }

    /// Says what was done.
    pub(super) fn did(&self, step: &str, mut record: Value, text: String) -> Result<()> {
        record["step"] = step.into();
        self.output.result(&record, || text)
    }

    /// Says how many values and bytes were moved, and how fast.
    pub(super) fn moved(&self, step: &str, values: usize, bytes: u64, took: Duration) -> Result<()> {
        let seconds = took.as_secs_f64().max(0.001);
        let megabytes = bytes as f64 / 1e6;
        let record = json!({ "values": values, "bytes": bytes, "seconds": seconds, "megabytes_per_second": megabytes / seconds });
        let text =
            format!("{step}: {values} values, {megabytes:.1} MB in {seconds:.2} s ({:.0} MB/s)", megabytes / seconds);
        self.did(step, record, text)
    }

    /// Says what became of an attack: it must have been refused with the code `expected`.
    pub(super) fn attack<T>(&mut self, name: &'static str, expected: &str, attempt: bulla::Result<T>) -> Result<()> {
        let (found, message) = match attempt {
            Ok(_) => ("opened", "it was not refused".to_owned()),
            Err(error) => (error.code(), error.to_string()),
        };
        let refused = found == expected;
        if refused {
            self.refused += 1;
        } else {
            self.broken.push(name);
        }
        let record = json!({ "attack": name, "refused": refused, "code": found, "message": message });
        let text = match refused {
            true => format!("attack: {name}\n    refused: {message}"),
            false => format!("attack: {name}\n    NOT AS PROMISED (expected {expected}, found {found}): {message}"),
        };
        self.did("attack", record, text)
    }

    /// Sums up.
    pub(super) fn finish(self, took: Duration) -> Result<()> {
        let seconds = took.as_secs_f64();
        let record = json!({ "refused": self.refused, "not_as_promised": self.broken.len(), "seconds": seconds });
        let text =
            format!("{} attacks refused, {} not as promised; {seconds:.1} s in all", self.refused, self.broken.len());
        self.did("summary", record, text)?;
        match self.broken.as_slice() {
            [] => Ok(()),
            broken => Err(Failure::demo(format!("not as promised: {}", broken.join(", ")))),
        }
    }
}
