//! The HTTP API, through its own doors.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod auth;
mod http;
mod kv;
mod transit;
