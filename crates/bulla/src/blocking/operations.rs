//! What a namespace can do beyond putting, getting and removing.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::ready;

use bulla_store::{
    Budget, ClearCounts, ClearScope, ComputeOptions, Computed, ContentName, EntryQuery, ExpectedVersion, IteratedEntry,
    Lifetime, NewEntry, PutOptions, StoreError, Value,
};
use pollster::block_on;

use super::waiting::{ThreadWaiter, wait_for};
use super::{Namespace, Project};
use crate::Result;

impl Project {
    /// Begins a transaction; see [`bulla_store::Store::transaction`].
    ///
    /// # Errors
    /// As there.
    pub fn transaction(&self) -> Result<Transaction> {
        Ok(Transaction(self.0.entries().transaction()?))
    }
}

impl Namespace {
    /// Puts a value under a name that has none, and returns the version; see [`bulla_store::Namespace::add`].
    ///
    /// # Errors
    /// As there.
    pub fn add(&self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>, options: &PutOptions) -> Result<Option<u64>> {
        Ok(block_on(self.0.add(name.as_ref(), value.as_ref(), options))?)
    }

    /// Adds to a number, and returns the sum; see [`bulla_store::Namespace::increment`].
    ///
    /// # Errors
    /// As there.
    pub fn increment(&self, name: impl AsRef<[u8]>, delta: i64, initial: i64) -> Result<i64> {
        Ok(block_on(self.0.increment(name.as_ref(), delta, initial))?)
    }

    /// Gives an entry another lifetime, and returns its new version; see [`bulla_store::Namespace::set_lifetime`].
    ///
    /// # Errors
    /// As there.
    pub fn set_lifetime(&self, name: impl AsRef<[u8]>, lifetime: Lifetime) -> Result<u64> {
        Ok(block_on(self.0.set_lifetime(name.as_ref(), lifetime, ExpectedVersion::Any))?)
    }

