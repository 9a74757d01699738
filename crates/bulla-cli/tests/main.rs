//! The real binary, in folders of its own.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise, and the long ones say what they did"
)]

mod administrators;
mod archives;
mod at_once;
mod audit;
mod backups;
mod clients;
mod demo;
mod disks;
mod entries;
mod files;
mod fire;
mod fleche;
mod fleet;
mod hand_edits;
mod help;
mod identity;
mod import_fact;
mod key_dependents;
mod key_material;
mod key_operations;
mod key_states;
#[cfg(feature = "vault")]
mod key_vault;
mod keys;
mod killed;
mod limits;
mod machines;
mod maintenance;
mod operations;
mod project;
mod recovery;
mod rotations;
mod sandbox;
mod server;
mod settings;
mod trees;
