//! The store as a whole: what it stands on, and how entries become documents and come back.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use bulla_backend::{
    Blobs, Clock, Collection, Document, DocumentKey, Documents, Durability, ListQuery, NoRecorder, Recorder,
};
use bulla_keyring::{Algorithm, KeyVersion, Keyring, KeyringError};
use bulla_seal::{Context, Header, OpenError, Params, ProjectId, SealError, Suite};
use zeroize::{Zeroize, Zeroizing};

use crate::entry::Entry;
use crate::memory::MemoryTier;
use crate::name::prefix;
use crate::namespace::NamespaceState;
use crate::settled::NAMESPACES;
use crate::{BadEntry, EntryName, Namespace, NamespaceName, Place, StoreError};

/// Where entries lie.
pub(crate) const ENTRIES: Collection = Collection::new("entries", Durability::Durable);

const DOMAIN: &str = "bulla/store/entry";

/// Sealed entries by namespace and name. Clones are the same store.
///
/// Any number of stores, in any number of processes, may use one set of documents and blobs at the same time.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) entries: Arc<dyn Documents>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shared: Arc<Shared>,
}

/// What all clones of a store share, beside what it stands on.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) memory: MemoryTier,
    namespaces: Mutex<HashMap<NamespaceName, Arc<NamespaceState>>>,
}

/// What a store has beside what it stands on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoreOptions {
    /// Who is told of changes, reads and violations.
    pub recorder: Arc<dyn Recorder>,
    /// The most bytes of opened values that are held in memory, for namespaces whose settings allow it. 64 MiB by default.
    pub memory_bytes: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { recorder: Arc::new(NoRecorder), memory_bytes: 64 * 1_024 * 1_024 }
    }
}

impl Store {
    /// Makes a store of what it stands on.
    #[must_use]
    pub fn new(
        keyring: Arc<Keyring>,
        entries: Arc<dyn Documents>,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::with_options(keyring, entries, blobs, clock, StoreOptions::default())
    }

    /// Makes a store of what it stands on, with options.
    #[must_use]
    pub fn with_options(
        keyring: Arc<Keyring>,
        entries: Arc<dyn Documents>,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
        options: StoreOptions,
    ) -> Self {
        let StoreOptions { recorder, memory_bytes } = options;
        let shared = Shared { recorder, memory: MemoryTier::new(memory_bytes), namespaces: Mutex::default() };
        Self { keyring, entries, blobs, clock, shared: Arc::new(shared) }
    }

    /// Returns the namespace of that name; nothing is written before its first entry.
    ///
    /// # Errors
    /// [`StoreError::InvalidNamespace`] if no namespace can have that name.
    pub fn namespace(&self, name: &str) -> Result<Namespace, StoreError> {
        Ok(self.namespace_of(name.parse()?))
    }

    pub(crate) fn namespace_of(&self, name: NamespaceName) -> Namespace {
        let mut namespaces = self.shared.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        let state = Arc::clone(namespaces.entry(name.clone()).or_default());
        Namespace::new(self.clone(), name, state)
    }

