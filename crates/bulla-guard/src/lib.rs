//! Who may do what, and the proof.

#![forbid(unsafe_code)]

pub mod audit;
pub mod input;
pub mod limits;
