//! Requests and answers, within the process and over real sockets.

mod admission;
mod bodies;
mod logs;
mod paths;
mod setting;
mod system;
