//! A project on documents in memory, and a clock that tests set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulla_backend::{Clock, Collection, Document, Documents, Expected, ListQuery, MemoryDocuments, Timestamp};
use bulla_guard::access::{
    ACCESS, Access, AccessError, AccessOptions, AccessPin, Credential, NewApiKey, PeerInfo, Principal, Refused,
    RoleGrant, SecretText, UserName,
};
use bulla_keyring::{Identity, Keyring, TrustPin};
pub(crate) use pollster::block_on as block;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(crate) struct SetClock(AtomicU64);

impl SetClock {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(1_800_000_000_000))
    }

    pub(crate) fn advance(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn set_back(&self, duration: Duration) {
        self.0.fetch_sub(u64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(crate) struct Scene {
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) keyring: Arc<Keyring>,
}

impl Scene {
    pub(crate) fn begin() -> Self {
        Self::begin_on(Arc::new(MemoryDocuments::new()))
    }

    pub(crate) fn begin_on(documents: Arc<dyn Documents>) -> Self {
        let clock = Arc::new(SetClock::new());
        let identity = Arc::new(Identity::generate().unwrap());
        let name = "office".parse().unwrap();
        let keyring = block(Keyring::create(documents.clone(), identity.clone(), &name, clock.clone())).unwrap();
        Self { documents, clock, identity, keyring: Arc::new(keyring) }
    }

    /// Another process: with a keyring of its own.
    pub(crate) fn open(&self) -> Access {
        self.try_open(None).unwrap()
    }

    pub(crate) fn try_open(&self, pin: Option<&AccessPin>) -> Result<Access, AccessError> {
        self.open_on(self.documents.clone(), pin)
    }

    pub(crate) fn open_on(
        &self,
        documents: Arc<dyn Documents>,
        pin: Option<&AccessPin>,
    ) -> Result<Access, AccessError> {
        let trust = TrustPin::from(self.keyring.project());
        let keyring =
            block(Keyring::open(documents.clone(), self.identity.clone(), trust, self.clock.clone())).unwrap();
        let options = AccessOptions { owner_uid: Some(1_000) };
        block(Access::open(Arc::new(keyring), documents, self.clock.clone(), pin, options))
    }

    /// Lets each process see what others did.
    pub(crate) fn wait(&self) {
        self.clock.advance(Duration::from_secs(1));
    }

    pub(crate) fn all(&self, collection: Collection) -> Vec<Document> {
        let mut query = ListQuery::default();
        let mut all = Vec::new();
        loop {
            let page = block(self.documents.list(collection, &query)).unwrap();
            all.extend(page.documents);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return all,
            }
        }
    }

    /// Puts a collection back to what it was.
    pub(crate) fn restore(&self, collection: Collection, to: &[Document]) {
        for document in self.all(collection) {
            block(self.documents.delete(collection, &document.key, Expected::Any)).unwrap();
        }
        for document in to {
            self.overwrite(collection, document);
        }
    }

    pub(crate) fn overwrite(&self, collection: Collection, document: &Document) {
        block(self.documents.put(collection, &document.key, &document.value, Expected::Any)).unwrap();
    }

    /// Returns the only document whose key begins so.
    pub(crate) fn only(&self, prefix: &str) -> Document {
        let mut found: Vec<_> = self.all(ACCESS);
        found.retain(|document| document.key.as_bytes().starts_with(prefix.as_bytes()));
        assert_eq!(found.len(), 1, "{prefix}");
        found.remove(0)
    }
}

/// Parses what a test writes.
pub(crate) fn p<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn grant(role: &str) -> RoleGrant {
    RoleGrant::everywhere(p(role))
}

pub(crate) fn within(role: &str, pattern: &str) -> RoleGrant {
    RoleGrant::within(p(role), p(pattern))
}

/// Creates a user with an API key of the default kind; returns what its holder presents.
pub(crate) fn user_with_key(access: &Access, name: &str, grants: &[RoleGrant]) -> String {
    let name: UserName = p(name);
    block(access.create_user(&name, grants)).unwrap();
    block(access.create_key(&name, &NewApiKey::default())).unwrap().secret.expose().to_owned()
}

pub(crate) fn present(access: &Access, text: &str) -> Result<Principal, Refused> {
    let secret = SecretText::parse(text).expect("a text of the form that credentials have");
    block(access.authenticate(&Credential::Bearer(&secret), &PeerInfo::default()))
}

/// Says in one word what became of a sign-in.
pub(crate) fn signed_in(access: &Access, text: &str) -> &'static str {
    match present(access, text) {
        Ok(_) => "ok",
        Err(refused) => refused.reason().name(),
    }
}

pub(crate) fn code<T>(result: Result<T, AccessError>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}
