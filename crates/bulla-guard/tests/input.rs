//! Tests of `input`.

mod contexts;
mod encoding;
mod names;
mod paths_and_queries;
