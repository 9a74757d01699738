//! A project and its store in a folder, which several processes may open; and what a process has used.

#![allow(dead_code, reason = "each bench uses what it needs")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{Documents, FileBlobs, SqliteDocuments, SqliteOptions, SystemClock};
use bulla_keyring::{Identity, Keyring, TrustPin};
use bulla_store::{Store, StoreOptions};
use pollster::block_on;

/// Makes a project and its store in a folder, or opens the one that is there.
pub(crate) fn store(folder: &Path) -> Store {
    let trust = folder.join("trust.db");
    let [identity, pin] = ["identity", "pin"].map(|name| folder.join(name));
    let is_new = !pin.exists();
    let trust: Arc<dyn Documents> = Arc::new(SqliteDocuments::open(trust, SqliteOptions::default()).unwrap());
    let keyring = if is_new {
        let generated = Identity::generate().unwrap();
        generated.create_file(&identity).unwrap();
        let machine = "bench".parse().unwrap();
        let keyring = block_on(Keyring::create(trust, Arc::new(generated), &machine, Arc::new(SystemClock))).unwrap();
        fs::write(&pin, keyring.pin().to_string()).unwrap();
        keyring
    } else {
        let identity = Arc::new(Identity::read_file(&identity).unwrap());
        let pin: TrustPin = fs::read_to_string(&pin).unwrap().parse().unwrap();
        block_on(Keyring::open(trust, identity, pin, Arc::new(SystemClock))).unwrap()
    };
    let documents = SqliteDocuments::open(folder.join("entries.db"), SqliteOptions::default()).unwrap();
    let blobs = FileBlobs::open(folder.join("blobs")).unwrap();
    let (documents, blobs) = (Arc::new(documents), Arc::new(blobs));
    Store::with_options(Arc::new(keyring), documents, blobs, Arc::new(SystemClock), StoreOptions::default())
}

/// Returns the user and system time of all threads of a process, ended ones too (`proc_pid_stat(5)`: in ticks of 10 ms).
pub(crate) fn cpu_time(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the most memory that this process has had at once, in MiB.
pub(crate) fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}

/// Returns the room that the files of a folder take, in bytes.
pub(crate) fn disk_usage(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() { disk_usage(&entry.path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}

/// Returns the middle of some figures.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
