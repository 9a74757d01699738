//! Describing and listing keys and versions.

use std::collections::BTreeMap;

use bulla_backend::{Document, DocumentKey, ListQuery, MAX_PAGE_DOCUMENTS};

use super::Keyring;
use crate::format::{KEY_VERSIONS, KEYS, name_from_key, version_key, version_number, version_prefix};
use crate::{KeyInfo, KeyName, KeyPage, KeyringError, Result, VersionPage};

impl Keyring {
    /// Describes a key.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`].
    pub async fn key(&self, name: &KeyName) -> Result<KeyInfo> {
        let mut trusted = self.trusted().await?;
        Ok(self.find_key(&mut trusted, name).await?.body.describe(name))
    }

    /// Lists at most `limit` keys, those behind the `next` of the page before.
    ///
    /// # Errors
    /// [`KeyringError::Backend`] if the storage cannot be read. A damaged row is an entry of the page.
    pub async fn keys(&self, after: Option<DocumentKey>, limit: usize) -> Result<KeyPage> {
        let trusted = self.trusted().await?;
        let page = self.trust.list(KEYS, &ListQuery { prefix: Vec::new(), after, limit }).await?;
        let key = |document: &Document| {
            let name = name_from_key(&document.key).ok_or_else(|| {
                KeyringError::corrupt(format!("key `{}`", document.key), "its name is none that a key can have")
            })?;
            self.verify_key(&trusted, &name, document).map(|found| found.body.describe(&name))
        };
        Ok(KeyPage { keys: page.documents.iter().map(key).collect(), next: page.next })
    }

    /// Lists at most `limit` versions of a key, those with numbers above `after`.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`], or [`KeyringError::Backend`] if the storage cannot be read. A damaged or missing row is an entry of
    /// the page.
    pub async fn versions(&self, name: &KeyName, after: Option<u64>, limit: usize) -> Result<VersionPage> {
        let mut trusted = self.trusted().await?;
        let body = self.find_key(&mut trusted, name).await?.body;
        let from = after.map_or(body.first, |after| after.saturating_add(1)).max(body.first);
        let limit = if limit == 0 { MAX_PAGE_DOCUMENTS } else { limit.min(MAX_PAGE_DOCUMENTS) };
        let query =
            ListQuery { prefix: version_prefix(name), after: Some(version_key(name, from.saturating_sub(1))?), limit };
        let page = self.trust.list(KEY_VERSIONS, &query).await?;
        let documents: BTreeMap<u64, Document> = page
            .documents
            .into_iter()
            .filter_map(|document| version_number(name, &document.key).map(|number| (number, document)))
            .collect();
        // Behind the last document of a page that is not the last nothing is known.
        let known = match (&page.next, documents.last_key_value()) {
            (Some(_), Some((last, _))) => body.newest.min(*last),
            _ => body.newest,
        };
        let mut versions = Vec::new();
        let mut last = None;
        for number in (from..=known).take(limit) {
            last = Some(number);
            versions.push(match documents.get(&number) {
                Some(document) => self.describe_version(&trusted, name, number, &body, document),
                None => Err(KeyringError::corrupt(format!("version {number} of key `{name}`"), "it is missing")),
            });
        }
        Ok(VersionPage { versions, next: last.filter(|&last| last < body.newest) })
    }
}
