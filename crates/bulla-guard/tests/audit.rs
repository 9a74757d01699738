//! Tests of `audit`.

#![allow(clippy::panic)]

mod alerts;
mod crashes;
mod detection;
mod events;
mod exports;
mod ground;
mod log;
mod notes;
mod processes;
mod publication;
mod tree;
mod vectors;
