//! The sealed store, through its own doors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod archive_vectors;
mod archives;
mod attacks;
mod backups;
mod behaviour;
mod bit_flips;
mod check;
mod computing;
mod concurrency;
mod contents;
mod disk;
mod faults;
mod fleche;
mod gc;
mod ground;
mod hostile;
mod limits;
mod limits_processes;
mod memory_tier;
mod model;
mod namespaces;
mod narrow;
mod operations;
mod operations_processes;
mod quarantine;
mod reseal;
mod soak;
mod stats;
mod sweep;
mod transactions;
mod unsettled;
mod usage;
mod watched;
