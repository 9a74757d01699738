//! Names of requests: what the answer, the log and the audit log have in common.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Any odd number: multiplying by it visits every value once.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The id of a request, in the form of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(String);

impl RequestId {
    /// Returns it as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes ids: a random half for the process, and one that does not repeat. They are names, not secrets.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u64,
    counted: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(random: [u8; 16]) -> Self {
        let [process, first] =
            [0, 8].map(|at| random[at..at + 8].iter().fold(0, |number: u64, byte| number << 8 | u64::from(*byte)));
        Self { process, counted: AtomicU64::new(first) }
    }

    pub(crate) fn next(&self) -> RequestId {
        let counted = self.counted.fetch_add(STEP, Ordering::Relaxed);
        let process = self.process;
        RequestId(format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            process >> 32,
            process >> 16 & 0xffff,
            process & 0xffff,
            counted >> 48,
            counted & 0xffff_ffff_ffff,
        ))
    }
}
