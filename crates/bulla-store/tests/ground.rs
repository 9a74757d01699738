//! A store to test on, with hands on the storage below it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulla_backend::{
    BlobId, Blobs, Clock, Collection, Document, DocumentKey, Documents, Durability, Expected, FileBlobs, ListQuery,
    MemoryBlobs, MemoryDocuments, SqliteDocuments, SqliteOptions, SystemClock, Timestamp,
};
use bulla_keyring::{Identity, Keyring};
use bulla_seal::{Context, KeyVersionId, Params, Suite};
use bulla_store::{
    Budget, CheckCounts, CheckOptions, Entry, EntryQuery, Finding, GetOptions, MIN_ORPHAN_AGE, Namespace, Store,
    StoreError, WalkEvent,
};
use pollster::block_on;
use tempfile::TempDir;

pub(crate) const ENTRIES: Collection = Collection::new("entries", Durability::Durable);

/// A clock that is moved by hand.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(1_700_000_000_000)))
    }

    pub(crate) fn forward(&self, duration: Duration) {
        let step = u64::try_from(duration.as_millis()).unwrap();
        self.0.fetch_add(step, Ordering::SeqCst);
    }

    fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct Ground {
    pub(crate) trust: Arc<dyn Documents>,
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) store: Store,
    /// Where documents and blobs lie, unless in memory.
    folder: Option<TempDir>,
}

impl Ground {
    /// In memory, with a project of its own.
    pub(crate) fn new() -> Self {
        Self::with_trust(Arc::new(MemoryDocuments::new()))
    }

    /// In SQLite and files, with a project of its own. Files bear the machine's time, so the clock begins there.
    pub(crate) fn in_folder() -> Self {
        let folder = TempDir::new().unwrap();
        let (documents, blobs) = open_folder(&folder);
        let ground = Self { folder: Some(folder), ..Self::on(documents, blobs) };
        ground.clock.set(SystemClock.now());
        ground
    }

    /// On a given storage, with a project of its own whose trust lies in memory.
    pub(crate) fn on(documents: Arc<dyn Documents>, blobs: Arc<dyn Blobs>) -> Self {
        Self::with_clock(HandClock::new(), Arc::new(MemoryDocuments::new()), documents, blobs)
    }

    /// In memory, with a project whose trust lies in a given place.
    pub(crate) fn with_trust(trust: Arc<dyn Documents>) -> Self {
        let clock = HandClock::new();
        let blobs = MemoryBlobs::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        Self::with_clock(clock, trust, Arc::new(MemoryDocuments::new()), Arc::new(blobs))
    }

    fn with_clock(
        clock: Arc<HandClock>,
        trust: Arc<dyn Documents>,
        documents: Arc<dyn Documents>,
        blobs: Arc<dyn Blobs>,
    ) -> Self {
        let identity = Arc::new(Identity::generate().unwrap());
        let machine = "here".parse().unwrap();
        let created = Keyring::create(Arc::clone(&trust), identity, &machine, Arc::clone(&clock) as Arc<dyn Clock>);
        let keyring = Arc::new(block_on(created).unwrap());
        let store = Self::store(&keyring, &documents, &blobs, &clock);
        Self { trust, documents, blobs, clock, keyring, store, folder: None }
    }

    /// Opens project and store anew, as another process would.
    pub(crate) fn reopen(&mut self) {
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let identity = Arc::clone(self.keyring.identity());
        let opened = Keyring::open(Arc::clone(&self.trust), identity, self.keyring.pin(), clock);
        self.keyring = Arc::new(block_on(opened).unwrap());
        if let Some(folder) = &self.folder {
            (self.documents, self.blobs) = open_folder(folder);
        }
        self.store = Self::store(&self.keyring, &self.documents, &self.blobs, &self.clock);
    }

    /// The same project and clock over other documents and blobs.
    pub(crate) fn over(&self, documents: Arc<dyn Documents>, blobs: Arc<dyn Blobs>) -> Store {
        Self::store(&self.keyring, &documents, &blobs, &self.clock)
    }

    fn store(
        keyring: &Arc<Keyring>,
        documents: &Arc<dyn Documents>,
        blobs: &Arc<dyn Blobs>,
        clock: &Arc<HandClock>,
    ) -> Store {
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Store::new(Arc::clone(keyring), Arc::clone(documents), Arc::clone(blobs), clock)
    }

    pub(crate) fn folder(&self) -> &TempDir {
        self.folder.as_ref().unwrap()
    }

    pub(crate) fn namespace(&self, name: &str) -> Namespace {
        self.store.namespace(name).unwrap()
    }

    pub(crate) fn rotate(&self, namespace: &str) {
        block_on(self.keyring.rotate_key(self.namespace(namespace).name().key())).unwrap();
    }

    pub(crate) fn newest(&self, namespace: &str) -> KeyVersionId {
        block_on(self.keyring.current(self.namespace(namespace).name().key())).unwrap().id()
    }

    /// Checks the store as if it were so late that no blob is recent any more.
    pub(crate) fn check(&self) -> (CheckCounts, Vec<Finding>) {
        let clock = HandClock::new();
        // Files bear the machine's time, which goes on during a test.
        clock.set(self.clock.now().saturating_add(MIN_ORPHAN_AGE + Duration::from_mins(5)));
        check(&Self::store(&self.keyring, &self.documents, &self.blobs, &clock))
    }

    pub(crate) fn documents(&self) -> Vec<Document> {
        block_on(self.documents.list(ENTRIES, &ListQuery::default())).unwrap().documents
    }

