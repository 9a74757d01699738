//! What the tests stand on.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulla_backend::{
    Documents, FileBlobs, MemoryBlobs, MemoryDocuments, SqliteDocuments, SqliteOptions, SystemClock, Timestamp,
};
use bulla_keyring::{Identity, Keyring, TrustPin};
use bulla_server::engines::{Engine, Engines};
use bulla_server::kv::{self, WriteRequest};
use bulla_store::Store;
use pollster::block_on;
use serde_json::Value;

/// The moment at which most tests happen.
pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Makes a store in memory.
pub(crate) fn memory() -> Store {
    let clock = Arc::new(SystemClock);
    let trust = Arc::new(MemoryDocuments::new());
    let identity = Arc::new(Identity::generate().unwrap());
    let keyring = block_on(Keyring::create(trust, identity, &"here".parse().unwrap(), clock.clone())).unwrap();
    Store::new(Arc::new(keyring), Arc::new(MemoryDocuments::new()), Arc::new(MemoryBlobs::new()), clock)
}

/// Opens the store in a folder as one process of several, making the project if there is none.
pub(crate) fn open(folder: &Path) -> Store {
    let trust: Arc<dyn Documents> =
        Arc::new(SqliteDocuments::open(folder.join("trust.db"), SqliteOptions::default()).unwrap());
    let clock = Arc::new(SystemClock);
    let keyring = if folder.join("pin").exists() {
        let identity = Arc::new(Identity::read_file(&folder.join("identity")).unwrap());
        let pin: TrustPin = fs::read_to_string(folder.join("pin")).unwrap().parse().unwrap();
        block_on(Keyring::open(trust, identity, pin, clock.clone())).unwrap()
    } else {
        let identity = Identity::generate().unwrap();
        identity.create_file(&folder.join("identity")).unwrap();
        let machine = "here".parse().unwrap();
        let keyring = block_on(Keyring::create(trust, Arc::new(identity), &machine, clock.clone())).unwrap();
        fs::write(folder.join("pin"), keyring.pin().to_string()).unwrap();
        keyring
    };
    let documents = SqliteDocuments::open(folder.join("entries.db"), SqliteOptions::default()).unwrap();
    let blobs = FileBlobs::open(folder.join("blobs")).unwrap();
    Store::new(Arc::new(keyring), Arc::new(documents), Arc::new(blobs), clock)
}

/// Returns the engine at a path.
pub(crate) fn mount(store: &Store, path: &str) -> Arc<Engine> {
    let table = block_on(Engines::new(store.clone()).table()).unwrap();
    Arc::clone(table.at(path).unwrap())
}

/// Makes the request to write data.
pub(crate) fn request(data: &Value, cas: Option<u64>) -> WriteRequest {
    let body = serde_json::json!({ "data": data, "options": { "cas": cas } });
    serde_json::from_str(&body.to_string()).unwrap()
}

/// Reads the data of a version.
pub(crate) fn read(store: &Store, engine: &Engine, path: &str, version: u64) -> Option<Value> {
    let read = block_on(kv::read_data(store, engine, path, Some(version), NOW)).unwrap();
    read.data.map(|data| serde_json::to_value(&data).unwrap())
}
