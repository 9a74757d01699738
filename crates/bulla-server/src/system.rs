//! The server's own endpoints: is it alive, is it ready, what is it, and how is it spoken to.

mod health;
mod host;
mod openapi;
mod vault;

use crate::metrics::Exposition;
use crate::table::{Audit, Capability, Endpoint, Text};
use crate::{ApiError, App, Call};

pub(crate) use health::Readiness;
pub use health::{Check, NotReady};

/// Where a process says how much memory it has: pages in all, then resident ones.
const STATM: &str = "/proc/self/statm";

pub(crate) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = Vec::from(health::endpoints());
    endpoints.extend(vault::endpoints());
    endpoints.extend(host::endpoints());
    endpoints.push(
        Endpoint::get("sys.metrics", "/v1/metrics")
            .also("/v1/sys/metrics")
            .summary("Returns what the server counts, for Prometheus.")
            .query(&["format"])
            .permission("view:metrics", Capability::Read)
            .audit(Audit::Unrecorded)
            .plain(metrics),
    );
    endpoints.push(
        Endpoint::get("sys.openapi", "/v1/openapi.json")
            .also("/v1/sys/internal/specs/openapi")
            .summary("Describes every endpoint, in OpenAPI 3.1.")
            .open_to_all()
            .audit(Audit::Unrecorded)
            .plain(openapi::describe),
    );
    endpoints
}

async fn metrics(call: Call) -> Result<Text, ApiError> {
    Ok(Text("text/plain; version=0.0.4; charset=utf-8", exposition(call.app())))
}

fn exposition(app: &App) -> String {
    let mut text = Exposition::default();
    text.begin("bulla_build_info", "gauge", "The version of the server.");
    text.line(format_args!("bulla_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    text.gauge("process_start_time_seconds", "When the server began, in seconds since 1970.", app.started().0 / 1000);
    if let Some(pages) = resident_pages() {
        let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
        text.gauge("process_resident_memory_bytes", "Memory that the process has.", bytes);
    }
    text.gauge("bulla_ready", "Whether the server was ready when it last looked.", app.readiness().was_ready().into());
    text.gauge("bulla_http_requests_in_flight", "Requests that are being answered.", app.requests_in_flight());
    app.metrics().write(app.table(), &mut text);
    for collect in app.collectors() {
        collect(app, &mut text);
    }
    text.into_text()
}

fn resident_pages() -> Option<u64> {
    std::fs::read_to_string(STATM).ok()?.split(' ').nth(1)?.parse().ok()
}
