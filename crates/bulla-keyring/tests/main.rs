//! The keyring over its public interface, on documents in memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod at_once;
mod attacks;
mod backup_faults;
mod backup_vectors;
mod backups;
mod embedded;
mod faults;
mod flows;
mod flows_examples;
mod flows_locks;
mod flows_model;
mod flows_setting;
mod flows_states;
mod freshness;
mod identities;
mod identity_files;
mod interoperability;
mod key_faults;
mod key_lifecycle;
mod key_model;
mod key_settings;
mod key_uses;
mod keys;
mod machines;
mod model;
mod one_way;
mod outsiders;
mod projects;
mod races;
mod requests;
mod restores;
mod rotation;
mod sealed_to;
mod secrets;
mod setting;
mod sources;
mod team;
mod two_person;
mod vectors;
