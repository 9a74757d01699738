//! What failed verification, kept for whoever looks into it (spec, "Quarantine").

mod record;

use bulla_backend::{
    BlobId, Collection, Document, DocumentKey, Durability, ErrorKind, Event, Expected, ListQuery, Write,
};
use bulla_seal::{Context, SealError};

use crate::blob::{BlobError, BlobOpener};
use crate::entry::Entry;
use crate::gc::CONDEMNED;
use crate::listed::shown;
use crate::name::{document_key, prefix};
use crate::namespace::{MAX_ROUNDS, Present, Slot};
use crate::settled::Settled;
use crate::store::{DocumentPages, ENTRIES};
use crate::{Namespace, OnTamper, Place, StoreError};

pub use record::{MAX_QUARANTINED_LEN, ParseQuarantineIdError, QuarantineId, QuarantineRecord};

/// Where quarantine records lie, by namespace and id.
pub(crate) const QUARANTINE: Collection = Collection::new("quarantine", Durability::Durable);

const DOMAIN: &str = "bulla/store/quarantine";

/// What became of a document that failed verification.
enum Aside {
    /// It lies in quarantine, and its place is free.
    Moved,
    /// It is not there any more, or verified when it was looked at again.
    Changed,
    /// It was not moved, and why not.
    Stays(&'static str),
}

/// Who found a document that fails verification, and so what of it may be moved.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finder {
    /// Whoever wanted to read or replace it: not an entry whose blob is missing. The folder of the blobs may not be mounted on this machine, and
    /// must not empty the store for all others.
    Caller,
    /// A check that was asked to quarantine: such an entry too.
    Check,
    /// Somebody who asks for just this document: even if its key is not at hand, or a newer program may have written it.
    Admin,
}

/// One quarantine record of a listing.
#[derive(Debug)]
#[non_exhaustive]
pub struct Quarantined {
    /// Names it.
    pub id: QuarantineId,
    /// What it says, or why it is refused itself.
    pub record: Result<QuarantineRecord, StoreError>,
    /// The entry that it is about; without a record, it is not known.
    pub place: Option<Place>,
}

/// Some quarantine records.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct QuarantinePage {
    /// The records, in order of their ids.
    pub records: Vec<Quarantined>,
    /// Where the next page begins (`after`), or `None` if this was the last.
    pub next: Option<QuarantineId>,
}

impl Namespace {
    /// Lists one page of the namespace's quarantine records, behind the one of an id.
    ///
    /// # Errors
    /// Fails if the storage cannot be read.
    pub async fn quarantine(&self, after: Option<QuarantineId>) -> Result<QuarantinePage, StoreError> {
        let after = after.map(|id| self.record_key(&id)).transpose()?;
        let mut query = ListQuery { prefix: prefix(&self.name, &[]), after, limit: 0 };
        let mut records: Vec<Quarantined> = Vec::new();
        loop {
            let page = self.store.entries.list(QUARANTINE, &query).await?;
            for Document { key, value, .. } in page.documents {
                // A key that is no record's is for `check` to report.
                let Some(id) = self.record_id(&key) else { continue };
                let record = self.open_record(&id, value).await;
                let place = match &record {
                    Ok(record) => Some(self.record_place(record).await),
                    Err(_) => None,
                };
                records.push(Quarantined { id, record, place });
            }
            let last = records.last().map(|last| last.id);
            if page.next.is_none() || last.is_some() {
                return Ok(QuarantinePage { records, next: page.next.and(last) });
            }
            query.after = page.next;
        }
    }

