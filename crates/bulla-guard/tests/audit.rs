//! Tests of `audit`.

#![allow(clippy::panic)]

mod crashes;
mod detection;
mod events;
mod ground;
mod log;
mod notes;
mod processes;
mod publication;
mod tree;
