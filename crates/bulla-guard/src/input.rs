//! What is let in of what strangers send: names, JSON, query texts.
//!
//! One rule stands above all others here: what comes in is taken as it is, or refused. Nothing is cleaned, shortened or normalised, because
//! what was changed is no longer what somebody meant, and a cleaner that is right for one place is wrong for the next. What comes out is
//! written for the place it goes to ([`encode`]).
//!
//! - [`Bounds`]: how much of anything is read, by route.
//! - [`json`]: a strict reader for typed requests; bounded while it reads.
//! - [`percent`] and [`Query`]: paths and query strings, decoded once.
//! - [`Name`]: names of roles, objects and whatever has the grammar of key names.
//! - [`QueryText`] and [`Context`]: what is asked, and what is known beside it.
//! - [`inspect`]: looks for what attacks often contain; off by default.
//!
//! Every refusal is an [`InputError`]: the field, a stable code, and no word of the value. docs/input.md says why it is done so.

pub mod encode;
pub mod inspect;
pub mod json;
pub mod percent;

mod bounds;
mod context;
mod error;
mod name;
mod query;
mod text;

pub use bounds::Bounds;
pub use context::{Context, ContextValue};
pub use error::{Fault, InputError};
pub use name::Name;
pub use query::Query;
pub use text::QueryText;
