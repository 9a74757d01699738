//! The sealed value, through its public doors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

mod allocations;
mod chunks;
mod fork;
mod parallel;
mod properties;
mod streams;
mod vectors;

use bulla_seal::{Context, KeyVersionId, Params, ProjectId, SealKey, Suite};

/// Every suite that exists.
const SUITES: [Suite; 4] =
    [Suite::Aes256Gcm, Suite::ChaCha20Poly1305, Suite::Authenticated, Suite::Aes256Deterministic];

fn key() -> SealKey {
    SealKey::new(KeyVersionId([2; 8]), &[1; 32]).unwrap()
}

fn context() -> Context {
    Context::user(&ProjectId([4; 32])).build().unwrap()
}

fn small_chunks(suite: Suite) -> Params {
    Params { suite, chunk_size: bulla_seal::ChunkSize::MIN }
}

/// A message in which no chunk is like its neighbours, as the second implementation makes it.
fn message(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}
