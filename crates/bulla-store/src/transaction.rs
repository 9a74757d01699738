//! Several entries, read and written as one (spec, "Transactions").

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slotted;
use std::fmt;
use std::sync::Arc;

use bulla_backend::{
    BackendError, BlobId, Collection, DocumentKey, ErrorKind, Expected, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, Revision,
    Write,
};
use zeroize::Zeroizing;

use crate::blob::BlobOpener;
use crate::entry::{BlobRef, Entry, MAX_INLINE_LEN};
use crate::get::MAX_VALUE_LEN;
use crate::limits::Demand;
use crate::namespace::{MAX_ROUNDS, Present};
use crate::put::Draft;
use crate::settled::Settled;
use crate::store::ENTRIES;
use crate::{Namespace, NamespaceName, Place, PutOptions, Store, StoreError};

impl Store {
    /// Begins a transaction over entries of any namespaces. Nothing is written, and nobody is kept waiting, before
    /// [`Transaction::commit`].
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the storage writes one document at a time only.
    ///
    /// # Examples
    /// ```
    /// # use std::sync::Arc;
    /// # use bulla_backend::{MemoryBlobs, MemoryDocuments, SystemClock};
    /// # use bulla_keyring::{Identity, Keyring};
    /// # use bulla_store::{PutOptions, Store, StoreError};
    /// # pollster::block_on(async {
    /// # let clock = Arc::new(SystemClock);
    /// # let identity = Arc::new(Identity::generate()?);
    /// # let trust = Arc::new(MemoryDocuments::new());
    /// # let keyring = Keyring::create(trust, identity, &"laptop".parse()?, clock.clone()).await?;
    /// # let documents = Arc::new(MemoryDocuments::new());
    /// # let store = Store::new(Arc::new(keyring), documents, Arc::new(MemoryBlobs::new()), clock);
    /// let orders = store.namespace("orders")?;
    /// orders.put(b"open/1234", b"42 widgets", &PutOptions::default()).await?;
    /// loop {
    ///     let mut transaction = store.transaction()?;
    ///     let Some(order) = transaction.get(&orders, b"open/1234").await? else { break };
    ///     transaction.put(&orders, b"done/1234", &order, &PutOptions::default())?;
    ///     transaction.remove(&orders, b"open/1234")?;
    ///     match transaction.commit().await {
    ///         // Somebody else changed the order meanwhile.
    ///         Err(StoreError::TransactionConflict(_)) => {}
    ///         done => break done?,
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transaction(&self) -> Result<Transaction, StoreError> {
        if !self.entries.capabilities().commit {
            let detail =
                "this backend changes one document at a time; transactions need one that changes several, as SQLite";
            return Err(BackendError::unsupported("begin a transaction", detail).into());
        }
        Ok(Transaction { store: self.clone(), touched: BTreeMap::new() })
    }
}

/// Reads and writes of several entries of one store that happen together, or not at all.
///
/// It is optimistic: it remembers the entries that it reads, and [`Transaction::commit`] writes only if they are still the same, so that all
/// committed transactions and single writes have an effect as if they had happened one after the other. Dropping it changes nothing.
///
/// At most [`MAX_COMMIT_WRITES`] entries can be read and written by one transaction, where a value of more than
/// [`MAX_INLINE_LEN`] bytes that is written counts twice, and at most [`MAX_COMMIT_BYTES`] bytes.
#[must_use = "nothing is written before `commit`"]
pub struct Transaction {
    store: Store,
    touched: BTreeMap<Place, Touched>,
}

/// What a transaction did to one entry.
struct Touched {
    namespace: Namespace,
    /// What it found, if it looked.
    read: Option<Option<Revision>>,
    change: Option<Change>,
}

enum Change {
    Put { draft: Draft, value: Zeroizing<Vec<u8>> },
    Remove,
}

/// A change with what it is to write.
struct Planned {
    namespace: Namespace,
    place: Place,
    read: Option<Option<Revision>>,
    plan: Plan,
}

