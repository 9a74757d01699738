//! What the transit API costs beside the seal itself: from the bytes of a request to the bytes of an answer, on one core.
//!
//! `cargo bench -p bulla-server --bench transit`. Processor time, so that a busy machine tells the same.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bulla::{Project, Settings};
use bulla_server::transit::{self, DecryptRequest, EncryptRequest, HmacRequest, RewrapRequest, SignRequest};
use data_encoding::BASE64;
use pollster::block_on as block;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(300);
const BATCH: usize = 1_000;

fn main() {
    for place in ["memory", "sqlite"] {
        let folder = tempfile::tempdir().unwrap();
        let project = block(open(place, folder.path()));
        println!("{place:<44} {:>12} {:>14}", "µs", "a second");
        measure(&project);
        println!();
    }
}

async fn open(place: &str, folder: &std::path::Path) -> Project {
    match place {
        "memory" => Project::in_memory().await.unwrap(),
        _ => {
            let settings = Settings::builder()
                .folder(folder)
                .environment(false)
                .identity(folder.join("identity"))
                .backend(format!("sqlite:{}", folder.join("data").display()))
                .load_for_init()
                .unwrap();
            Project::init(settings).await.unwrap()
        }
    }
}

fn measure(project: &Project) {
    let message = [7_u8; 64];
    let plaintext = BASE64.encode(&message);
    for (name, r#type) in [("orders", "aes256-gcm96"), ("tags", "hmac"), ("signer", "ed25519")] {
        let request = serde_json::from_value(json!({ "type": r#type })).unwrap();
        drop(block(transit::create_key(project, "transit", name, request)).unwrap());
    }

    // The seal itself.
    let version = block(project.keyring().current(&"orders".parse().unwrap())).unwrap();
    let context = project.context().text("key", "orders").build().unwrap();
    let mut out = Vec::new();
    let seal =
        time(|| version.seal_key().seal_into(version.params(), &context, black_box(&message), &mut out).unwrap());
    row("seal of 64 B", seal, 1);
    let current = time(|| drop(black_box(block(project.keyring().current(version.name())).unwrap())));
    row("  looking up the version", current, 1);

    let body = json!({ "plaintext": plaintext }).to_string();
    let encrypt = time(|| drop(black_box(encrypt(project, &body))));
    row("encrypt of 64 B, JSON to JSON", encrypt, 1);
    println!("{:<44} {:>12.2}", "  beside the seal", micros(encrypt) - micros(seal));

    let sealed: Value = serde_json::from_slice(&self::encrypt(project, &body)).unwrap();
    let body = json!({ "ciphertext": sealed["ciphertext"] }).to_string();
    row("decrypt of 64 B, JSON to JSON", time(|| drop(black_box(decrypt(project, &body)))), 1);

    let items: Vec<Value> = (0..BATCH).map(|_| json!({ "plaintext": plaintext })).collect();
    let body = json!({ "batch_input": items }).to_string();
    let request = time(|| drop(black_box(parse::<EncryptRequest>(&body))));
    row("  reading a batch of 1,000", request, BATCH);
    row("encrypt, batch of 1,000, JSON to JSON", time(|| drop(black_box(self::encrypt(project, &body)))), BATCH);

    let items: Vec<Value> = (0..BATCH)
        .map(|row| json!({ "plaintext": plaintext, "associated_data": BASE64.encode(row.to_string().as_bytes()) }))
        .collect();
    let told = json!({ "batch_input": items }).to_string();
    row("  each with associated data of its own", time(|| drop(black_box(self::encrypt(project, &told)))), BATCH);

    let sealed: Value = serde_json::from_slice(&self::encrypt(project, &body)).unwrap();
    let items: Vec<Value> = sealed["batch_results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| json!({ "ciphertext": item["ciphertext"] }))
        .collect();
    let body = json!({ "batch_input": items }).to_string();
    row("decrypt, batch of 1,000, JSON to JSON", time(|| drop(black_box(decrypt(project, &body)))), BATCH);
    drop(block(transit::rotate_key(project, "transit", "orders")).unwrap());
    row("rewrap, batch of 1,000, JSON to JSON", time(|| drop(black_box(rewrap(project, &body)))), BATCH);

    let body = json!({ "input": plaintext }).to_string();
    row("hmac of 64 B, JSON to JSON", time(|| drop(black_box(hmac(project, &body)))), 1);
    row("sign of 64 B (ed25519), JSON to JSON", time(|| drop(black_box(sign(project, &body)))), 1);
    let large = json!({ "plaintext": BASE64.encode(&vec![7; 1 << 20]) }).to_string();
    let large = time(|| drop(black_box(self::encrypt(project, &large))));
    println!(
        "{:<44} {:>12.0} {:>11.0} MB",
        "encrypt of 1 MiB, JSON to JSON",
        micros(large),
        1.048_576e6 / micros(large)
    );
}

fn encrypt(project: &Project, body: &str) -> Vec<u8> {
    write(&block(transit::encrypt(project, "transit", "orders", false, parse::<EncryptRequest>(body))).unwrap().data)
}

fn decrypt(project: &Project, body: &str) -> Vec<u8> {
    write(&block(transit::decrypt(project, "transit", "orders", parse::<DecryptRequest>(body))).unwrap().data)
}

fn rewrap(project: &Project, body: &str) -> Vec<u8> {
    write(&block(transit::rewrap(project, "transit", "orders", parse::<RewrapRequest>(body))).unwrap().data)
}

fn hmac(project: &Project, body: &str) -> Vec<u8> {
    write(&block(transit::hmac(project, "transit", "tags", None, parse::<HmacRequest>(body))).unwrap().data)
}

fn sign(project: &Project, body: &str) -> Vec<u8> {
    write(&block(transit::sign(project, "transit", "signer", None, parse::<SignRequest>(body))).unwrap().data)
}

fn parse<T: DeserializeOwned>(body: &str) -> T {
    serde_json::from_slice(body.as_bytes()).unwrap()
}

fn write(data: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(data).unwrap()
}

fn row(what: &str, time: Duration, items: usize) {
    println!("{what:<44} {:>12.2} {:>14.0}", micros(time), 1e6 * items as f64 / micros(time));
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Returns the processor time of one call: the best of some rounds.
fn time(mut call: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (now(), 0);
        while now() - start < ROUND || calls == 0 {
            // Looking at the clock costs a call of the system.
            for _ in 0..64 {
                call();
            }
            calls += 64;
        }
        best = best.min((now() - start) / calls);
    }
    best
}

/// Returns the processor time of this thread; where the system does not tell it, the time that has passed.
fn now() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|line| line.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGUN.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}
