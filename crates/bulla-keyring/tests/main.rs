//! The keyring over its public interface, on documents in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod embedded;
mod faults;
mod identities;
mod interoperability;
mod keys;
mod model;
mod projects;
mod races;
mod secrets;
mod setting;
mod vectors;
