//! Bulla's HTTP API.
//!
//! | you want | use |
//! |---|---|
//! | an endpoint | [`Endpoint::write`] and its like, then [`Draft::json`] |
//! | to answer requests, from the network or not | [`App`] |
//! | to decide who is let in | [`Door`] |
//!
//! Everything the API has is in one [`Table`]: it is what routes, admits, documents and counts.

#![forbid(unsafe_code)]

mod admission;
mod answer;
mod app;
pub mod audit;
pub mod auth;
mod body;
mod call;
mod config;
pub mod cubbyhole;
mod door;
pub mod engines;
pub mod entries;
mod error;
mod json;
pub mod kv;
mod logs;
pub mod machines;
mod metrics;
mod mounts;
mod peer;
mod request_id;
mod server;
mod system;
mod table;
mod tls;
pub mod transit;

pub use admission::{Admission, Admitted, Brought, Credential, Door, Head, Outcome, TokenOwner};
pub use answer::{Answer, AnswerBody, Broken, StreamWriter};
pub use app::{App, AppBuilder, AppError, Collector, Keeper};
pub use body::BodyReader;
pub use call::Call;
pub use config::{ClientCertificates, Config, Limits, Listen, TimeOuts, TlsFiles};
pub use door::SessionDoor;
pub use error::ApiError;
pub use logs::{LogFormat, LogTakenError, log_to_stderr, logger};
pub use metrics::Exposition;
pub use mounts::{Mount, MountError, Mounts};
pub use peer::{Address, ClientCertificate, Network, ParseNetworkError, Peer};
pub use request_id::RequestId;
pub use server::{Server, ServerError, Stopped, asked_to_stop};
pub use system::{Check, NotReady};
pub use table::{
    Audit, Auth, Authenticated, Capability, Data, Draft, Endpoint, Kind, NoContent, Plain, Requires, Respond, Table,
    TableError, Text, Verb,
};
pub use tls::TlsError;