    /// Puts many entries, and returns what became of each; see [`bulla_store::Namespace::put_many`].
    #[must_use]
    pub fn put_many(&self, entries: &[NewEntry<'_>]) -> Vec<Result<u64>> {
        block_on(self.0.put_many(entries)).into_iter().map(|put| Ok(put?)).collect()
    }

    /// Reads many values; `None` where there is none. See [`bulla_store::Namespace::get_many`].
    #[must_use]
    pub fn get_many<N: AsRef<[u8]> + Sync>(&self, names: &[N]) -> Vec<Result<Option<Value>>> {
        let values = block_on(self.0.get_many(names)).into_iter();
        values
            .map(|value| match value {
                Err(StoreError::NotFound(_)) => Ok(None),
                found => Ok(Some(found?)),
            })
            .collect()
    }

    /// Goes through entries and their values; see [`bulla_store::Namespace::entries`].
    ///
    /// # Errors
    /// As there.
    pub fn entries(&self, query: &EntryQuery) -> Result<Entries> {
        Ok(Entries { entries: block_on(self.0.entries(query))?, failed: false })
    }

    /// Counts the entries of each tag; see [`bulla_store::Namespace::tags`].
    ///
    /// # Errors
    /// As there.
    pub fn tags(&self) -> Result<BTreeMap<String, u64>> {
        Ok(block_on(self.0.tags())?)
    }

    /// Removes many entries, and counts what it did; see [`bulla_store::Namespace::clear`], which also says what it found.
    ///
    /// # Errors
    /// As there.
    pub fn clear(&self, scope: &ClearScope) -> Result<ClearCounts> {
        Ok(block_on(self.0.clear(scope, &Budget::UNLIMITED, &mut |_| {}))?)
    }

    /// Puts a value under the name that follows from it; see [`bulla_store::Namespace::put_content`].
    ///
    /// # Errors
    /// As there.
    pub fn put_content(&self, value: impl AsRef<[u8]>, options: &PutOptions) -> Result<ContentName> {
        Ok(block_on(self.0.put_content(value.as_ref(), options))?)
    }

    /// Reads a content, or returns `None` where there is none; see [`bulla_store::Namespace::get_content`].
    ///
    /// # Errors
    /// As there, but for [`StoreError::NotFound`].
    pub fn get_content(&self, name: &ContentName) -> Result<Option<Value>> {
        match block_on(self.0.get_content(name)) {
            Err(StoreError::NotFound(_)) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Reads a value; where it is missing, computes and puts it, once for all who ask. See [`bulla_store::Namespace::get_or_compute`].
    ///
    /// While `compute` runs, this thread does nothing else: give a lease as long as it may take, or another process computes the value too.
    ///
    /// # Errors
    /// As there.
    pub fn get_or_compute<E>(
        &self,
        name: impl AsRef<[u8]>,
        options: &ComputeOptions,
        compute: impl FnOnce() -> std::result::Result<Vec<u8>, E> + Send,
    ) -> Result<Computed>
    where
        E: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        let compute = || ready(compute());
        Ok(wait_for(self.0.get_or_compute(name.as_ref(), options, &ThreadWaiter, compute))?)
    }
}

/// Goes through entries and their values; see [`bulla_store::Entries`]. It ends with the first failure of the storage.
#[derive(Debug)]
pub struct Entries {
    entries: bulla_store::Entries,
    failed: bool,
}

impl Iterator for Entries {
    type Item = Result<IteratedEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = block_on(self.entries.next()).map_err(crate::Error::from).transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// Reads and writes of several entries that happen together, or not at all; see [`bulla_store::Transaction`].
#[must_use = "nothing is written before `commit`"]
#[derive(Debug)]
pub struct Transaction(bulla_store::Transaction);

impl Transaction {
    /// Reads a value, as this transaction left it; see [`bulla_store::Transaction::get`].
    ///
    /// # Errors
    /// As there.
    pub fn get(&mut self, namespace: &Namespace, name: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        Ok(block_on(self.0.get(&namespace.0, name.as_ref()))?)
    }

    /// Puts a value once the transaction is committed; see [`bulla_store::Transaction::put`].
    ///
    /// # Errors
    /// As there.
    pub fn put(
        &mut self,
        namespace: &Namespace,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: &PutOptions,
    ) -> Result<()> {
        Ok(self.0.put(&namespace.0, name.as_ref(), value.as_ref(), options)?)
    }

    /// Removes an entry once the transaction is committed; see [`bulla_store::Transaction::remove`].
    ///
    /// # Errors
    /// As there.
    pub fn remove(&mut self, namespace: &Namespace, name: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.0.remove(&namespace.0, name.as_ref())?)
    }

    /// Writes everything that was asked for, or nothing; see [`bulla_store::Transaction::commit`].
    ///
    /// # Errors
    /// As there.
    pub fn commit(self) -> Result<()> {
        Ok(block_on(self.0.commit())?)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn scene() -> (Project, Namespace) {
        let project = Project::in_memory().unwrap();
        let namespace = project.store("a").unwrap();
        (project, namespace)
    }

    #[test]
    fn everyday_operations_have_a_door() {
        let (_project, namespace) = scene();
        let plain = PutOptions::default();
        assert_eq!(namespace.add("n", "1", &plain).unwrap(), Some(1));
        assert_eq!(namespace.add("n", "1", &plain).unwrap(), None);
        assert_eq!(namespace.increment("n", 41, 0).unwrap(), 42);
        assert_eq!(namespace.set_lifetime("n", Lifetime::Unlimited).unwrap(), 3);
        let tagged = PutOptions { tags: vec!["t".to_owned()], ..plain.clone() };
        let entries = [NewEntry::new(b"x", b"y"), NewEntry { name: b"z", value: b"", options: tagged }];
        assert!(namespace.put_many(&entries).into_iter().all(|put| put.unwrap() == 1));
        let values = namespace.get_many(&["n", "none"]);
        assert!(matches!(&values[..], [Ok(Some(value)), Ok(None)] if value.bytes == b"42"));
        let names: Vec<_> =
            namespace.entries(&EntryQuery::default()).unwrap().map(|entry| entry.unwrap().name).collect();
        assert_eq!(names.iter().map(|name| name.as_bytes()).collect::<Vec<_>>(), [b"n", b"x", b"z"]);
        assert_eq!(namespace.tags().unwrap()["t"], 1);
        let content = namespace.put_content("bytes", &plain).unwrap();
        assert_eq!(namespace.get_content(&content).unwrap().unwrap().bytes, b"bytes");
        assert_eq!(namespace.clear(&ClearScope::All).unwrap().removed, 4);
        assert_eq!(namespace.get_content(&content).unwrap(), None);
    }

    #[test]
    fn transactions_have_a_door() {
        let (project, namespace) = scene();
        namespace.put("from", "1").unwrap();
        let mut transaction = project.transaction().unwrap();
        let value = transaction.get(&namespace, "from").unwrap().unwrap();
        transaction.put(&namespace, "to", value, &PutOptions::default()).unwrap();
        transaction.remove(&namespace, "from").unwrap();
        transaction.commit().unwrap();
        assert_eq!((namespace.get("from").unwrap(), namespace.get("to").unwrap()), (None, Some(b"1".to_vec())));
    }

    #[test]
    fn threads_wait_for_the_one_that_computes() {
        let (_project, namespace) = scene();
        let computed = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let got = namespace.get_or_compute("n", &ComputeOptions::default(), || {
                        computed.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        thread::yield_now();
                        Ok::<_, std::io::Error>(b"v".to_vec())
                    });
                    assert_eq!(got.unwrap().bytes, b"v");
                });
            }
        });
        assert_eq!(computed.into_inner(), 1);
    }
}