enum Plan {
    Look,
    Put { draft: Draft, entry: Box<Entry>, value: Zeroizing<Vec<u8>> },
    Remove,
}

/// One round's writes.
#[derive(Default)]
struct Writes {
    writes: Vec<Write>,
    bytes: usize,
    /// Who is told of what, and which blob nobody needs afterwards.
    changes: Vec<(&'static str, usize, Option<BlobId>)>,
    /// What they ask of each namespace, with one of its entries.
    demands: BTreeMap<NamespaceName, (usize, Demand)>,
}

impl Transaction {
    /// Reads a value, as this transaction left it; `None` if there is none, or an expired one.
    ///
    /// # Errors
    /// As [`Namespace::get`]; [`StoreError::TransactionConflict`] if others changed the entry since this transaction read it;
    /// [`StoreError::TransactionTooLarge`]; [`StoreError::OtherStore`].
    pub async fn get(&mut self, namespace: &Namespace, name: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.touched.get(&self.place_of(namespace, name)?).and_then(|touched| touched.change.as_ref()) {
            Some(Change::Put { value, .. }) => return Ok(Some(value.to_vec())),
            Some(Change::Remove) => return Ok(None),
            None => {}
        }
        let (revision, value) = namespace.read_standing(name).await?;
        let touched = self.touch(namespace, name, 1)?;
        if touched.read.is_some_and(|read| read != revision) {
            return Err(StoreError::TransactionConflict(namespace.place(name)));
        }
        touched.read = Some(revision);
        Ok(value)
    }

    /// Puts a value once the transaction is committed, in place of what is there by then.
    ///
    /// # Errors
    /// [`StoreError::InvalidEntry`] if media type or tags are out of bounds; [`StoreError::TransactionTooLarge`];
    /// [`StoreError::OtherStore`]. What was asked for before can still be committed.
    pub fn put(
        &mut self,
        namespace: &Namespace,
        name: &[u8],
        value: &[u8],
        options: &PutOptions,
    ) -> Result<(), StoreError> {
        let draft = Draft::new(namespace, name, options)?;
        let inline = |change: &Change| match change {
            Change::Put { value, .. } if value.len() <= MAX_INLINE_LEN => value.len(),
            _ => 0,
        };
        let bytes: usize = self.touched.values().filter_map(|touched| touched.change.as_ref()).map(inline).sum();
        let is_large = value.len() > MAX_INLINE_LEN;
        if !is_large && bytes + value.len() > MAX_COMMIT_BYTES {
            return Err(StoreError::TransactionTooLarge);
        }
        let value = Zeroizing::new(value.to_vec());
        self.touch(namespace, name, if is_large { 2 } else { 1 })?.change = Some(Change::Put { draft, value });
        Ok(())
    }

    /// Removes an entry once the transaction is committed, if there is one.
    ///
    /// # Errors
    /// [`StoreError::TransactionTooLarge`]; [`StoreError::OtherStore`]. What was asked for before can still be committed.
    pub fn remove(&mut self, namespace: &Namespace, name: &[u8]) -> Result<(), StoreError> {
        self.touch(namespace, name, 1)?.change = Some(Change::Remove);
        Ok(())
    }

    /// Writes everything that was asked for, or nothing.
    ///
    /// It is as durable as the most durable of the namespaces, but for large values, which are as durable as their own.
    ///
    /// # Errors
    /// [`StoreError::TransactionConflict`] if others changed an entry since this transaction read it: begin it again;
    /// [`StoreError::VersionMismatch`] if an entry is not at the version that its options expect; [`StoreError::TransactionTooLarge`];
    /// and as [`Namespace::put`], which stops where the settings of a namespace cannot be read, also one of which entries were only read. Nothing is written then. After [`StoreError::Backend`] everything may be written, or nothing.
    pub async fn commit(self) -> Result<(), StoreError> {
        let mut plans = Vec::with_capacity(self.touched.len());
        let mut planned = Ok(());
        for (place, touched) in self.touched {
            match plan(place, touched).await {
                Ok(plan) => plans.push(plan),
                Err(error) => {
                    planned = Err(error);
                    break;
                }
            }
        }
        let mut may_be_written = false;
        let committed = match planned {
            Ok(()) => try_commit(&self.store, &mut plans, &mut may_be_written).await,
            Err(error) => Err(error),
        };
        if committed.is_err() && !may_be_written {
            for Planned { namespace, plan, .. } in plans {
                if let Plan::Put { entry, .. } = plan
                    && let Some(blob) = &entry.blob
                {
                    namespace.discard(&blob.id).await;
                }
            }
        }
        committed
    }

