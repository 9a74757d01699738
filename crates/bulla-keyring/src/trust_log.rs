//! The trust log: who was let in by whom, and which data keys are the project's.

mod claims;
mod data_keys;
mod genesis;
mod machine;
mod members;
mod pin;
mod problem;
#[cfg(test)]
mod tests;
mod verifier;

pub use machine::{Capability, Machine, Membership, Pending, PendingAct, PutOut};
pub use pin::{ParseTrustPinError, TrustPin};
pub use problem::{Problem, TrustLogError};

pub(crate) use claims::Claims;
pub(crate) use data_keys::EpochKey;
pub(crate) use genesis::create;
pub(crate) use verifier::{Granted, Trusted, Verifier};
