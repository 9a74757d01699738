//! Requests and answers, within the process and over real sockets.

mod admission;
mod anything;
mod bodies;
mod bounds;
mod certificates;
mod client;
mod http2;
mod listening;
mod logs;
mod paths;
mod proxies;
mod setting;
mod smuggling;
mod stopping;
mod system;
mod tls;
mod wire;
