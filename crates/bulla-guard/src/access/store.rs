//! How this process knows who may do what, and how it is changed: one head vouches for all documents, and every change writes it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bulla_backend::{
    ChangeMark, Document, DocumentKey, Expected, ListQuery, MAX_COMMIT_WRITES, Revision, Timestamp, Write,
};
use bulla_keyring::{KeyVersion, KeyringError, SystemKey};

use super::error::{AccessError, Result};
use super::sealed::{ACCESS, HeadRow, Kind, Opened, Place, open, seal, stored_digest};
use super::snapshot::{Entry, Head, Object, Snapshot};
use super::{Access, AccessPin, MAX_DOCUMENTS};

/// How long what was seen is relied on without another look.
const FRESH: Duration = Duration::from_secs(1);
/// How long it is relied on where the storage does not answer.
const STALE: Duration = Duration::from_secs(5);
/// How often a lost race is tried again. Each one lost means that another writer got on.
const MAX_ATTEMPTS: usize = 1_000;
/// How often a reading is begun anew because somebody wrote meanwhile.
const MAX_READINGS: usize = 100;
/// Most documents in one change: the head is one of those that a commit takes.
pub(crate) const MAX_EDITS: usize = MAX_COMMIT_WRITES - 1;

/// What this process has seen.
#[derive(Debug)]
pub(crate) struct State {
    snapshot: Arc<Snapshot>,
    /// The state of the collection in which it was seen; `None` if the backend has no marks.
    mark: Option<ChangeMark>,
    /// When it was last seen to stand; `None` if the next caller has to look.
    looked: Option<Timestamp>,
    /// The furthest that was seen, in this process or before.
    pin: AccessPin,
}

impl State {
    pub(crate) fn new(pin: AccessPin) -> Self {
        Self { snapshot: Arc::default(), mark: None, looked: None, pin }
    }
}

/// One document of a change.
#[derive(Debug)]
pub(crate) enum Edit {
    Put(Place, Object),
    Delete(Place),
}

impl Edit {
    fn place(&self) -> Place {
        match self {
            Self::Put(place, _) | Self::Delete(place) => *place,
        }
    }
}

impl Access {
    /// Looks now at who may do what. Every operation does so by itself once the last look is a second old.
    ///
    /// # Errors
    /// [`AccessError::Rollback`] or [`AccessError::Corrupt`] if somebody else wrote the database; [`AccessError::Keyring`];
    /// [`AccessError::Backend`].
    pub async fn refresh(&self) -> Result<()> {
        self.look().await.map(drop)
    }

    /// Returns the furthest state that was seen, for the caller to keep on this machine and to hand to the next [`Access::open`].
    #[must_use]
    pub fn pin(&self) -> AccessPin {
        self.state.read().unwrap_or_else(PoisonError::into_inner).pin.clone()
    }

