//! Tests through the public interface, one module a subject.

#![allow(clippy::unwrap_used)]

mod access;
mod admission;
mod audit;
mod input;
mod limits;
