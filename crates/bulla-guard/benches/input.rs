//! What strictness costs: our JSON reader beside plain `serde_json`, and the inspection pack.
//!
//! `cargo bench -p bulla-guard --bench input`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

use std::hint::black_box;
use std::time::Instant;

use bulla_guard::input::inspect::{InspectionMode, inspect};
use bulla_guard::input::{Bounds, json};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Batch {
    batch: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read")]
struct Item {
    plaintext: String,
    context: Option<String>,
    version: u64,
}

fn main() {
    println!("{:<36} {:>10} {:>12} {:>12}", "MB/s", "bytes", "serde_json", "ours");
    let item = |n: usize| json!({ "plaintext": "aGVsbG8gd29ybGQ=".repeat(4), "context": null, "version": n });
    let batch = json!({ "batch": (0..10_000).map(item).collect::<Vec<_>>() }).to_string();
    row::<Batch>("a batch of 10,000, typed", &batch);
    row::<Value>("a batch of 10,000, as any value", &batch);
    row::<Item>("one request, typed", &item(7).to_string());
    row::<Value>("one long text", &json!("a".repeat(1 << 20)).to_string());
    row::<Value>("one text, full of escapes", &json!("\n\"é".repeat(100_000)).to_string());
    row::<Value>("10,000 numbers", &json!((0..10_000).map(|n| n * 1_234_567).collect::<Vec<u64>>()).to_string());
    row::<Value>(
        "an object of 1,000",
        &Value::Object((0..1_000).map(|n| (format!("name {n}"), json!(n))).collect()).to_string(),
    );
    let text = "A text about onions, and how to import them from abroad. ".repeat(170);
    println!(
        "\ninspection of {} bytes: {} µs",
        text.len(),
        time(|| drop(black_box(inspect(&text, InspectionMode::Report)))) / 1_000
    );
}

fn row<T: DeserializeOwned>(name: &str, document: &str) {
    let theirs = time(|| drop(black_box(serde_json::from_str::<T>(black_box(document)).unwrap())));
    let ours = time(|| drop(black_box(json::from_slice::<T>(black_box(document.as_bytes()), &Bounds::BATCH).unwrap())));
    let rate = |nanoseconds: u128| document.len() as u128 * 1_000 / nanoseconds.max(1);
    println!("{name:<36} {:>10} {:>12} {:>12}", document.len(), rate(theirs), rate(ours));
}

/// Returns the nanoseconds that one run takes, of the fastest of five rounds.
fn time(run: impl Fn()) -> u128 {
    let round = || {
        let (begun, mut runs) = (Instant::now(), 0);
        while begun.elapsed().as_millis() < 60 {
            run();
            runs += 1;
        }
        begun.elapsed().as_nanos() / runs
    };
    (0..5).map(|_| round()).min().unwrap_or_default()
}
