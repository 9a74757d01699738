//! The suite that every driver passes: it tries each sentence of the traits' documentation, and skips only what a driver does
//! not declare.
//!
//! A *place* is where a driver keeps things. `new_place` makes a fresh, empty one, and returns a function that opens it; where the
//! driver declares that it is persistent, that function is called again to reopen the place, and where it serves several
//! processes, to open it several times at once. The suite panics at the first thing that is not as documented.

mod blobs;
mod commits;
mod documents;
mod filings;
mod listings;

use std::sync::Arc;

use crate::{BlobId, Blobs, Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, Result, Revision};

/// Tries a driver of documents.
///
/// # Panics
/// Panics if the driver does not do what [`Documents`] says.
pub fn documents<P>(new_place: impl Fn() -> P)
where
    P: Fn() -> Arc<dyn Documents> + Sync,
{
    documents::check(&new_place);
    listings::check(&new_place);
    commits::check(&new_place);
    filings::check(&new_place);
}

/// Tries a driver of blobs.
///
/// # Panics
/// Panics if the driver does not do what [`Blobs`] says.
pub fn blobs<P>(new_place: impl Fn() -> P)
where
    P: Fn() -> Arc<dyn Blobs> + Sync,
{
    blobs::check(&new_place);
}

const DURABLE: Collection = Collection::new("durable", Durability::Durable);
const CACHE: Collection = Collection::new("cache", Durability::Cache);
const OTHER: Collection = Collection::new("other", Durability::Durable);

fn key(bytes: impl AsRef<[u8]>) -> DocumentKey {
    DocumentKey::new(bytes.as_ref()).expect("a key within the bounds")
}

fn id(number: u64) -> BlobId {
    let mut random = super::Random::new(number);
    BlobId(random.bytes(32).try_into().expect("32 bytes"))
}

/// Expects a failure of this kind.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) {
    match result {
        Err(error) if error.kind() == kind => {}
        other => panic!("expected {kind:?}, got {other:?}"),
    }
}

/// A driver whose calls wait for their result.
struct Waiting(Arc<dyn Documents>);

impl Waiting {
    fn get(&self, collection: Collection, name: impl AsRef<[u8]>) -> Option<(Revision, Vec<u8>)> {
        let key = key(name);
        let found = pollster::block_on(self.0.get(collection, &key)).expect("a document is read");
        found.map(|found| {
            assert_eq!(found.key, key, "a document is found under its own key");
            (found.revision, found.value)
        })
    }

    fn value(&self, collection: Collection, name: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.get(collection, name).map(|(_, value)| value)
    }

    fn try_put(
        &self,
        collection: Collection,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        expected: Expected,
    ) -> Result<Revision> {
        pollster::block_on(self.0.put(collection, &key(name), value.as_ref(), expected))
    }

    #[track_caller]
    fn put(&self, collection: Collection, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Revision {
        self.try_put(collection, name, value, Expected::Any).expect("a document is written")
    }

    fn try_delete(&self, collection: Collection, name: impl AsRef<[u8]>, expected: Expected) -> Result<bool> {
        pollster::block_on(self.0.delete(collection, &key(name), expected))
    }

    #[track_caller]
    fn delete(&self, collection: Collection, name: impl AsRef<[u8]>) -> bool {
        self.try_delete(collection, name, Expected::Any).expect("a document is deleted")
    }
}
