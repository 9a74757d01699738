//! The real binary, in folders of its own.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and the long ones say what they did"
)]

mod at_once;
mod demo;
mod entries;
mod files;
mod help;
mod keys;
mod killed;
mod project;
mod sandbox;
mod settings;