    /// Lists the namespaces that have settings or entries, expired ones included, in order of their names.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    pub async fn namespaces(&self) -> Result<Vec<NamespaceName>, StoreError> {
        let mut found = BTreeSet::new();
        let mut pages = DocumentPages::of(&*self.entries, NAMESPACES, Vec::new());
        while let Some(documents) = pages.next().await? {
            let names = documents.iter().filter_map(|document| std::str::from_utf8(document.key.as_bytes()).ok());
            found.extend(names.filter_map(|name| name.parse::<NamespaceName>().ok()));
        }
        let mut query = ListQuery { limit: 1, ..ListQuery::default() };
        loop {
            let page = self.entries.list(ENTRIES, &query).await?;
            let Some(first) = page.documents.into_iter().next() else { return Ok(found.into_iter().collect()) };
            query.after = Some(first.key);
            if let Some(place) = query.after.as_ref().and_then(|key| Place::parse(key.as_bytes())) {
                // Behind all keys of the namespace, and before those of any other.
                let mut behind = prefix(&place.namespace, &[]);
                behind.pop();
                behind.push(1);
                query.after = Some(DocumentKey::new(behind)?);
                found.insert(place.namespace);
            }
        }
    }

    /// Returns the newest version of a namespace's key, making the key where the namespace was never written to.
    pub(crate) async fn sealing_version(&self, namespace: &NamespaceName) -> Result<Arc<KeyVersion>, StoreError> {
        if let Some(version) = self.newest_version(namespace).await? {
            return Ok(version);
        }
        let any = ListQuery { prefix: prefix(namespace, &[]), limit: 1, ..ListQuery::default() };
        if self.entries.list(ENTRIES, &any).await?.documents.is_empty() {
            match self.keyring.create_key(namespace.key(), Algorithm::default()).await {
                // Somebody else's first use of the namespace was faster: theirs is the key.
                Ok(_) | Err(KeyringError::KeyExists(_)) => {}
                Err(source) => return Err(StoreError::Keyring { namespace: namespace.clone(), source }),
            }
        }
        // Where there are entries, either somebody has just made the key and written the first, or the key is gone.
        self.newest_version(namespace).await?.ok_or_else(|| StoreError::KeyMissing(namespace.clone()))
    }

    /// Returns the newest version of a namespace's key, if there is a key.
    pub(crate) async fn newest_version(
        &self,
        namespace: &NamespaceName,
    ) -> Result<Option<Arc<KeyVersion>>, StoreError> {
        let version = match self.keyring.current(namespace.key()).await {
            Ok(version) => version,
            Err(KeyringError::NoKey(_)) => return Ok(None),
            Err(source) => return Err(StoreError::Keyring { namespace: namespace.clone(), source }),
        };
        // Anybody who may make keys may have made this one, before the store did.
        match version.params().suite {
            Suite::Aes256Gcm | Suite::ChaCha20Poly1305 => Ok(Some(version)),
            _ => Err(StoreError::UnsuitableKey(namespace.clone())),
        }
    }

    /// Seals an encoded entry, which has room for its seal behind it, to a document.
    pub(crate) fn seal(
        &self,
        version: &KeyVersion,
        params: Params,
        namespace: &NamespaceName,
        name: &[u8],
        mut encoded: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let context = entry_context(&self.keyring.project(), namespace, name)?;
        version.seal_key().seal_in_place(params, &context, &mut encoded)?;
        Ok(encoded)
    }

    /// Opens a document to an encoded entry (spec, "Reading", step 2).
    pub(crate) async fn open(
        &self,
        namespace: &NamespaceName,
        name: &[u8],
        document: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let context = entry_context(&self.keyring.project(), namespace, name)?;
        let opened = self.open_bytes(namespace, &context, document).await?;
        opened.map_err(|reason| StoreError::Open { place: place(namespace, name), reason })
    }

    /// Opens what is sealed under any version of a namespace's key; says why if it does not open.
    pub(crate) async fn open_bytes(
        &self,
        namespace: &NamespaceName,
        context: &Context,
        sealed: Vec<u8>,
    ) -> Result<Result<Zeroizing<Vec<u8>>, OpenError>, StoreError> {
        let id = match Header::parse(&sealed) {
            Ok(header) => header.key_version(),
            Err(reason) => return Ok(Err(reason)),
        };
        let version = match self.keyring.version(namespace.key(), id).await {
            Ok(version) => version,
            Err(KeyringError::NoKey(_)) => return Ok(Err(OpenError::UnknownVersion(id))),
            Err(KeyringError::Open(reason)) => return Ok(Err(reason)),
            Err(source) => return Err(StoreError::Keyring { namespace: namespace.clone(), source }),
        };
        let mut opened = Zeroizing::new(sealed);
        Ok(version.seal_key().open_in_place(context, &mut opened).map(|_| opened))
    }

    /// Opens a document to its entry and the value that lies in it (spec, "Reading", steps 2 and 3).
    pub(crate) async fn open_entry(
        &self,
        namespace: &NamespaceName,
        name: &[u8],
        document: Vec<u8>,
    ) -> Result<(Entry, Zeroizing<Vec<u8>>), StoreError> {
        let suite = Header::parse(&document).ok().map(|header| header.params().suite);
        let opened = self.open(namespace, name, document).await?;
        let (entry, value) = parse_entry(namespace, name, opened)?;
        refuse_exposed(suite, &entry)
            .map_err(|reason| StoreError::BadEntry { place: place(namespace, name), reason })?;
        Ok((entry, value))
    }
}

