//! A database that somebody else has written to.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bulla_backend::{
    Capabilities, Collection, Document, DocumentKey, Documents, Expected, ListQuery, MemoryDocuments, Page, Result,
    Revision,
};

use crate::Input;

/// What was done to one document.
#[derive(Debug)]
pub struct Change {
    /// Which document: its place in the order in which they are first read.
    pub document: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Removed,
    Flipped {
        place: usize,
        mask: u8,
    },
    Cut(usize),
    Replaced(Vec<u8>),
    /// Has the value of another document.
    Swapped(usize),
}

impl Change {
    /// Reads a change from fuzzer input.
    pub fn read(input: &mut Input<'_>) -> Self {
        let document = usize::from(input.byte());
        let kind = match input.byte() % 5 {
            0 => Kind::Removed,
            1 => Kind::Flipped { place: input.number(), mask: input.byte() },
            2 => Kind::Cut(input.number()),
            3 => Kind::Replaced(input.counted().to_vec()),
            _ => Kind::Swapped(usize::from(input.byte())),
        };
        Self { document, kind }
    }
}

/// Documents that read as if they had been changed. Writing to them is refused.
#[derive(Debug)]
pub struct Tampered {
    inner: Arc<MemoryDocuments>,
    changes: Vec<Change>,
    /// Every document that was read so far, as it is.
    seen: Mutex<Vec<(&'static str, DocumentKey, Vec<u8>)>>,
}

impl Tampered {
    /// Changes documents, which stay as they are for everybody else.
    pub fn new(inner: Arc<MemoryDocuments>, changes: Vec<Change>) -> Self {
        Self { inner, changes, seen: Mutex::default() }
    }

    fn read(&self, collection: Collection, mut document: Document) -> Option<Document> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.iter().position(|(name, key, _)| *name == collection.name() && *key == document.key);
        let number = known.unwrap_or_else(|| {
            seen.push((collection.name(), document.key.clone(), document.value.clone()));
            seen.len() - 1
        });
        let value = &mut document.value;
        for change in self.changes.iter().filter(|change| change.document / 2 == number) {
            match &change.kind {
                Kind::Removed => return None,
                Kind::Flipped { place, mask } => {
                    let place = place % value.len().max(1);
                    value.get_mut(place).into_iter().for_each(|byte| *byte ^= mask);
                }
                Kind::Cut(len) => value.truncate(*len),
                Kind::Replaced(other) => value.clone_from(other),
                Kind::Swapped(other) => {
                    if let Some((_, _, other)) = seen.get(*other) {
                        value.clone_from(other);
                    }
                }
            }
        }
        Some(document)
    }
}

#[async_trait]
impl Documents for Tampered {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        Ok(self.inner.get(collection, key).await?.and_then(|document| self.read(collection, document)))
    }

    async fn put(&self, _: Collection, key: &DocumentKey, _: &[u8], _: Expected) -> Result<Revision> {
        panic!("reading writes {key}")
    }

    async fn delete(&self, _: Collection, key: &DocumentKey, _: Expected) -> Result<bool> {
        panic!("reading deletes {key}")
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        let mut page = self.inner.list(collection, query).await?;
        page.documents = page.documents.into_iter().filter_map(|document| self.read(collection, document)).collect();
        Ok(page)
    }
}