    pub(crate) fn document(&self, namespace: &str, name: &[u8]) -> Document {
        block_on(self.documents.get(ENTRIES, &document_key(namespace, name))).unwrap().unwrap()
    }

    /// Writes a document past the store.
    pub(crate) fn plant(&self, namespace: &str, name: &[u8], document: &[u8]) {
        self.plant_at(&document_key(namespace, name), document);
    }

    pub(crate) fn plant_at(&self, key: &DocumentKey, document: &[u8]) {
        block_on(self.documents.put(ENTRIES, key, document, Expected::Any)).unwrap();
    }

    /// Writes an entry past the store, but sealed with the project's key, as only an insider could.
    pub(crate) fn forge(&self, namespace: &str, name: &[u8], encoded: &[u8]) {
        self.forge_as(namespace, name, encoded, Suite::Aes256Gcm);
    }

    /// As [`Self::forge`], with another suite.
    pub(crate) fn forge_as(&self, namespace: &str, name: &[u8], encoded: &[u8], suite: Suite) {
        let version = block_on(self.keyring.current(self.namespace(namespace).name().key())).unwrap();
        let context = Context::in_domain("bulla/store/entry", &self.keyring.project())
            .text("namespace", namespace)
            .bytes("name", name)
            .build()
            .unwrap();
        let params = Params { suite, ..version.params() };
        let document = version.seal_key().seal(params, &context, encoded).unwrap();
        self.plant(namespace, name, &document);
    }

    /// Opens an entry past the store, as only an insider could.
    pub(crate) fn entry(&self, namespace: &str, name: &[u8]) -> Entry {
        let version = block_on(self.keyring.current(self.namespace(namespace).name().key())).unwrap();
        let context = Context::in_domain("bulla/store/entry", &self.keyring.project())
            .text("namespace", namespace)
            .bytes("name", name)
            .build()
            .unwrap();
        let encoded = version.seal_key().open(&context, &self.document(namespace, name).value).unwrap();
        Entry::parse(&encoded).unwrap().0
    }

    pub(crate) fn blob_ids(&self) -> Vec<BlobId> {
        let page = block_on(self.blobs.list(None, 0)).unwrap();
        page.blobs.into_iter().map(|blob| blob.id).collect()
    }

    pub(crate) fn blob(&self, id: &BlobId) -> Vec<u8> {
        let blob = block_on(self.blobs.open(id)).unwrap().unwrap();
        let mut bytes = vec![0; usize::try_from(blob.len()).unwrap()];
        let filled = block_on(blob.read_at(0, &mut bytes)).unwrap();
        assert_eq!(filled, bytes.len());
        bytes
    }

    /// Writes a blob past the store, in place of what was there.
    pub(crate) fn plant_blob(&self, id: &BlobId, bytes: &[u8]) {
        block_on(async {
            self.blobs.delete(id).await.unwrap();
            let mut blob = self.blobs.create(id, Durability::Durable).await.unwrap();
            blob.write(bytes).await.unwrap();
            blob.finish().await.unwrap();
        });
    }
}

/// Opens the storage in a folder, as one process of several would.
pub(crate) fn open_folder(folder: &TempDir) -> (Arc<dyn Documents>, Arc<dyn Blobs>) {
    let documents = SqliteDocuments::open(folder.path().join("entries.db"), SqliteOptions::default()).unwrap();
    (Arc::new(documents), Arc::new(FileBlobs::open(folder.path().join("blobs")).unwrap()))
}

pub(crate) fn document_key(namespace: &str, name: &[u8]) -> DocumentKey {
    DocumentKey::new([namespace.as_bytes(), b"\0", name].concat()).unwrap()
}

pub(crate) fn check(store: &Store) -> (CheckCounts, Vec<Finding>) {
    let mut findings = Vec::new();
    let counts = block_on(store.check(&CheckOptions::default(), &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Found(finding) = event {
            findings.push(finding);
        }
    }));
    (counts.unwrap(), findings)
}

pub(crate) fn read(namespace: &Namespace, name: &[u8]) -> Result<Vec<u8>, StoreError> {
    block_on(namespace.get(name, &GetOptions::default())).map(|value| value.bytes)
}

/// The value of a name, `None` where there is none; anything else that goes wrong is a failure of the test.
pub(crate) fn value(namespace: &Namespace, name: &[u8]) -> Option<Vec<u8>> {
    match read(namespace, name) {
        Ok(value) => Some(value),
        Err(StoreError::NotFound(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn write(namespace: &Namespace, name: &[u8], value: &[u8]) -> u64 {
    block_on(namespace.put(name, value, &bulla_store::PutOptions::default())).unwrap()
}

/// All names of a namespace, read in pages of `limit`.
pub(crate) fn names(namespace: &Namespace, prefix: &[u8], limit: usize) -> Vec<Vec<u8>> {
    let mut query = EntryQuery { prefix: prefix.to_vec(), after: None, limit };
    let mut names = Vec::new();
    loop {
        let page = block_on(namespace.list(&query)).unwrap();
        names.extend(page.entries.into_iter().map(|entry| entry.name.as_bytes().to_vec()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return names,
        }
    }
}

/// Bytes that differ from place to place, so that nothing moved goes unnoticed.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(len)
    .collect()
}

#[track_caller]
pub(crate) fn assert_code<T: fmt::Debug>(result: Result<T, StoreError>, code: &str) {
    match result {
        Ok(value) => panic!("{value:?} where `{code}` was expected"),
        Err(error) => assert_eq!(error.code(), code, "{error}"),
    }
}