    /// Returns what may be relied on now: a look at most a second old or, where the storage does not answer, five. A clock that was set back
    /// makes every look an old one.
    pub(crate) async fn fresh(&self) -> Result<Arc<Snapshot>> {
        let now = self.clock.now();
        let (snapshot, looked) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&state.snapshot), state.looked)
        };
        let age = looked.and_then(|looked| now.0.checked_sub(looked.0)).map(Duration::from_millis);
        if age.is_some_and(|age| age < FRESH) {
            return Ok(snapshot);
        }
        match self.look().await {
            Err(error) if error.is_of_storage() && age.is_some_and(|age| age < STALE) => Ok(snapshot),
            Err(error) if error.is_of_storage() => {
                Err(AccessError::Stale { seconds: age.unwrap_or(STALE).as_secs(), source: Box::new(error) })
            }
            answer => answer,
        }
    }

    /// Looks now, and returns what may be relied on.
    pub(crate) async fn look(&self) -> Result<Arc<Snapshot>> {
        let answer = self.look_once().await;
        // What was seen before this refusal is nothing to rely on any more, not even for a second.
        if answer.as_ref().is_err_and(|error| !error.is_of_storage()) {
            self.doubt();
        }
        answer
    }

    async fn look_once(&self) -> Result<Arc<Snapshot>> {
        // What is read was there after this moment.
        let now = self.clock.now();
        let newest = self.newest_key().await?;
        // The mark comes first: what changes between the two looks is noticed by the next caller.
        let mark = self.documents.change_mark(ACCESS).await?;
        let (known, known_mark) = self.known();
        let base = known.generation();
        let snapshot = if mark.is_some() && mark == known_mark {
            known
        } else {
            let head = self.documents.get(ACCESS, &head_key()?).await?;
            // Where there is no head, there must be nothing else: that is looked at each time.
            let is_known = head
                .as_ref()
                .zip(known.head)
                .is_some_and(|(found, known)| found.revision == known.revision && stored_digest(found) == known.stored);
            if is_known { known } else { Arc::new(self.load(head, &known).await?) }
        };
        let snapshot = self.publish(snapshot, base, mark, now)?;
        if let (Some(head), Some(newest)) = (snapshot.head, newest)
            && head.key_number < newest.number()
        {
            // What is sealed under an older version, somebody who was put out could have written. From here on nobody can.
            return self.renew_head(&snapshot).await;
        }
        Ok(snapshot)
    }

    /// Returns the newest version of the key, if there is one to seal under; and makes sure that this machine may still ask.
    async fn newest_key(&self) -> Result<Option<Arc<KeyVersion>>> {
        match self.keyring.find_system_seal_key(&SystemKey::access()).await {
            Ok(newest) => Ok(newest),
            // An epoch has begun, and the key is not renewed yet: it opens, and nothing is sealed under it.
            Err(KeyringError::OldEpoch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn known(&self) -> (Arc<Snapshot>, Option<ChangeMark>) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&state.snapshot), state.mark)
    }

    /// Makes the next caller look, however short ago the last look was.
    fn doubt(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).looked = None;
    }

    /// Reads all documents, opens those that are new, and requires that the head vouches for them.
    async fn load(&self, mut head: Option<Document>, known: &Snapshot) -> Result<Snapshot> {
        for _ in 0..MAX_READINGS {
            let entries = self.read_all(known).await;
            // Between two readings of one head nothing was written, so that what was listed belongs together.
            let again = self.documents.get(ACCESS, &head_key()?).await?;
            if again != head {
                head = again;
                continue;
            }
            let entries = entries?;
            let Some(head) = head else {
                return if entries.is_empty() {
                    Ok(Snapshot::default())
                } else {
                    Err(AccessError::corrupt("the head of users, roles and keys", "it is missing"))
                };
            };
            let opened: Opened<HeadRow> = open(&self.keyring, Kind::Head, b"", &head.value).await?;
            let key = self.keyring.system_seal_version(&SystemKey::access(), opened.key).await?;
            let row = opened.record;
            if Snapshot::vouch(&entries, row.generation) != row || opened.version != row.generation {
                let reason = "it does not vouch for the documents as they are";
                return Err(AccessError::corrupt("the head of users, roles and keys", reason));
            }
            let stored = stored_digest(&head);
            let head = Head { row, revision: head.revision, stored, key_number: key.number() };
            return Snapshot::new(Some(head), entries);
        }
        Err(AccessError::Conflict)
    }

    async fn read_all(&self, known: &Snapshot) -> Result<BTreeMap<Place, Entry>> {
        let mut entries = BTreeMap::new();
        let mut query = ListQuery::default();
        loop {
            let page = self.documents.list(ACCESS, &query).await?;
            for document in &page.documents {
                // What is none of our places, the head vouches for neither.
                let Some(place) = Place::of(&document.key) else { continue };
                let stored = stored_digest(document);
                let entry = match known.entries.get(&place).filter(|known| known.stored == stored) {
                    Some(known) => Entry { revision: document.revision, ..known.clone() },
                    None => {
                        let (object, version, key) = Object::open(&self.keyring, place, &document.value).await?;
                        Entry { revision: document.revision, version, stored, key, object }
                    }
                };
                entries.insert(place, entry);
            }
            if entries.len() > MAX_DOCUMENTS {
                return Err(AccessError::Full);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(entries),
            }
        }
    }

    /// Keeps what was read, unless it is older than what was seen before. `base` is the generation that was known when the reading began.
    fn publish(
        &self,
        snapshot: Arc<Snapshot>,
        base: u64,
        mark: Option<ChangeMark>,
        now: Timestamp,
    ) -> Result<Arc<Snapshot>> {
        let pin = AccessPin::of(&snapshot, self.keyring.pin().restores());
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if pin.restores <= state.pin.restores {
            // Another thread of this process has read on meanwhile. What is older than where this one began is no such case.
            let (found, newest) = (snapshot.generation(), state.snapshot.generation());
            if newest > base && found >= base && found < newest {
                return Ok(Arc::clone(&state.snapshot));
            }
            state.pin.check(&pin)?;
        }
        *state = State { snapshot: Arc::clone(&snapshot), mark, looked: Some(now), pin };
        Ok(snapshot)
    }

    /// Changes documents: `decide` is asked what to change by what there is, and again if somebody else was faster.
    pub(crate) async fn change<T>(&self, mut decide: impl FnMut(&Snapshot) -> Result<(Vec<Edit>, T)>) -> Result<T> {
        let mut snapshot = self.look().await?;
        for _ in 0..MAX_ATTEMPTS {
            let (edits, answer) = decide(&snapshot)?;
            if edits.is_empty() {
                return Ok(answer);
            }
            match self.commit(&snapshot, edits).await {
                Ok(_) => return Ok(answer),
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    // Whether it was written is not known: whoever asks next has to look.
                    self.doubt();
                    return Err(error);
                }
            }
            snapshot = self.look().await?;
        }
        Err(AccessError::Conflict)
    }

    /// Seals up to `limit` documents anew that are sealed under an older version of the key, and says how many are left. Documents of older
    /// versions are vouched for as well as others; what this is for is that older versions can be destroyed.
    ///
    /// # Errors
    /// As [`Access::refresh`], and [`AccessError::Conflict`].
    pub async fn reseal(&self, limit: usize) -> Result<usize> {
        let newest = self.keyring.system_seal_key(&SystemKey::access()).await?.id();
        let limit = limit.clamp(1, MAX_EDITS);
        self.change(|snapshot| {
            let old = || snapshot.entries.iter().filter(|(_, entry)| entry.key != newest);
            let edits: Vec<_> =
                old().take(limit).map(|(place, entry)| Edit::Put(*place, entry.object.clone())).collect();
            let left = old().count() - edits.len();
            Ok((edits, left))
        })
        .await
    }

    /// Seals the head anew under the newest version of the key.
    async fn renew_head(&self, snapshot: &Arc<Snapshot>) -> Result<Arc<Snapshot>> {
        match self.commit(snapshot, Vec::new()).await {
            Ok(renewed) => Ok(renewed),
            // Somebody else is at it, or the storage fails: what was read is right all the same.
            Err(_) => Ok(Arc::clone(snapshot)),
        }
    }

    async fn commit(&self, from: &Snapshot, edits: Vec<Edit>) -> Result<Arc<Snapshot>> {
        debug_assert!(edits.len() <= MAX_EDITS, "a change is as large as a commit at most");
        let now = self.clock.now();
        let key = self.keyring.system_seal_key(&SystemKey::access()).await?;
        let generation = from.generation().checked_add(1).ok_or(AccessError::Full)?;
        let mut entries = from.entries.clone();
        let mut writes = Vec::with_capacity(edits.len() + 1);
        let mut places = Vec::with_capacity(edits.len());
        for edit in edits {
            let place = edit.place();
            let found = entries.get(&place).map(|entry| entry.revision);
            let expected = found.map_or(Expected::Absent, Expected::Revision);
            places.push(place);
            match edit {
                Edit::Put(_, object) => {
                    let value = object.seal(&key, &self.keyring, place, generation)?;
                    let stored = bulla_seal::sha256(&value);
                    // The revision follows once it is written.
                    let revision = Revision(0);
                    entries.insert(place, Entry { revision, version: generation, stored, key: key.id(), object });
                    writes.push(Write::Put { collection: ACCESS, key: place.key()?, value, expected });
                }
                Edit::Delete(_) => {
                    entries.remove(&place);
                    writes.push(Write::Delete { collection: ACCESS, key: place.key()?, expected });
                }
            }
        }
        if entries.len() > MAX_DOCUMENTS {
            return Err(AccessError::Full);
        }
        let row = Snapshot::vouch(&entries, generation);
        let value = seal(&key, &self.keyring, Kind::Head, b"", generation, &row)?;
        let stored = bulla_seal::sha256(&value);
        let expected = from.head.map_or(Expected::Absent, |head| Expected::Revision(head.revision));
        writes.push(Write::Put { collection: ACCESS, key: head_key()?, value, expected });
        let revisions = self.documents.commit(&writes).await?;
        for (place, revision) in places.iter().zip(&revisions) {
            if let (Some(entry), Some(revision)) = (entries.get_mut(place), revision) {
                entry.revision = *revision;
            }
        }
        let missing =
            || AccessError::corrupt("the head of users, roles and keys", "the backend did not say how it was written");
        let revision = revisions.last().copied().flatten().ok_or_else(missing)?;
        let head = Head { row, revision, stored, key_number: key.number() };
        // Without a mark, the next look compares the head, and finds it as it is.
        self.publish(Arc::new(Snapshot::new(Some(head), entries)?), from.generation(), None, now)
    }
}

fn head_key() -> Result<DocumentKey> {
    Ok(DocumentKey::new(&b"head"[..])?)
}
