//! Projects, through the library's public doors.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and the long ones say what they did"
)]

mod key_uses;
mod machines;
mod on_disk;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
mod postgres_kills;
mod values;
