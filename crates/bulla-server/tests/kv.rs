//! Secrets with versions, secrets without, cubbyholes and mounts.

mod concurrency;
mod cubbyholes;
mod door;
mod engines;
mod facts;
mod following;
mod ground;
mod guarded;
mod hostile;
mod http;
mod model;
mod processes;
mod secrets;
