//! Sealing and opening beside the peers, in one run, as ratios: `cargo bench -p bulla-seal`.
//!
//! The work is done in two child processes, one of them bound to a single core, because the library asks only once how many
//! cores there are. Rounds of all peers alternate; what is printed is the median. A peer gets the best case: raw AES-256-GCM is
//! one call on one buffer under a key that is set up once; ours derives a key for the message, commits to it and cuts it into
//! chunks. `openssl speed` runs as its own process where it is installed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench stops at the first surprise and prints"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{self, BufRead, Read, Write};
use std::process::Command;
use std::time::Duration;

use aes_gcm::aead::{AeadInPlace, KeyInit};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bulla_seal::{Context, KeyVersionId, Params, ProjectId, SealKey, SealWriter, SealedStream};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;
const SIZES: [usize; 8] = [64, KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB, 64 * MIB, 1_024 * MIB];
const CHILD: &str = "BULLA_BENCH_CHILD";
const ROUNDS: usize = 7;

fn main() {
    match std::env::var(CHILD).as_deref() {
        Ok("one-core") => {
            let mut first = CpuSet::new();
            let allowed = sched_getaffinity(None).unwrap();
            first.set((0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).unwrap());
            sched_setaffinity(None, &first).unwrap();
            SIZES.into_iter().for_each(against_raw);
            against_age();
        }
        Ok(_) => SIZES.into_iter().filter(|size| *size >= MIB).for_each(ours_alone),
        Err(_) => report(),
    }
}

/// Times, in nanoseconds, by name and size.
type Times = BTreeMap<(String, usize), f64>;

fn report() {
    let one = child("one-core");
    let all = child("all-cores");
    let openssl = openssl();
    let at = |times: &Times, name: &str, size| times.get(&(name.to_owned(), size)).copied();
    println!("\nAES-256-GCM, one core, median of {ROUNDS} rounds. Ratios: our throughput over the peer's.\n");
    println!(
        "{:>8} {:>12} {:>10} {:>12} {:>10} {:>8} {:>8} {:>8} {:>8} {:>11} {:>9}",
        "size",
        "seal ns",
        "seal GB/s",
        "open ns",
        "open GB/s",
        "/aws-lc",
        "in place",
        "open/",
        "/OpenSSL",
        "/RustCrypto",
        "all cores"
    );
    for size in SIZES {
        let seal = at(&one, "seal", size).unwrap();
        let open = at(&one, "open", size).unwrap();
        let ratio = |peer: Option<f64>, own: f64| peer.map_or("-".to_owned(), |peer| format!("{:.2}", peer / own));
        println!(
            "{:>8} {seal:>12.0} {:>10.2} {open:>12.0} {:>10.2} {:>8} {:>8} {:>8} {:>8} {:>11} {:>9}",
            name_of(size),
            size as f64 / seal,
            size as f64 / open,
            ratio(at(&one, "aws-lc seal", size), seal),
            ratio(at(&one, "aws-lc seal", size), at(&one, "seal in place", size).unwrap()),
            ratio(at(&one, "aws-lc open", size), open),
            ratio(openssl.get(&size).copied(), seal),
            ratio(at(&one, "rustcrypto seal", size), seal),
            ratio(Some(seal), at(&all, "seal", size).unwrap_or(seal)),
        );
    }
    let per_second = |name| 1e9 / at(&one, name, 64).unwrap();
    println!("\n64 B on one core: {:.0} seals and {:.0} opens a second", per_second("seal"), per_second("open"));
    println!("\n1 GiB in memory, streamed to a sink, CPU seconds (one core):");
    for (name, ours, theirs) in [("encrypt", "stream seal", "age seal"), ("decrypt", "stream open", "age open")] {
        let (ours, theirs) = (at(&one, ours, 1_024 * MIB).unwrap(), at(&one, theirs, 1_024 * MIB).unwrap());
        println!("  {name}: ours {:.3} s, age {:.3} s, ratio {:.1}", ours / 1e9, theirs / 1e9, theirs / ours);
    }
}

fn child(mode: &str) -> Times {
    let output = Command::new(std::env::current_exe().unwrap()).env(CHILD, mode).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let mut fields = line.split('\t');
            let mut field = || fields.next().unwrap();
            ((field().to_owned(), field().parse().unwrap()), field().parse().unwrap())
        })
        .collect()
}

fn against_raw(size: usize) {
    let (key, context) = (key(), context());
    let message = vec![7; size];
    let mut sealed = key.seal(Params::default(), &context, &message).unwrap();
    let again = sealed.clone();
    let mut opened = message.clone();
    // As long as its sealed value, of which each round takes the first bytes for the message.
    let mut in_place = sealed.clone();
    let raw = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[1; 32]).unwrap());
    let rust_crypto = aes_gcm::Aes256Gcm::new(&[1; 32].into());
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let mut raw_buffer = message.clone();
    let mut raw_out = message.clone();
    let mut raw_sealed = message.clone();
    let raw_tag = raw.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut raw_sealed).unwrap();
    let mut rust_buffer = message.clone();
    measure(
        size,
        &mut [
            ("seal", &mut || key.seal_into(Params::default(), &context, &message, &mut sealed).unwrap()),
            ("open", &mut || key.open_into(&context, &again, &mut opened).unwrap()),
            ("seal in place", &mut || {
                in_place.truncate(size);
                key.seal_in_place(Params::default(), &context, &mut in_place).unwrap();
            }),
            ("aws-lc seal", &mut || {
                let tag = raw.seal_in_place_separate_tag(nonce(), Aad::empty(), &mut raw_buffer);
                black_box(tag.unwrap().as_ref().len());
            }),
            ("aws-lc open", &mut || {
                raw.open_separate_gather(nonce(), Aad::empty(), &raw_sealed, raw_tag.as_ref(), &mut raw_out).unwrap();
            }),
            ("rustcrypto seal", &mut || {
                black_box(rust_crypto.encrypt_in_place_detached(&[0; 12].into(), b"", &mut rust_buffer).unwrap());
            }),
        ],
    );
}

