//! The sealed store, through its own doors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod attacks;
mod behaviour;
mod check;
mod concurrency;
mod disk;
mod faults;
mod ground;
mod model;
mod reseal;
mod usage;
