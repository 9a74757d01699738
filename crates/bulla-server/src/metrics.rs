//! Numbers for Prometheus. Labels come from the table, never from a request, so that their number is bounded.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::table::Table;

/// Upper ends of the histogram's ranges, in microseconds.
const RANGES: [u64; 13] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// What is counted of requests.
#[derive(Debug, Default)]
struct Requests {
    /// By the first digit of the status.
    by_class: [AtomicU64; 6],
    /// By how long they took; the last is beyond every range.
    by_range: [AtomicU64; RANGES.len() + 1],
    microseconds: AtomicU64,
}

/// What a server counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    by_endpoint: Vec<Requests>,
    /// Requests that led to no endpoint.
    nowhere: Requests,
    pub(crate) connections: AtomicU64,
    pub(crate) refused_full: AtomicU64,
    pub(crate) refused_peer: AtomicU64,
    pub(crate) failed_handshakes: AtomicU64,
    pub(crate) stalled: AtomicU64,
    /// In seconds since 1970; nought without a certificate.
    pub(crate) certificate_expires: AtomicU64,
}

impl Metrics {
    pub(crate) fn new(table: &Table) -> Self {
        Self {
            by_endpoint: (0..table.len()).map(|_| Requests::default()).collect(),
            nowhere: Requests::default(),
            connections: AtomicU64::new(0),
            refused_full: AtomicU64::new(0),
            refused_peer: AtomicU64::new(0),
            failed_handshakes: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
            certificate_expires: AtomicU64::new(0),
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, endpoint: Option<usize>, status: u16, took: Duration) {
        let requests = endpoint.and_then(|index| self.by_endpoint.get(index)).unwrap_or(&self.nowhere);
        if let Some(count) = requests.by_class.get(usize::from(status / 100)) {
            count.fetch_add(1, Relaxed);
        }
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let range = RANGES.partition_point(|end| *end < took);
        requests.by_range[range].fetch_add(1, Relaxed);
        requests.microseconds.fetch_add(took, Relaxed);
    }

    /// Writes requests and connections. Endpoints that nobody called are left away.
    pub(crate) fn write(&self, table: &Table, text: &mut Exposition) {
        let named = table.endpoints().map(|endpoint| endpoint.id()).zip(&self.by_endpoint);
        let all: Vec<_> = named.chain([("none", &self.nowhere)]).filter(|(_, requests)| requests.count() > 0).collect();
        text.begin("bulla_http_requests_total", "counter", "Requests that were answered.");
        for (id, requests) in &all {
            for (class, count) in requests.by_class.iter().enumerate() {
                let count = count.load(Relaxed);
                if count > 0 {
                    text.line(format_args!(
                        "bulla_http_requests_total{{endpoint=\"{id}\",status=\"{class}xx\"}} {count}"
                    ));
                }
            }
        }
        text.begin(
            "bulla_http_request_seconds",
            "histogram",
            "How long requests took, from their headers to the answer.",
        );
        for (id, requests) in &all {
            let mut sum = 0;
            for (index, count) in requests.by_range.iter().enumerate() {
                sum += count.load(Relaxed);
                match RANGES.get(index) {
                    Some(end) => text.line(format_args!(
                        "bulla_http_request_seconds_bucket{{endpoint=\"{id}\",le=\"{}\"}} {sum}",
                        Seconds(*end)
                    )),
                    None => text
                        .line(format_args!("bulla_http_request_seconds_bucket{{endpoint=\"{id}\",le=\"+Inf\"}} {sum}")),
                }
            }
            let took = Seconds(requests.microseconds.load(Relaxed));
            text.line(format_args!("bulla_http_request_seconds_sum{{endpoint=\"{id}\"}} {took}"));
            text.line(format_args!("bulla_http_request_seconds_count{{endpoint=\"{id}\"}} {sum}"));
        }
        text.gauge("bulla_http_connections", "Connections that are open.", self.connections.load(Relaxed));
        text.begin("bulla_http_connections_refused_total", "counter", "Connections that were refused.");
        for (reason, count) in [("server_full", &self.refused_full), ("peer_full", &self.refused_peer)] {
            text.line(format_args!(
                "bulla_http_connections_refused_total{{reason=\"{reason}\"}} {}",
                count.load(Relaxed)
            ));
        }
        text.counter(
            "bulla_http_connections_stalled_total",
            "Connections that were closed since they kept somebody waiting.",
            self.stalled.load(Relaxed),
        );
        text.counter(
            "bulla_tls_handshakes_failed_total",
            "TLS handshakes that failed.",
            self.failed_handshakes.load(Relaxed),
        );
        let expires = self.certificate_expires.load(Relaxed);
        if expires > 0 {
            let help = "When the server's certificate expires, in seconds since 1970.";
            text.gauge("bulla_tls_certificate_expires_seconds", help, expires);
        }
    }
}

impl Requests {
    fn count(&self) -> u64 {
        self.by_range.iter().map(|count| count.load(Relaxed)).sum()
    }
}

/// Microseconds, written as seconds.
struct Seconds(u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Text in Prometheus's format.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a metric.
    pub fn begin(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    /// Writes a metric that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.begin(name, "gauge", help);
        self.line(format_args!("{name} {value}"));
    }

    /// Writes a metric that only goes up.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.begin(name, "counter", help);
        self.line(format_args!("{name} {value}"));
    }

    /// Writes a line. Whatever is in a label must not come from a request.
    pub fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }

    pub(crate) fn into_text(self) -> String {
        self.text
    }
}