fn ours_alone(size: usize) {
    let (key, context) = (key(), context());
    let message = vec![7; size];
    let mut sealed = key.seal(Params::default(), &context, &message).unwrap();
    measure(size, &mut [("seal", &mut || key.seal_into(Params::default(), &context, &message, &mut sealed).unwrap())]);
}

/// 1 GiB that lies in memory, encrypted to a sink, and its encryption, decrypted to a sink. The memory is touched once before, so
/// that no peer pays for the first use of it.
fn against_age() {
    let (key, context) = (key(), context());
    let message = vec![7; 1_024 * MIB];
    let sealed = key.seal(Params::default(), &context, &message).unwrap();
    let identity = age::x25519::Identity::generate();
    let recipient = identity.to_public();
    let encrypt = |out: &mut dyn Write| {
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        let mut writer = age::Encryptor::with_recipients(recipients).unwrap().wrap_output(out).unwrap();
        writer.write_all(&message).unwrap();
        writer.finish().unwrap();
    };
    let mut encrypted = Vec::with_capacity(message.len() + MIB);
    encrypt(&mut encrypted);
    measure(
        message.len(),
        &mut [
            ("stream seal", &mut || {
                let mut writer = SealWriter::new(&key, Params::default(), &context, io::sink()).unwrap();
                writer.write_all(&message).unwrap();
                writer.finish().unwrap();
            }),
            ("stream open", &mut || {
                let mut reader = SealedStream::new(sealed.as_slice()).unwrap().open(&key, &context).unwrap();
                while let released @ 1.. = reader.fill_buf().unwrap().len() {
                    reader.consume(released);
                }
            }),
            ("age seal", &mut || encrypt(&mut io::sink())),
            ("age open", &mut || {
                let decryptor = age::Decryptor::new(encrypted.as_slice()).unwrap();
                let mut reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).unwrap();
                let mut buffer = vec![0; 64 * KIB];
                while reader.read(&mut buffer).unwrap() > 0 {}
            }),
        ],
    );
}

type Work<'a> = (&'a str, &'a mut dyn FnMut());

/// Runs the works in turn, round after round, and prints the median time of each.
fn measure(size: usize, works: &mut [Work<'_>]) {
    let target = Duration::from_millis(50);
    let repeats: Vec<u32> = works
        .iter_mut()
        .map(|(_, work)| {
            let mut repeats = 1;
            while repeats < 1 << 20 && time(repeats, work) < target / 2 {
                repeats *= 2;
            }
            repeats
        })
        .collect();
    let mut times = vec![Vec::new(); works.len()];
    for _ in 0..ROUNDS {
        for (work, (times, repeats)) in works.iter_mut().zip(times.iter_mut().zip(&repeats)) {
            times.push(time(*repeats, &mut work.1).as_nanos() as f64 / f64::from(*repeats));
        }
    }
    for ((name, _), times) in works.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("{name}\t{size}\t{}", times[ROUNDS / 2]);
    }
}

/// Wall time where several cores may work, CPU time of this process where one does.
fn time(repeats: u32, work: &mut impl FnMut()) -> Duration {
    let clock = match std::env::var(CHILD).as_deref() {
        Ok("one-core") => ClockId::ProcessCPUTime,
        _ => ClockId::Monotonic,
    };
    let now = || Duration::try_from(clock_gettime(clock)).unwrap();
    let start = now();
    (0..repeats).for_each(|_| work());
    now() - start
}

/// Nanoseconds for one call of `openssl speed` at each size; empty where OpenSSL is not installed.
fn openssl() -> BTreeMap<usize, f64> {
    let measured = |size: usize| {
        let output = Command::new("openssl")
            .args(["speed", "-mr", "-seconds", "1", "-bytes", &size.to_string(), "-evp", "aes-256-gcm"])
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let line = text.lines().find(|line| line.starts_with("+F:"))?;
        let bytes_per_second: f64 = line.rsplit(':').next()?.parse().ok()?;
        Some((size, size as f64 / bytes_per_second * 1e9))
    };
    SIZES.into_iter().filter(|size| *size <= 64 * MIB).filter_map(measured).collect()
}

fn name_of(size: usize) -> String {
    match size {
        size if size >= 1_024 * MIB => format!("{} GiB", size / 1_024 / MIB),
        size if size >= MIB => format!("{} MiB", size / MIB),
        size if size >= KIB => format!("{} KiB", size / KIB),
        size => format!("{size} B"),
    }
}

fn key() -> SealKey {
    SealKey::new(KeyVersionId([2; 8]), &[1; 32]).unwrap()
}

fn context() -> Context {
    Context::user(&ProjectId([4; 32])).text("table", "orders").build().unwrap()
}
