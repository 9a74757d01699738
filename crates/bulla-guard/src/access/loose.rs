//! Documents that stand outside of the head, because they are many and short-lived: sealed and bound to their place, one at a time.

use bulla_backend::{Collection, DocumentKey, Expected, ListQuery, Revision};
use bulla_keyring::SystemKey;

use super::Access;
use super::codec::Field;
use super::error::Result;
use super::sealed::{Kind, open, seal};

/// A document as it was read.
#[derive(Debug)]
pub(crate) struct Loose<T> {
    pub(crate) revision: Revision,
    pub(crate) row: T,
}

/// Some documents of a listing, by their ids. A damaged one hides no other.
pub(crate) struct LoosePage<T> {
    pub(crate) found: Vec<(Vec<u8>, Revision, Option<T>)>,
    pub(crate) next: Option<DocumentKey>,
}

impl Access {
    pub(crate) async fn read_loose<T: Field>(
        &self,
        collection: Collection,
        kind: Kind,
        id: &str,
    ) -> Result<Option<Loose<T>>> {
        let Some(document) = self.documents.get(collection, &loose_key(kind, id)?).await? else { return Ok(None) };
        let opened = open(&self.keyring, kind, id.as_bytes(), &document.value).await?;
        Ok(Some(Loose { revision: document.revision, row: opened.record }))
    }

    pub(crate) async fn write_loose(
        &self,
        collection: Collection,
        kind: Kind,
        id: &str,
        row: &impl Field,
        expected: Expected,
    ) -> Result<Revision> {
        let key = self.keyring.system_seal_key(&SystemKey::access()).await?;
        let sealed = seal(&key, &self.keyring, kind, id.as_bytes(), 0, row)?;
        Ok(self.documents.put(collection, &loose_key(kind, id)?, &sealed, expected).await?)
    }

    pub(crate) async fn delete_loose(
        &self,
        collection: Collection,
        kind: Kind,
        id: &str,
        expected: Expected,
    ) -> Result<bool> {
        Ok(self.documents.delete(collection, &loose_key(kind, id)?, expected).await?)
    }

    /// Lists up to `limit` documents whose ids begin so.
    pub(crate) async fn list_loose<T: Field>(
        &self,
        collection: Collection,
        kind: Kind,
        prefix: &str,
        after: Option<DocumentKey>,
        limit: usize,
    ) -> Result<LoosePage<T>> {
        let head = format!("{}/", kind.name());
        let query = ListQuery { prefix: format!("{head}{prefix}").into_bytes(), after, limit };
        let page = self.documents.list(collection, &query).await?;
        let mut found = Vec::with_capacity(page.documents.len());
        for document in page.documents {
            let id = document.key.as_bytes().get(head.len()..).unwrap_or_default().to_vec();
            let row = match open(&self.keyring, kind, &id, &document.value).await {
                Ok(opened) => Some(opened.record),
                Err(error) if error.code() == "corrupt" => None,
                Err(error) => return Err(error),
            };
            found.push((id, document.revision, row));
        }
        Ok(LoosePage { found, next: page.next })
    }
}

fn loose_key(kind: Kind, id: &str) -> Result<DocumentKey> {
    Ok(DocumentKey::new(format!("{}/{id}", kind.name()).into_bytes())?)
}
