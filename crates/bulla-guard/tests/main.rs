//! Tests through the public interface, one module a subject.

#![allow(clippy::unwrap_used)]

mod access;
mod audit;
mod input;
mod limits;