    /// Names an entry, if its name can be one, and a commit of this store writes it.
    fn place_of(&self, namespace: &Namespace, name: &[u8]) -> Result<Place, StoreError> {
        if !Arc::ptr_eq(&self.store.entries, &namespace.store.entries) {
            return Err(StoreError::OtherStore(namespace.name.clone()));
        }
        Ok(Place { namespace: namespace.name.clone(), name: crate::EntryName::new(name)? })
    }

    /// Takes note of an entry, if there is room for one that counts so much.
    fn touch(&mut self, namespace: &Namespace, name: &[u8], count: usize) -> Result<&mut Touched, StoreError> {
        let place = self.place_of(namespace, name)?;
        let others = self.touched.iter().filter(|(other, _)| **other != place).map(|(_, touched)| touched.count());
        if others.sum::<usize>() + count > MAX_COMMIT_WRITES {
            return Err(StoreError::TransactionTooLarge);
        }
        Ok(match self.touched.entry(place) {
            Slotted::Occupied(occupied) => occupied.into_mut(),
            Slotted::Vacant(vacant) => {
                vacant.insert(Touched { namespace: namespace.clone(), read: None, change: None })
            }
        })
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("entries", &self.touched.keys()).finish()
    }
}

impl Touched {
    /// Returns how many writes of a commit the entry takes.
    fn count(&self) -> usize {
        match &self.change {
            Some(Change::Put { value, .. }) if value.len() > MAX_INLINE_LEN => 2,
            _ => 1,
        }
    }
}

/// Writes the blob of a large value, and says what is left to write.
async fn plan(place: Place, touched: Touched) -> Result<Planned, StoreError> {
    let Touched { namespace, read, change } = touched;
    let plan = match change {
        None => Plan::Look,
        Some(Change::Remove) => Plan::Remove,
        Some(Change::Put { mut draft, value }) => {
            let stat = draft.stat(namespace.store.clock.now(), value.len() as u64);
            if value.len() <= MAX_INLINE_LEN {
                Plan::Put { draft, entry: Box::new(Entry { stat, name: None, blob: None }), value }
            } else {
                let mut blob = namespace.begin_blob(place.name.as_bytes(), &mut draft).await?;
                blob.write(&value).await?;
                let (id, finished) = (blob.id(), blob.finish().await);
                if finished.is_err() {
                    namespace.discard(&id).await;
                }
                let entry = Box::new(Entry { stat, name: None, blob: Some(finished?.0) });
                Plan::Put { draft, entry, value: Zeroizing::default() }
            }
        }
    };
    Ok(Planned { namespace, place, read, plan })
}

async fn try_commit(store: &Store, plans: &mut [Planned], may_be_written: &mut bool) -> Result<(), StoreError> {
    if plans.is_empty() {
        return Ok(());
    }
    let mut rooms = 0;
    let mut round = 0;
    while round < MAX_ROUNDS {
        let mut round_writes = Writes::default();
        for (at, planned) in plans.iter_mut().enumerate() {
            // What was only read is checked by the commit; where that failed, here, to say which entry it was.
            planned.write(at, round > 0, &mut round_writes).await?;
        }
        let Writes { writes, bytes, changes, demands } = round_writes;
        if writes.len() > MAX_COMMIT_WRITES || bytes > MAX_COMMIT_BYTES {
            return Err(StoreError::TransactionTooLarge);
        }
        *may_be_written = true;
        match store.entries.commit(&writes).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                *may_be_written = false;
                round += 1;
                for Planned { place, plan, .. } in &*plans {
                    if let Plan::Put { entry, .. } = plan
                        && let Some(blob) = &entry.blob
                        && store.is_condemned(&blob.id).await?
                    {
                        return Err(StoreError::BlobCollected(place.clone()));
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::Limit => {
                *may_be_written = false;
                make_room(plans, &demands, &mut rooms).await?;
            }
            Err(error) => return Err(error.into()),
            Ok(_) => {
                for (action, at, replaced) in &changes {
                    let Planned { namespace, place, .. } = &plans[*at];
                    namespace.wrote(action, place.name.as_bytes(), *replaced).await;
                }
                for (at, demand) in demands.into_values() {
                    let namespace = &plans[at].namespace;
                    if let Ok(settled) = namespace.settled().await {
                        namespace.keep_soft_limit(&settled, demand.needed, &names_beside(plans, at)).await;
                    }
                }
                return Ok(());
            }
        }
    }
    Err(StoreError::Conflict(plans[0].place.clone()))
}

/// Makes room in each namespace that has a limit and too little of it; the storage does not say which one it was.
async fn make_room(
    plans: &[Planned],
    demands: &BTreeMap<NamespaceName, (usize, Demand)>,
    rooms: &mut usize,
) -> Result<(), StoreError> {
    let before = *rooms;
    for (at, demand) in demands.values() {
        let namespace = &plans[*at].namespace;
        let settled = namespace.settled().await?;
        if demand.needed.documents > 0 && settled.settings.limit().is_some() {
            // All of them together count as one time.
            *rooms = before;
            namespace.room(&settled, *demand, &names_beside(plans, *at), rooms).await?;
        }
    }
    if *rooms > before { Ok(()) } else { Err(StoreError::Conflict(plans[0].place.clone())) }
}

/// Returns the names of all entries of the transaction that are in the namespace of one.
fn names_beside(plans: &[Planned], at: usize) -> Vec<&[u8]> {
    let places = plans.iter().map(|planned| &planned.place);
    places.filter(|place| place.namespace == plans[at].place.namespace).map(|place| place.name.as_bytes()).collect()
}

impl Planned {
    /// Adds what the entry takes to the writes of a round.
    async fn write(&mut self, at: usize, looks: bool, round: &mut Writes) -> Result<(), StoreError> {
        let Self { namespace, place, read, plan } = self;
        let name = place.name.as_bytes();
        let check = |key: DocumentKey, revision: Option<Revision>| Write::Check {
            collection: ENTRIES,
            key,
            expected: revision.map_or(Expected::Absent, Expected::Revision),
        };
        match plan {
            Plan::Look => {
                let settled = namespace.settled().await?;
                let key = namespace.slot(&settled, name)?.key;
                if looks {
                    let document = namespace.store.entries.get(ENTRIES, &key).await?;
                    unchanged(place, *read, document.map(|document| document.revision))?;
                }
                round.writes.push(check(key, read.flatten()));
            }
            Plan::Remove => {
                let settled = namespace.settled().await?;
                let slot = namespace.slot(&settled, name)?;
                let present = namespace.present_or_quarantine(&slot).await?;
                unchanged(place, *read, present.as_ref().map(|present| present.revision))?;
                match present {
                    None => round.writes.push(check(slot.key, None)),
                    Some(present) => {
                        let standing = present.standing();
                        let held = namespace.held(&slot, &standing);
                        round.ask(namespace, at, Demand { held, ..Demand::default() });
                        let blob = standing.blob;
                        let collection: Collection = namespace.collection(&settled, blob.is_some());
                        let expected = Expected::Revision(present.revision);
                        round.writes.push(Write::Delete { collection, key: slot.key, expected });
                        round.changes.push(("remove", at, blob));
                    }
                }
            }
            Plan::Put { draft, entry, value } => {
                let (version, settled) = namespace.sealing().await?;
                let slot = namespace.slot(&settled, name)?;
                let present = namespace.present_or_quarantine(&slot).await?;
                unchanged(place, *read, present.as_ref().map(|present| present.revision))?;
                draft.meet(namespace, name, &settled, present.as_ref(), entry)?;
                let standing = present.as_ref().map(Present::standing);
                let ready = namespace.ready(&version, &settled, slot, standing, entry, value)?;
                round.ask(namespace, at, ready.demand);
                round.bytes += ready.document_len();
                round.changes.push(("put", at, ready.replaced));
                round.writes.extend(ready.writes());
            }
        }
        Ok(())
    }
}

impl Writes {
    /// Notes what an entry asks of its namespace.
    fn ask(&mut self, namespace: &Namespace, at: usize, demand: Demand) {
        self.demands.entry(namespace.name.clone()).or_insert((at, Demand::default())).1.add(demand);
    }
}

/// Checks that an entry which was read is still the same.
fn unchanged(place: &Place, read: Option<Option<Revision>>, found: Option<Revision>) -> Result<(), StoreError> {
    if read.is_some_and(|read| read != found) {
        return Err(StoreError::TransactionConflict(place.clone()));
    }
    Ok(())
}

impl Namespace {
    /// Reads an entry and its value for a transaction, as [`Namespace::get`] does; what expired, or is refused where that is a miss, has no value.
    /// Returns the revision of its document as well, if there is one.
    async fn read_standing(&self, name: &[u8]) -> Result<(Option<Revision>, Option<Vec<u8>>), StoreError> {
        let (mut missing, mut refused) = (None, None);
        for _ in 0..MAX_ROUNDS {
            let settled = self.reading().await?;
            let now = self.store.clock.now();
            let error = match self.look_up(&settled, name).await {
                Err(error) => error,
                Ok(None) => match self.absence(&settled, name).await {
                    StoreError::NotFound(_) => return Ok((None, None)),
                    error => error,
                },
                Ok(Some((Present { revision, entry, .. }, _))) if entry.stat.is_expired(now) => {
                    return Ok((Some(revision), None));
                }
                Ok(Some((Present { revision, entry: Entry { stat, blob, .. }, mut value, .. }, _))) => {
                    self.was_read(&settled, name);
                    let Some(blob) = blob else { return Ok((Some(revision), Some(std::mem::take(&mut value)))) };
                    match self.read_blob(name, &blob, stat.len).await {
                        Ok(value) => return Ok((Some(revision), Some(value))),
                        // The entry may have been replaced between the two reads, and its blob deleted: it names another then.
                        Err(StoreError::MissingBlob { .. }) if missing != Some(blob.id) => {
                            missing = Some(blob.id);
                            continue;
                        }
                        Err(error) => error,
                    }
                }
            };
            match self.tampered(name, error).await {
                Ok(()) => {}
                Err(StoreError::NotFound(_)) => {
                    let standing = self.standing_revision(&settled, name).await?;
                    // What stands there was refused if it stood there before as well: no other has the same revision.
                    if standing.is_none() || standing == refused {
                        return Ok((standing, None));
                    }
                    refused = standing;
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }

    async fn standing_revision(&self, settled: &Settled, name: &[u8]) -> Result<Option<Revision>, StoreError> {
        for slot in self.places(settled, name)? {
            if let Some(document) = self.store.entries.get(ENTRIES, &slot.key).await? {
                return Ok(Some(document.revision));
            }
        }
        Ok(None)
    }

    /// Reads the blob of an entry that was just read.
    pub(crate) async fn read_blob(&self, name: &[u8], blob: &BlobRef, len: u64) -> Result<Vec<u8>, StoreError> {
        let place = self.place(name);
        let Some(whole) = usize::try_from(len).ok().filter(|_| len <= MAX_VALUE_LEN) else {
            return Err(StoreError::TooLarge { place, len, limit: MAX_VALUE_LEN });
        };
        let read = async {
            let store = &self.store;
            let project = store.keyring.project();
            BlobOpener::open(&*store.blobs, &project, &self.name, blob, len).await?.open_all(whole).await
        };
        read.await.map_err(|error| error.at(place, blob.id))
    }
}
