//! Whoever can write the database can make it fail, and nothing else: what is read is what was written, or an error.
//!
//! Input: the number of changes; for each which document, how (see `Change::read`); the rest feeds the changes.
#![no_main]

use std::sync::{Arc, LazyLock};

use bulla_backend::{Clock, Documents, MemoryBlobs, MemoryDocuments, Timestamp};
use bulla_fuzz::Input;
use bulla_fuzz::tampered::{Change, Tampered};
use bulla_keyring::{Algorithm, Identity, KeyInfo, KeyName, Keyring};
use bulla_seal::{Context, ProjectId};
use bulla_store::{Budget, CheckOptions, EntryQuery, EntryStat, GetOptions, Namespace, PutOptions, Store};
use libfuzzer_sys::fuzz_target;
use pollster::block_on;

const ENTRIES: [(&[u8], usize); 3] = [(b"small", 10), (b"middle", 3_000), (b"large", 70_000)];

/// Three keys (one is the namespace's), a message, and each entry by its name and in a listing.
const EVERYTHING: usize = 4 + 2 * ENTRIES.len();

#[derive(Debug)]
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

/// A project as its owner left it.
struct Original {
    identity: Arc<Identity>,
    project: ProjectId,
    trust: Arc<MemoryDocuments>,
    entries: Arc<MemoryDocuments>,
    blobs: Arc<MemoryBlobs>,
    keys: Vec<KeyInfo>,
    stats: Vec<EntryStat>,
    sealed: Vec<u8>,
}

static ORIGINAL: LazyLock<Original> = LazyLock::new(|| block_on(original()).expect("a new project"));

fuzz_target!(|data: &[u8]| {
    let original = &*ORIGINAL;
    let mut input = Input(data);
    let changes: Vec<Change> = (0..input.byte() % 4).map(|_| Change::read(&mut input)).collect();
    let (for_trust, for_entries): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| change.document % 2 == 0);
    let unchanged = for_trust.is_empty() && for_entries.is_empty();
    let trust = Arc::new(Tampered::new(original.trust.clone(), for_trust));
    let entries = Arc::new(Tampered::new(original.entries.clone(), for_entries));
    let read = block_on(read_all(original, trust, entries));
    assert!(!unchanged || read == EVERYTHING, "{read} of {EVERYTHING} read from a database that nobody changed");
});

async fn original() -> Result<Original, Box<dyn std::error::Error>> {
    let identity = Arc::new(Identity::generate()?);
    let (trust, entries) = (Arc::new(MemoryDocuments::new()), Arc::new(MemoryDocuments::new()));
    let blobs = Arc::new(MemoryBlobs::new());
    let clock = Arc::new(StoppedClock);
    let keyring = Keyring::create(trust.clone(), identity.clone(), &"here".parse()?, clock.clone()).await?;
    let keyring = Arc::new(keyring);
    let orders: KeyName = "orders".parse()?;
    keyring.create_key(&orders, Algorithm::Aes256Gcm).await?;
    keyring.create_key(&"index".parse()?, Algorithm::Aes256Deterministic).await?;
    let project = keyring.project();
    let sealed = keyring.seal(&orders, &context(&project), b"a message").await?;
    keyring.rotate_key(&orders).await?;

    let namespace = Store::new(keyring.clone(), entries.clone(), blobs.clone(), clock).namespace("default")?;
    let mut stats = Vec::new();
    for (name, len) in ENTRIES {
        namespace.put(name, &value(name, len), &PutOptions::default()).await?;
        stats.push(namespace.stat(name, &GetOptions::default()).await?);
    }
    let keys = keyring.keys(None, 0).await?.keys.into_iter().collect::<Result<_, _>>()?;
    Ok(Original { identity, project, trust, entries, blobs, keys, stats, sealed })
}

/// Reads everything there is to read; returns how much of it could be read.
async fn read_all(original: &Original, trust: Arc<dyn Documents>, entries: Arc<dyn Documents>) -> usize {
    let clock = Arc::new(StoppedClock);
    let opened = Keyring::open(trust, original.identity.clone(), original.project, clock.clone()).await;
    let Ok(keyring) = opened.map(Arc::new) else { return 0 };
    assert_eq!(keyring.project(), original.project);
    let from_keyring = read_keyring(original, &keyring).await;

    let store = Store::new(keyring, entries, original.blobs.clone(), clock);
    let from_store = read_entries(original, &store.namespace("default").expect("a name")).await;
    let checked = store.check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |_| ()).await;
    assert!(checked.is_ok_and(|counts| counts.ok <= ENTRIES.len() as u64));
    from_keyring + from_store
}

async fn read_keyring(original: &Original, keyring: &Keyring) -> usize {
    let mut read = 0;
    for original in &original.keys {
        if let Ok(key) = keyring.key(&original.name).await {
            assert_eq!((&key.name, key.algorithm), (&original.name, original.algorithm));
            read += 1;
        }
        // Whatever these say, they say it without panicking.
        let _ = keyring.versions(&original.name, None, 0).await;
        let _ = keyring.current(&original.name).await;
    }
    let _ = keyring.keys(None, 0).await;
    let orders = "orders".parse().expect("a name");
    if let Ok(message) = keyring.open_sealed(&orders, &context(&original.project), &original.sealed).await {
        assert_eq!(message, b"a message");
        read += 1;
    }
    read
}

async fn read_entries(original: &Original, namespace: &Namespace) -> usize {
    let mut read = 0;
    for ((name, len), stat) in ENTRIES.into_iter().zip(&original.stats) {
        if let Ok(entry) = namespace.get(name, &GetOptions::default()).await {
            assert_eq!(&entry.stat, stat);
            assert_eq!(entry.bytes, value(name, len));
            read += 1;
        }
    }
    let listed =
        namespace.list(&EntryQuery::default()).await.expect("a listing in which damaged entries hide no others");
    for entry in listed.entries {
        if let Ok(stat) = entry.stat {
            let at = ENTRIES.iter().position(|(name, _)| *name == entry.name.as_bytes()).expect("a name that was put");
            assert_eq!(stat, original.stats[at]);
            read += 1;
        }
    }
    read
}

fn context(project: &ProjectId) -> Context {
    Context::user(project).int("row", 1).build().expect("a small context")
}

fn value(name: &[u8], len: usize) -> Vec<u8> {
    name.iter().copied().cycle().take(len).collect()
}
