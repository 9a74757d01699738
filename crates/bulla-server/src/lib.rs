//! Bulla's HTTP API.

#![forbid(unsafe_code)]

mod error;
pub mod kv;
pub mod transit;

pub use error::ApiError;
