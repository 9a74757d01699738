//! The client against real servers, and against servers that mean no good.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod connections;
mod doors;
mod hostile;
mod kv;
mod openbao;
mod redirects;
mod retries;
mod setting;
mod tokens;
mod transit;
mod wire;
