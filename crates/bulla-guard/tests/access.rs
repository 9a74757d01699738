//! Tests of `access`.

mod approles;
mod attacks;
mod bindings;
mod credentials;
mod faults;
mod freshness;
mod giving;
pub(crate) mod keys;
mod machines;
mod model;
mod patterns;
mod policies;
mod processes;
mod renewal;
pub(crate) mod setting;
mod tokens;
mod users;
