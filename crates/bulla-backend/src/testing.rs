//! What tests of this crate, and of those above it, need: a disk that fails, drivers that fail, and the suite that every
//! driver passes. Only with the feature `testing`.

// Tests stop at the first surprise, and these are tests, though they are compiled into the library.
#![allow(clippy::panic, clippy::cast_possible_truncation)]

pub mod conformance;
mod faulty;
mod random;
mod sim_disk;

pub use faulty::{CallFaults, Failure, FaultyBlobs, FaultyDocuments};
pub use random::Random;
pub use sim_disk::{Fault, Loss, SimDisk};
