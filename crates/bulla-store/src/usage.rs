//! Which key versions entries, settings and records are sealed under.

use std::collections::{BTreeMap, BTreeSet};

use bulla_backend::Document;
use bulla_seal::{Header, KeyVersionId};

use crate::quarantine::QUARANTINE;
use crate::settled::NAMESPACES;
use crate::store::DocumentPages;
use crate::walk::{Observer, WalkEvent};
use crate::{Place, Store, StoreError};

/// How many entries and other documents are sealed under each of some key versions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VersionUsage {
    /// Entries that were looked at.
    pub seen: u64,
    /// Entries by the version that they name; versions that no entry names are left out.
    pub entries: BTreeMap<KeyVersionId, u64>,
    /// Settings of namespaces and records in quarantine, likewise; and what those records keep, which may have to be opened again.
    pub records: BTreeMap<KeyVersionId, u64>,
    /// Documents that name no version, since they are damaged or lie where no entry does. None of them opens.
    pub unreadable: u64,
}

impl VersionUsage {
    /// Returns how many entries name any of the versions.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.entries.values().sum()
    }
}

impl Store {
    /// Counts the entries of all namespaces, expired ones included, that are sealed under some key versions.
    ///
    /// Reads what entries say of themselves and opens none, so that its cost is that of listing. Settings count with them; records in
    /// quarantine are opened, since what they keep is sealed in turn. Its memory is bounded by a page of documents and by the versions asked
    /// for. What others write meanwhile may be counted or not.
    ///
    /// # Errors
    /// Fails if documents cannot be listed.
    pub async fn count_versions(
        &self,
        versions: &BTreeSet<KeyVersionId>,
        observer: &mut Observer<'_, VersionUsage>,
    ) -> Result<VersionUsage, StoreError> {
        let mut usage = VersionUsage::default();
        let mut pages = DocumentPages::new(&*self.entries, Vec::new());
        while let Some(documents) = pages.next().await? {
            for document in documents {
                usage.seen += 1;
                let is_entry = Place::parse(document.key.as_bytes()).is_some();
                match Header::parse(&document.value) {
                    Ok(header) if is_entry => {
                        let id = header.key_version();
                        // What others write is kept only where it was asked for: the map stays as small as the question.
                        if versions.contains(&id) {
                            *usage.entries.entry(id).or_default() += 1;
                        }
                    }
                    _ => usage.unreadable += 1,
                }
            }
            observer(WalkEvent::Progress(&usage));
        }
        for collection in [NAMESPACES, QUARANTINE] {
            let mut pages = DocumentPages::of(&*self.entries, collection, Vec::new());
            while let Some(documents) = pages.next().await? {
                for document in documents {
                    let outer = version_of(&document.value);
                    let inner = if collection == QUARANTINE { self.kept_version(document).await } else { None };
                    usage.unreadable += u64::from(outer.is_none());
                    for id in outer.into_iter().chain(inner.filter(|inner| Some(*inner) != outer)) {
                        if versions.contains(&id) {
                            *usage.records.entry(id).or_default() += 1;
                        }
                    }
                }
            }
        }
        Ok(usage)
    }

    /// Returns the version that a document names which lies in quarantine.
    async fn kept_version(&self, document: Document) -> Option<KeyVersionId> {
        let namespace = self.namespace_of(Place::parse(document.key.as_bytes())?.namespace);
        let id = namespace.record_id(&document.key)?;
        version_of(&namespace.open_record(&id, document.value).await.ok()?.document)
    }
}

fn version_of(sealed: &[u8]) -> Option<KeyVersionId> {
    Header::parse(sealed).ok().map(|header| header.key_version())
}
