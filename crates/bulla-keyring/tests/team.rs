//! A project with several machines on one database, and a clock that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bulla_backend::{Clock, Collection, Document, Documents, Expected, ListQuery, MemoryDocuments, Timestamp};
use bulla_keyring::format::{Act, KEY_IDS, KEY_VERSIONS, KEYS, Record, RecordHash, SignedRecord, TRUST_LOG, WRAPS};
use bulla_keyring::{
    Capability, Fingerprint, Identity, Keyring, KeyringError, Outcome, Request, RevokeOptions, TrustPin,
};
use bulla_seal::ProjectId;

#[derive(Debug)]
pub(crate) struct SetClock(AtomicU64);

impl SetClock {
    pub(crate) fn advance(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, milliseconds: u64) {
        self.0.fetch_sub(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct Team {
    pub(crate) documents: MemoryDocuments,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) founder: Arc<Identity>,
    pub(crate) project: ProjectId,
}

pub(crate) const ROTATE: RevokeOptions = RevokeOptions { cascade: false, rotate: true };
pub(crate) const CASCADE: RevokeOptions = RevokeOptions { cascade: true, rotate: false };
pub(crate) const PLAIN: RevokeOptions = RevokeOptions { cascade: false, rotate: false };

impl Team {
    /// A project with its founder's keyring.
    pub(crate) fn begin() -> (Self, Keyring) {
        let documents = MemoryDocuments::new();
        let clock = Arc::new(SetClock(AtomicU64::new(1_700_000_000_000)));
        let founder = identity();
        let name = "founder".parse().unwrap();
        let created = Keyring::create(Arc::new(documents.clone()), founder.clone(), &name, clock.clone());
        let keyring = pollster::block_on(created).unwrap();
        (Self { documents, clock, founder, project: keyring.project() }, keyring)
    }

    pub(crate) fn open(&self, identity: &Arc<Identity>) -> Result<Keyring, KeyringError> {
        self.open_at(identity, self.project)
    }

    pub(crate) fn open_at(&self, identity: &Arc<Identity>, pin: impl Into<TrustPin>) -> Result<Keyring, KeyringError> {
        self.open_on(Arc::new(self.documents.clone()), identity, pin)
    }

    pub(crate) fn open_on(
        &self,
        documents: Arc<dyn Documents>,
        identity: &Arc<Identity>,
        pin: impl Into<TrustPin>,
    ) -> Result<Keyring, KeyringError> {
        pollster::block_on(Keyring::open(documents, identity.clone(), pin, self.clock.clone()))
    }

    pub(crate) fn request(&self, identity: &Identity, name: &str) -> Request {
        Request::create(identity, name.parse().unwrap(), Some(self.project), self.clock.now()).unwrap()
    }

    /// Lets a new machine in, and returns its identity.
    pub(crate) fn join(&self, by: &Keyring, name: &str, capability: Capability) -> Arc<Identity> {
        let newcomer = identity();
        self.let_in(by, &newcomer, name, capability).unwrap();
        newcomer
    }

    pub(crate) fn let_in(
        &self,
        by: &Keyring,
        newcomer: &Identity,
        name: &str,
        capability: Capability,
    ) -> Result<u64, KeyringError> {
        match pollster::block_on(by.authorise(&self.request(newcomer, name), capability))? {
            Outcome::Done(machine) => Ok(machine.position),
            Outcome::Waits(position) => Ok(position),
        }
    }

    pub(crate) fn records(&self) -> Vec<Document> {
        self.all(TRUST_LOG)
    }

    pub(crate) fn record(&self, position: u64) -> SignedRecord {
        SignedRecord::decode(&self.records()[usize::try_from(position).unwrap()].value).unwrap()
    }

    pub(crate) fn length(&self) -> u64 {
        self.records().len() as u64
    }

    pub(crate) fn head(&self) -> RecordHash {
        RecordHash::of(&self.records().last().unwrap().value)
    }

    /// Signs a record that would come next, as somebody who does not ask whether they may.
    pub(crate) fn signed(&self, by: &Identity, act: Act) -> SignedRecord {
        let (position, previous, project) = (self.length(), self.head(), self.project);
        let record = Record { position, previous, project, author: by.fingerprint(), time: self.clock.now(), act };
        record.sign(by.signing()).unwrap()
    }

    /// Writes a record under a position as somebody with access to the database would.
    pub(crate) fn plant(&self, position: u64, record: &SignedRecord) {
        self.overwrite(TRUST_LOG, &position.to_be_bytes(), &record.encode());
    }

    pub(crate) fn overwrite(&self, collection: Collection, key: &[u8], value: &[u8]) {
        let key = bulla_backend::DocumentKey::new(key).unwrap();
        pollster::block_on(self.documents.put(collection, &key, value, Expected::Any)).unwrap();
    }

    pub(crate) fn remove(&self, collection: Collection, document: &Document) {
        pollster::block_on(self.documents.delete(collection, &document.key, Expected::Any)).unwrap();
    }

    pub(crate) fn all(&self, collection: Collection) -> Vec<Document> {
        self.prefixed(collection, &[])
    }

    /// A machine's copies of data keys.
    pub(crate) fn copies(&self, machine: Fingerprint) -> Vec<Document> {
        self.prefixed(WRAPS, &machine.0)
    }

    fn prefixed(&self, collection: Collection, prefix: &[u8]) -> Vec<Document> {
        let mut query = ListQuery { prefix: prefix.to_vec(), ..ListQuery::default() };
        let mut all = Vec::new();
        loop {
            let page = pollster::block_on(self.documents.list(collection, &query)).unwrap();
            all.extend(page.documents);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return all,
            }
        }
    }

    /// Makes a copy of the log and the wraps.
    pub(crate) fn copy(&self) -> Copy {
        self.copy_of(&[TRUST_LOG, WRAPS])
    }

    /// Makes a copy of the database, keys and all, as a backup does.
    pub(crate) fn copy_all(&self) -> Copy {
        self.copy_of(&[TRUST_LOG, WRAPS, KEYS, KEY_VERSIONS, KEY_IDS])
    }

    fn copy_of(&self, collections: &[Collection]) -> Copy {
        Copy(collections.iter().map(|collection| (*collection, self.all(*collection))).collect())
    }

    /// Brings what was copied back to what it was.
    pub(crate) fn restore(&self, copy: &Copy) {
        for (collection, documents) in &copy.0 {
            self.all(*collection).iter().for_each(|document| self.remove(*collection, document));
            documents.iter().for_each(|found| self.overwrite(*collection, found.key.as_bytes(), &found.value));
        }
    }
}

pub(crate) struct Copy(Vec<(Collection, Vec<Document>)>);

pub(crate) fn identity() -> Arc<Identity> {
    Arc::new(Identity::generate().unwrap())
}

/// Says what an operation that goes through the freshest look answers.
pub(crate) fn asked(keyring: &Keyring) -> &'static str {
    crate::setting::code(pollster::block_on(keyring.rotation_owed()))
}

pub(crate) fn refreshed(keyring: &Keyring) -> Result<(), KeyringError> {
    pollster::block_on(keyring.refresh())
}