    /// Puts the document of an entry that does not open, or whose blob does not, into quarantine, whatever the reason; says whether there was
    /// one. Without being asked, none is moved whose key is not at hand, that a newer program may have written, or whose blob is missing.
    ///
    /// # Errors
    /// Fails if the storage cannot be read or written, or the namespace's key cannot be had.
    pub async fn set_aside(&self, name: &[u8]) -> Result<bool, StoreError> {
        let settled = self.settled().await?;
        let slot = self.slot(&settled, name)?;
        for _ in 0..MAX_ROUNDS {
            let error = match self.present(&slot).await {
                Ok(None) => return Ok(false),
                Ok(Some(Present { entry, .. })) => match (&entry.blob, self.verify_blob(&entry).await) {
                    (Some(reference), Err(error)) => error.at(self.place(name), reference.id),
                    _ => return Ok(false),
                },
                Err(error) => error,
            };
            if !error.is_integrity_failure() && !error.is_beyond_opening() {
                return Err(error);
            }
            let (group_len, hidden) = (slot.group_len, slot.hidden.as_ref());
            let suspect = Suspect { key: &slot.key, group_len, name: hidden, finder: Finder::Admin };
            match self.try_set_aside(&settled, &suspect, &error).await? {
                Aside::Moved => return Ok(true),
                Aside::Changed => {}
                Aside::Stays(_) => return Err(error),
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }

    /// Puts a document back that is in quarantine, if it opens now, with its blob, and its place is free; and returns its place.
    ///
    /// # Errors
    /// [`StoreError::NotQuarantined`] if there is no such record; [`StoreError::Occupied`] if there is an entry in its place; the reason if
    /// it does not open.
    ///
    /// # Security
    /// What opens is authentic, and may be old: a record that was removed can be put back by whoever writes to the storage, as an entry can.
    pub async fn restore_quarantined(&self, id: &QuarantineId) -> Result<Place, StoreError> {
        let key = self.record_key(id)?;
        let missing = || StoreError::NotQuarantined { namespace: self.name.clone(), id: *id };
        let found = self.store.entries.get(QUARANTINE, &key).await?.ok_or_else(missing)?;
        let record = self.open_record(id, found.value).await?;
        let settled = self.settled().await?;
        let stored = record.stored.as_bytes();
        let (entry, _) = self.open_stored(&settled, stored, record.document.clone()).await?;
        let place = self.record_place(&record).await;
        if let Some(reference) = &entry.blob {
            self.verify_blob(&entry).await.map_err(|error| error.at(place.clone(), reference.id))?;
        }
        let slot = Slot {
            key: document_key(&self.name, stored)?,
            group_len: prefix(&self.name, &[]).len(),
            hidden: entry.name.clone(),
        };
        let (collection, expected) = (ENTRIES, Expected::Absent);
        let value = record.document;
        let put = match self.filing(&settled, &slot, &entry) {
            Some(filing) => Write::PutFiled { collection, key: slot.key, value, expected, filing },
            None => Write::Put { collection, key: slot.key, value, expected },
        };
        let delete = Write::Delete { collection: QUARANTINE, key, expected: Expected::Revision(found.revision) };
        // A collection that has condemned the blob spares it once it has seen the record; it must not miss it on its way.
        match self.write_both(put, delete, entry.blob.as_ref().map(|blob| &blob.id)).await {
            Err(error) if error.kind() == ErrorKind::Conflict && self.is_collecting(&entry).await? => {
                return Err(StoreError::Conflict(place));
            }
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {
                let taken = self.store.entries.get(ENTRIES, &document_key(&self.name, stored)?).await?.is_some();
                return Err(if taken { StoreError::Occupied(place) } else { StoreError::Conflict(place) });
            }
            Err(error) if error.kind() == ErrorKind::Limit => return Err(StoreError::LimitReached(self.name.clone())),
            Err(error) => return Err(error.into()),
        }
        self.changed("quarantine_restore", place.name.as_bytes());
        Ok(place)
    }

    /// Removes a quarantine record for good; says whether there was one. Its blob, if it has one that no entry refers to, is an orphan from then on.
    ///
    /// # Errors
    /// Fails if the storage cannot be written.
    pub async fn remove_quarantined(&self, id: &QuarantineId) -> Result<bool, StoreError> {
        let removed = self.store.entries.delete(QUARANTINE, &self.record_key(id)?, Expected::Any).await?;
        if removed {
            self.store.shared.recorder.record(&Event::Change { action: "quarantine_remove", subject: id });
        }
        Ok(removed)
    }

    /// Reads an entry that is about to be replaced; what fails verification is put into quarantine, and its place is free.
    pub(crate) async fn present_or_quarantine(&self, slot: &Slot) -> Result<Option<Present>, StoreError> {
        for _ in 0..MAX_ROUNDS {
            let error = match self.present(slot).await {
                Err(error) if error.is_tampering() => error,
                looked => return looked,
            };
            let settled = self.settled().await?;
            match self.suspect(&settled, slot, &error).await {
                Aside::Moved => return Ok(None),
                Aside::Changed => {}
                Aside::Stays(_) => return Err(error),
            }
        }
        Err(StoreError::Conflict(self.place(slot.shown())))
    }

    /// Puts what failed verification into quarantine, unless it is only its blob that is missing. `Err` says what to tell whoever asked for it;
    /// `Ok`, to look again.
    pub(crate) async fn tampered(&self, name: &[u8], error: StoreError) -> Result<(), StoreError> {
        if matches!(error, StoreError::SettingsMissing(_)) && self.look_at_settings().await?.version > 0 {
            // Others made the settings, and the entries, since this process looked.
            return Ok(());
        }
        if !error.is_tampering() {
            return Err(error);
        }
        let settled = self.reading().await?;
        match self.suspect_of(&settled, name, &error).await? {
            Aside::Changed => Ok(()),
            Aside::Moved | Aside::Stays(_) => match settled.settings.on_tamper {
                OnTamper::Error => Err(error),
                OnTamper::Miss => Err(StoreError::NotFound(self.place(name))),
            },
        }
    }

    /// Puts what failed verification into quarantine, if it can be.
    pub(crate) async fn report(&self, name: &[u8], error: &StoreError) {
        if error.is_tampering()
            && let Ok(settled) = self.reading().await
        {
            let _ = self.suspect_of(&settled, name, error).await;
        }
    }

    /// Puts what failed verification into quarantine, if it can be. Nothing is moved by who is in doubt of the settings.
    async fn suspect_of(&self, settled: &Settled, name: &[u8], error: &StoreError) -> Result<Aside, StoreError> {
        if settled.doubt.is_none() {
            return Ok(self.suspect(settled, &self.slot(settled, name)?, error).await);
        }
        let reason = "the settings of its namespace cannot be read";
        self.violated(&self.place(name), error, &format!("left where it is: {reason}"));
        Ok(Aside::Stays(reason))
    }

    /// Puts an entry that a walk found to be refused into quarantine; says whether it lies there now.
    pub(crate) async fn set_aside_listed(&self, settled: &Settled, key: &DocumentKey, error: &StoreError) -> bool {
        let group_len = prefix(&self.name, &[]).len();
        let suspect = Suspect { key, group_len, name: None, finder: Finder::Check };
        error.is_tampering() && matches!(self.move_suspect(settled, &suspect, error).await, Aside::Moved)
    }

    /// Returns what to answer where there is no entry.
    pub(crate) async fn absence(&self, settled: &Settled, name: &[u8]) -> StoreError {
        self.try_absence(settled, name).await.unwrap_or_else(|error| error)
    }

    async fn try_absence(&self, settled: &Settled, name: &[u8]) -> Result<StoreError, StoreError> {
        let place = self.place(name);
        if settled.settings.on_tamper == OnTamper::Error {
            for slot in self.places(settled, name)? {
                if self.is_quarantined(slot.stored()).await? {
                    return Ok(StoreError::Quarantined(place));
                }
            }
        }
        // Its name may be blinded under a version of the index key that is not at hand.
        if settled.version == 0 && self.has_entries().await? {
            return Ok(self.cannot_tell().await);
        }
        Ok(StoreError::NotFound(place))
    }

    /// Says whether there is an authentic record of a stored name.
    async fn is_quarantined(&self, stored: &[u8]) -> Result<bool, StoreError> {
        let prefix = prefix(&self.name, &QuarantineId::start(stored));
        let mut pages = DocumentPages::of(&*self.store.entries, QUARANTINE, prefix);
        // All of them: any number may have been planted before the one that is authentic.
        while let Some(documents) = pages.next().await? {
            for Document { key, value, .. } in documents {
                let Some(id) = self.record_id(&key) else { continue };
                if self.open_record(&id, value).await.is_ok_and(|record| record.stored.as_bytes() == stored) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn suspect(&self, settled: &Settled, slot: &Slot, error: &StoreError) -> Aside {
        let (group_len, name) = (slot.group_len, slot.hidden.as_ref());
        let suspect = Suspect { key: &slot.key, group_len, name, finder: Finder::Caller };
        self.move_suspect(settled, &suspect, error).await
    }

    /// Puts a document into quarantine; what keeps it from that is told to the recorder.
    async fn move_suspect(&self, settled: &Settled, suspect: &Suspect<'_>, error: &StoreError) -> Aside {
        let (aside, detail) = match self.try_set_aside(settled, suspect, error).await {
            Ok(Aside::Changed) => return Aside::Changed,
            Ok(Aside::Moved) => (Aside::Moved, "put into quarantine".to_owned()),
            Ok(Aside::Stays(reason)) => (Aside::Stays(reason), format!("left where it is: {reason}")),
            Err(failure) => {
                let detail = format!("could not be put into quarantine: {failure}");
                (Aside::Stays("it could not be moved"), detail)
            }
        };
        let name = suspect.name.cloned().unwrap_or_else(|| shown(settled, suspect.stored()));
        self.violated(&Place { namespace: self.name.clone(), name }, error, &detail);
        aside
    }

    /// Tells the recorder of an entry that failed verification.
    fn violated(&self, place: &Place, error: &StoreError, detail: &dyn std::fmt::Display) {
        let event = Event::SecurityViolation { code: error.code(), subject: place, detail };
        self.store.shared.recorder.record(&event);
    }

    /// Looks at a document again, and puts it into quarantine if it still fails.
    async fn try_set_aside(
        &self,
        settled: &Settled,
        suspect: &Suspect<'_>,
        error: &StoreError,
    ) -> Result<Aside, StoreError> {
        let documents = &self.store.entries;
        let Some(Document { revision, value, .. }) = documents.get(ENTRIES, suspect.key).await? else {
            return Ok(Aside::Changed);
        };
        let (mut name, mut blob) = (suspect.name.cloned(), None);
        match self.open_stored(settled, suspect.stored(), value.clone()).await {
            Err(again) if again.is_tampering() => {}
            Err(again)
                if suspect.finder == Finder::Admin && (again.is_integrity_failure() || again.is_beyond_opening()) => {}
            Err(again) => return Err(again),
            Ok((entry, _)) => {
                // The entry is as it was written: what failed is its blob.
                let Some(failing) = self.failing_blob(&entry, suspect.stored(), error).await? else {
                    return Ok(Aside::Changed);
                };
                if matches!(failing, StoreError::MissingBlob { .. }) && suspect.finder < Finder::Check {
                    return Ok(Aside::Stays("its blob is not there, or not on this machine"));
                }
                if !failing.is_tampering() && suspect.finder < Finder::Admin {
                    return Err(failing);
                }
                (name, blob) = (entry.name, failing.blob());
            }
        }
        let Some(version) = self.store.newest_version(&self.name).await? else {
            return Ok(Aside::Stays("the namespace has no key"));
        };
        let id = QuarantineId::of(suspect.stored(), &value);
        let kept = value.len().min(MAX_QUARANTINED_LEN);
        let record = QuarantineRecord {
            stored: crate::EntryName::new(suspect.stored())?,
            found: self.store.clock.now(),
            code: error.code().to_owned(),
            document: value[..kept].to_vec(),
            cut_from: (kept < value.len()).then_some(value.len() as u64),
            blob,
            name,
        };
        let sealed = version.seal_key().seal(version.params(), &self.record_context(&id)?, &record.encode())?;
        let key = self.record_key(&id)?;
        let put = Write::Put { collection: QUARANTINE, key, value: sealed, expected: Expected::Any };
        let delete =
            Write::Delete { collection: ENTRIES, key: suspect.key.clone(), expected: Expected::Revision(revision) };
        match self.write_both(put, delete, None).await {
            Ok(()) => Ok(Aside::Moved),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(Aside::Changed),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns how the blob of an entry fails, if it is the one that failed and it fails again.
    async fn failing_blob(
        &self,
        entry: &Entry,
        stored: &[u8],
        error: &StoreError,
    ) -> Result<Option<StoreError>, StoreError> {
        let Some(reference) = entry.blob.as_ref().filter(|blob| error.blob() == Some(blob.id)) else { return Ok(None) };
        let name = entry.name.as_ref().map_or(stored, crate::EntryName::as_bytes);
        match self.verify_blob(entry).await {
            Ok(()) => Ok(None),
            Err(BlobError::Backend(error)) => Err(error.into()),
            Err(failing) => Ok(Some(failing.at(self.place(name), reference.id))),
        }
    }

    /// Verifies the whole blob of an entry, if it has one.
    pub(crate) async fn verify_blob(&self, entry: &Entry) -> Result<(), BlobError> {
        let Some(reference) = &entry.blob else { return Ok(()) };
        let (blobs, project) = (&*self.store.blobs, self.store.keyring.project());
        let opener = BlobOpener::open(blobs, &project, &self.name, reference, entry.stat.len).await?;
        let mut stored = Vec::new();
        let mut opened = zeroize::Zeroizing::new(vec![0; opener.chunk_len()]);
        let mut index = 0;
        while opener.open_chunk(index, &mut stored, &mut opened).await?.is_some() {
            index += 1;
        }
        Ok(())
    }

    /// Says whether a collection has condemned the blob of an entry.
    async fn is_collecting(&self, entry: &Entry) -> Result<bool, StoreError> {
        match &entry.blob {
            Some(blob) => self.store.is_condemned(&blob.id).await,
            None => Ok(false),
        }
    }

    /// Writes a document and deletes another: at once where the backend can, and then only if no collection has condemned the blob; else in
    /// this order, so that a kill leaves both.
    async fn write_both(
        &self,
        put: Write,
        delete: Write,
        blob: Option<&BlobId>,
    ) -> Result<(), bulla_backend::BackendError> {
        let documents = &self.store.entries;
        let both = [put, delete];
        if documents.capabilities().commit {
            let mut writes = both.to_vec();
            if let Some(blob) = blob {
                let (collection, key) = (CONDEMNED, DocumentKey::new(blob.0)?);
                writes.push(Write::Check { collection, key, expected: Expected::Absent });
            }
            return documents.commit(&writes).await.map(drop);
        }
        if let [
            Write::Put { collection, key, value, expected },
            Write::Delete { collection: of, key: gone, expected: as_read },
        ] = &both
        {
            let revision = documents.put(*collection, key, value, *expected).await?;
            if let Err(error) = documents.delete(*of, gone, *as_read).await {
                if error.kind() == ErrorKind::Conflict {
                    // Somebody was faster: what was written is not needed. If it stays, it does no harm.
                    let _ = documents.delete(*collection, key, Expected::Revision(revision)).await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Opens a quarantine record.
    pub(crate) async fn open_record(&self, id: &QuarantineId, sealed: Vec<u8>) -> Result<QuarantineRecord, StoreError> {
        let refused = |reason| StoreError::BadQuarantineRecord { namespace: self.name.clone(), id: *id, reason };
        let context = self.record_context(id)?;
        let opened =
            self.store.open_bytes(&self.name, &context, sealed).await?.map_err(|error| refused(Some(error)))?;
        QuarantineRecord::parse(&opened).ok_or_else(|| refused(None))
    }

    /// Returns what a quarantine record is bound to (spec, "Quarantine").
    pub(crate) fn record_context(&self, id: &QuarantineId) -> Result<Context, SealError> {
        Context::in_domain(DOMAIN, &self.store.keyring.project())
            .text("namespace", self.name.as_str())
            .bytes("record", &id.0)
            .build()
    }

    fn record_key(&self, id: &QuarantineId) -> Result<DocumentKey, StoreError> {
        Ok(DocumentKey::new(prefix(&self.name, &id.0))?)
    }

    /// Reads the id from the key of a record of this namespace.
    pub(crate) fn record_id(&self, key: &DocumentKey) -> Option<QuarantineId> {
        let id = key.as_bytes().strip_prefix(prefix(&self.name, &[]).as_slice())?;
        id.try_into().ok().map(QuarantineId)
    }

    async fn record_place(&self, record: &QuarantineRecord) -> Place {
        let name = match (&record.name, self.reading().await) {
            (Some(name), _) => name.clone(),
            (None, Ok(settled)) => shown(&settled, record.stored.as_bytes()),
            (None, Err(_)) => record.stored.clone(),
        };
        Place { namespace: self.name.clone(), name }
    }

    /// Tells the recorder of a change.
    pub(crate) fn changed(&self, action: &'static str, name: &[u8]) {
        self.store.shared.recorder.record(&Event::Change { action, subject: &self.place(name) });
    }

    /// Tells the recorder of a listing, where reads are told.
    pub(crate) fn was_listed(&self, settled: &Settled) {
        if settled.settings.audit == crate::AuditScope::All {
            self.store.shared.recorder.record(&Event::Read { subject: &self.name });
        }
    }

    /// Tells the recorder of a read, where reads are told.
    pub(crate) fn was_read(&self, settled: &Settled, name: &[u8]) {
        if settled.settings.audit == crate::AuditScope::All {
            self.store.shared.recorder.record(&Event::Read { subject: &self.place(name) });
        }
    }
}

/// A document that failed verification.
struct Suspect<'a> {
    key: &'a DocumentKey,
    group_len: usize,
    /// The entry's name, where it is known and the stored one is blinded.
    name: Option<&'a crate::EntryName>,
    finder: Finder,
}

impl Suspect<'_> {
    fn stored(&self) -> &[u8] {
        &self.key.as_bytes()[self.group_len..]
    }
}
