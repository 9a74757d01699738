//! Tests of the drivers, on the machine's disk and on a simulated one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests stop at the first surprise")]

mod conformance;
mod disk;
mod faulty;
mod file_blobs;
mod json_documents;
mod model;
#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;
