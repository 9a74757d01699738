//! The trust log: who was let in by whom, and which data keys are the project's.

mod genesis;
mod pin;
mod problem;
#[cfg(test)]
mod tests;
mod verifier;

pub use pin::{ParseTrustPinError, TrustPin};
pub use problem::{Problem, TrustLogError};
pub use verifier::{Capability, Machine};

pub(crate) use genesis::create;
pub(crate) use verifier::{Granted, Trusted, Verifier};
