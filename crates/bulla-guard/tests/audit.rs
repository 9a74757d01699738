//! Tests of `audit`.

#![allow(clippy::panic)]

mod tree;