/// Opens a document under the key version that it names.
#[cfg(test)]
pub(crate) fn open_document(
    key: &bulla_seal::SealKey,
    project: &ProjectId,
    namespace: &NamespaceName,
    name: &[u8],
    document: Vec<u8>,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let context = entry_context(project, namespace, name)?;
    let mut opened = Zeroizing::new(document);
    key.open_in_place(&context, &mut opened)
        .map_err(|reason| StoreError::Open { place: place(namespace, name), reason })?;
    Ok(opened)
}

/// Reads an encoded entry, and leaves of it the value that lies in it.
pub(crate) fn parse_entry(
    namespace: &NamespaceName,
    name: &[u8],
    mut opened: Zeroizing<Vec<u8>>,
) -> Result<(Entry, Zeroizing<Vec<u8>>), StoreError> {
    let (entry, value_len) = Entry::parse(&opened)
        .map(|(entry, value)| (entry, value.len()))
        .map_err(|reason| StoreError::BadEntry { place: place(namespace, name), reason })?;
    if entry.blob.is_some() {
        // The blob's key must not be left in memory that is handed on as an empty value.
        opened.zeroize();
    } else {
        let head_len = opened.len() - value_len;
        opened.drain(..head_len);
    }
    Ok((entry, opened))
}

/// Refuses an entry with a blob that was sealed without being encrypted: whoever reads the blob's key could have written the blob.
pub(crate) fn refuse_exposed(suite: Option<Suite>, entry: &Entry) -> Result<(), BadEntry> {
    if suite == Some(Suite::Authenticated) && entry.blob.is_some() { Err(BadEntry::Exposed) } else { Ok(()) }
}

/// Makes what an entry is bound to (spec, "Documents").
fn entry_context(project: &ProjectId, namespace: &NamespaceName, name: &[u8]) -> Result<Context, SealError> {
    Context::in_domain(DOMAIN, project).text("namespace", namespace.as_str()).bytes("name", name).build()
}

/// Names an entry whose name was found to be one before.
pub(crate) fn place(namespace: &NamespaceName, name: &[u8]) -> Place {
    Place { namespace: namespace.clone(), name: EntryName::known(name) }
}

/// Walks over all documents whose keys begin with a prefix, holding one page of them in memory.
#[derive(Debug)]
pub(crate) struct DocumentPages<'a> {
    documents: &'a dyn Documents,
    collection: Collection,
    query: ListQuery,
    ended: bool,
}

impl<'a> DocumentPages<'a> {
    /// Walks over entries.
    pub(crate) fn new(entries: &'a dyn Documents, prefix: Vec<u8>) -> Self {
        Self::of(entries, ENTRIES, prefix)
    }

    /// Walks over the documents of a collection.
    pub(crate) fn of(documents: &'a dyn Documents, collection: Collection, prefix: Vec<u8>) -> Self {
        Self { documents, collection, query: ListQuery { prefix, ..ListQuery::default() }, ended: false }
    }

    /// Begins behind a key.
    pub(crate) fn behind(mut self, after: Option<DocumentKey>) -> Self {
        self.query.after = after;
        self
    }

    /// Says whether there may be another page.
    pub(crate) const fn has_more(&self) -> bool {
        !self.ended
    }

    /// Returns the next page, or `None` behind the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Document>>, StoreError> {
        self.next_of(0).await
    }

    /// Returns the next page of at most so many documents (0 means as many as there may be), or `None` behind the last.
    pub(crate) async fn next_of(&mut self, limit: usize) -> Result<Option<Vec<Document>>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        self.query.limit = limit;
        let page = self.documents.list(self.collection, &self.query).await?;
        self.ended = page.next.is_none();
        self.query.after = page.next;
        Ok(Some(page.documents))
    }
}
