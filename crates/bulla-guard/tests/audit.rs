//! Tests of `audit`.

#![allow(clippy::panic)]

mod notes;
mod tree;
