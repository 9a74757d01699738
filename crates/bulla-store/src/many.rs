//! Many entries at once.

use std::collections::HashSet;
use std::fmt;

use bulla_backend::{BackendError, BlobId, ErrorKind, MAX_COMMIT_BYTES, MAX_COMMIT_WRITES, Write};

use crate::entry::{Entry, MAX_INLINE_LEN};
use crate::limits::Demand;
use crate::namespace::Present;
use crate::put::Draft;
use crate::{GetOptions, Namespace, PutOptions, StoreError, Value};

/// How often a batch begins again as a whole, since others changed one of its entries, before each entry is put by itself.
const MAX_BATCH_ROUNDS: usize = 3;

/// An entry that is to be put.
#[derive(Clone)]
pub struct NewEntry<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// How to put it.
    pub options: PutOptions,
}

impl<'a> NewEntry<'a> {
    /// Names an entry that lives as long as the namespace says, and replaces whatever there is.
    #[must_use]
    pub fn new(name: &'a [u8], value: &'a [u8]) -> Self {
        Self { name, value, options: PutOptions::default() }
    }
}

impl fmt::Debug for NewEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_ascii().to_string();
        f.debug_struct("NewEntry").field("name", &name).field("options", &self.options).finish_non_exhaustive()
    }
}

/// One entry of a batch, ready to be written.
struct Batched {
    /// Which of the entries that were given.
    at: usize,
    version: u64,
    replaced: Option<BlobId>,
}

impl Namespace {
    /// Puts many entries, in order, and returns for each what [`Namespace::put`] would: one that fails keeps none of the others out.
    ///
    /// Where the storage can, up to 64 small ones are written at once, which costs far less than as many puts. It is no transaction: use
    /// [`Store::transaction`](crate::Store::transaction) for what must be written together.
    pub async fn put_many(&self, entries: &[NewEntry<'_>]) -> Vec<Result<u64, StoreError>> {
        let mut outcomes = Vec::with_capacity(entries.len());
        while outcomes.len() < entries.len() {
            let rest = &entries[outcomes.len()..];
            let batch = &rest[..self.batch_len(rest)];
            let mut batched = if batch.len() > 1 { self.put_batch(batch).await } else { Vec::new() };
            // What the batch says nothing of is put by itself.
            batched.resize_with(batch.len().max(1), || None);
            for (entry, outcome) in rest.iter().zip(batched) {
                outcomes.push(match outcome {
                    Some(outcome) => outcome,
                    None => self.put(entry.name, entry.value, &entry.options).await,
                });
            }
        }
        outcomes
    }

    /// Reads many values, and returns for each name, in order, what [`Namespace::get`] would.
    pub async fn get_many<N: AsRef<[u8]> + Sync>(&self, names: &[N]) -> Vec<Result<Value, StoreError>> {
        let mut values = Vec::with_capacity(names.len());
        for name in names {
            values.push(self.get(name.as_ref(), &GetOptions::default()).await);
        }
        values
    }

    /// Returns how many of these entries, from the first on, may go to the storage together.
    fn batch_len(&self, entries: &[NewEntry<'_>]) -> usize {
        if !self.store.entries.capabilities().commit {
            return 0;
        }
        let mut names = HashSet::with_capacity(MAX_COMMIT_WRITES.min(entries.len()));
        let mut bytes = 0;
        let fits = entries.iter().take(MAX_COMMIT_WRITES).take_while(|entry| {
            bytes += entry.value.len();
            entry.value.len() <= MAX_INLINE_LEN && bytes <= MAX_COMMIT_BYTES && names.insert(entry.name)
        });
        fits.count()
    }

    /// Puts entries in one commit. An entry without an outcome is not written, and is to be put by itself.
    async fn put_batch(&self, entries: &[NewEntry<'_>]) -> Vec<Option<Result<u64, StoreError>>> {
        let mut rooms = 0;
        for _ in 0..MAX_BATCH_ROUNDS {
            let mut outcomes = Vec::new();
            outcomes.resize_with(entries.len(), || None);
            // Its failure is each entry's own to report.
            let Ok((version, settled)) = self.sealing().await else { break };
            let mut batch = Vec::with_capacity(entries.len());
            let mut writes: Vec<Write> = Vec::with_capacity(entries.len());
            let (mut bytes, mut demand) = (0, Demand::default());
            for (at, entry) in entries.iter().enumerate() {
                let ready = async {
                    let draft = Draft::new(self, entry.name, &entry.options)?;
                    let slot = self.slot(&settled, entry.name)?;
                    let present = self.present_or_quarantine(&slot).await?;
                    let stat = draft.stat(self.store.clock.now(), entry.value.len() as u64);
                    let mut new = Entry { stat, name: None, blob: None };
                    draft.meet(self, entry.name, &settled, present.as_ref(), &mut new)?;
                    let standing = present.as_ref().map(Present::standing);
                    let ready = self.ready(&version, &settled, slot, standing, &mut new, entry.value)?;
                    Ok((new.stat.version, ready))
                };
                match ready.await {
                    Err(error) => outcomes[at] = Some(Err(error)),
                    // What seals and tags add was not foreseen: the rest is put by itself.
                    Ok((_, ready)) if bytes + ready.document_len() > MAX_COMMIT_BYTES => break,
                    Ok((version, ready)) => {
                        bytes += ready.document_len();
                        demand.add(ready.demand);
                        batch.push(Batched { at, version, replaced: ready.replaced });
                        writes.extend(ready.writes());
                    }
                }
            }
            if writes.is_empty() {
                return outcomes;
            }
            let names: Vec<_> = entries.iter().map(|entry| entry.name).collect();
            match self.store.entries.commit(&writes).await {
                Ok(_) => {
                    for Batched { at, version, replaced } in batch {
                        self.wrote("put", entries[at].name, replaced).await;
                        outcomes[at] = Some(Ok(version));
                    }
                    self.keep_soft_limit(&settled, demand.needed, &names).await;
                    return outcomes;
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) if error.kind() == ErrorKind::Limit => {
                    if self.room(&settled, demand, &names, &mut rooms).await.is_err() {
                        break;
                    }
                }
                Err(error) => {
                    // Nobody knows whether it happened, and to all of them.
                    for Batched { at, .. } in batch {
                        outcomes[at] = Some(Err(again(&error).into()));
                    }
                    return outcomes;
                }
            }
        }
        Vec::new()
    }
}

/// Says the same failure once more.
fn again(error: &BackendError) -> BackendError {
    BackendError::new(error.kind(), "write an entry together with others", error.to_string())
}
