//! The same handles for callers without async: each method waits until it is done.
//!
//! No backend needs a runtime where it is waited for, so waiting costs nothing. Those of servers have one runtime of the process, which starts
//! with the first connection; a forked child starts its own, and makes its own connections. The async handles are within reach:
//! [`Project::project`], [`Key::key`], [`Namespace::namespace`].

mod copies;
mod flows;
mod key;
mod operations;
mod room;
mod waiting;

use std::sync::Arc;

use bulla_keyring::source::Source;
use bulla_keyring::{Algorithm, KeySetting, Machine, MachineName, Request};
use bulla_seal::{ContextBuilder, ProjectId};
use bulla_store::{
    Budget, Depth, EntryPage, EntryQuery, EntryStat, ExpectedVersion, GetOptions, NamespaceSettings, PutOptions,
    ResealCounts, StoreError, Value,
};
use pollster::block_on;

pub use self::flows::KeyFlows;
pub use self::key::Key;
pub use self::operations::{Entries, Transaction};
pub use self::waiting::{ThreadWaiter, wait_for};
use crate::{Dependents, KeySource, Result, Settings};

/// A project; see [`crate::Project`].
#[derive(Debug)]
pub struct Project(crate::Project);

impl Project {
    /// Makes a project; see [`crate::Project::init`].
    ///
    /// # Errors
    /// As there.
    pub fn init(settings: Settings) -> Result<Self> {
        block_on(crate::Project::init(settings)).map(Self)
    }

    /// Opens a project; see [`crate::Project::open`].
    ///
    /// # Errors
    /// As there.
    pub fn open(settings: Settings) -> Result<Self> {
        block_on(crate::Project::open(settings)).map(Self)
    }

    /// Makes a project in memory, for tests and trials.
    ///
    /// # Errors
    /// Fails if the system gives no random bytes.
    pub fn in_memory() -> Result<Self> {
        block_on(crate::Project::in_memory()).map(Self)
    }

    /// Makes this machine's request to be let in; see [`crate::Project::enroll`].
    ///
    /// # Errors
    /// As there.
    pub fn enroll(settings: &Settings, name: Option<MachineName>) -> Result<Request> {
        crate::Project::enroll(settings, name)
    }

    /// Returns what this machine's grant says; see [`crate::Project::machine`].
    ///
    /// # Errors
    /// As there.
    pub fn machine(&self) -> Result<Machine> {
        block_on(self.0.machine())
    }

    /// Returns the project with async methods.
    #[must_use]
    pub fn project(&self) -> &crate::Project {
        &self.0
    }

    /// Returns the project's id.
    #[must_use]
    pub fn id(&self) -> ProjectId {
        self.0.id()
    }

    /// Begins the context that a value is to be bound to.
    pub fn context(&self) -> ContextBuilder {
        self.0.context()
    }

    /// Returns a handle to a named key; the key need not exist yet.
    ///
    /// # Errors
    /// [`crate::Error::InvalidName`].
    pub fn key(&self, name: &str) -> Result<Key> {
        self.0.key(name).map(Key)
    }

    /// Makes a key with a first version, and returns a handle to it.
    ///
    /// # Errors
    /// As [`crate::Project::create_key`].
    pub fn create_key(&self, name: &str) -> Result<Key> {
        block_on(self.0.create_key(name)).map(Key)
    }

    /// Makes a key of an algorithm, with settings.
    ///
    /// # Errors
    /// As [`crate::Project::create_key_with`].
    pub fn create_key_with(&self, name: &str, algorithm: Algorithm, settings: &[KeySetting]) -> Result<Key> {
        block_on(self.0.create_key_with(name, algorithm, settings)).map(Key)
    }

    /// Makes a key whose material comes from a source, and writes the source into the settings file.
    ///
    /// # Errors
    /// As [`crate::Project::create_sourced_key`].
    pub fn create_sourced_key(
        &self,
        name: &str,
        algorithm: Algorithm,
        settings: &[KeySetting],
        source: &KeySource,
    ) -> Result<Key> {
        block_on(self.0.create_sourced_key(name, algorithm, settings, source)).map(Key)
    }

    /// Takes the material of an external key from a source of the program's own.
    ///
    /// # Errors
    /// As [`crate::Project::attach_source`].
    pub fn attach_source(&self, name: &str, source: Arc<dyn Source>) -> Result<()> {
        self.0.attach_source(name, source)
    }

    /// Finds out what depends on a key, or on one version of it.
    ///
    /// # Errors
    /// As [`crate::Project::dependents`].
    pub fn dependents(&self, name: &str, version: Option<u64>) -> Result<Dependents> {
        block_on(self.0.dependents(name, version, &mut |_| {}))
    }

    /// Removes all versions of a key below `first` for good, unless anything depends on them; returns how many.
    ///
    /// # Errors
    /// As [`crate::Project::trim_key`].
    pub fn trim_key(&self, name: &str, first: u64) -> Result<u64> {
        block_on(self.0.trim_key(name, first, &mut |_| {}))
    }

    /// Begins to manage keys that the application uses itself, with states sealed under a named key.
    ///
    /// # Errors
    /// As [`crate::Project::key_flows`].
    pub fn key_flows(&self, key: &str) -> Result<KeyFlows> {
        block_on(self.0.key_flows(key)).map(KeyFlows)
    }

    /// Returns the entries of one namespace.
    ///
    /// # Errors
    /// Fails if no namespace can have that name.
    pub fn store(&self, namespace: &str) -> Result<Namespace> {
        self.0.store(namespace).map(Namespace)
    }
}

/// The entries of one namespace; see [`bulla_store::Namespace`].
#[derive(Debug, Clone)]
pub struct Namespace(bulla_store::Namespace);

impl Namespace {
    /// Returns the namespace with async methods, for large values above all.
    #[must_use]
    pub fn namespace(&self) -> &bulla_store::Namespace {
        &self.0
    }

    /// Returns how the namespace is kept.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::settings`].
    pub fn settings(&self) -> Result<NamespaceSettings> {
        Ok(block_on(self.0.settings())?)
    }

    /// Changes how the namespace is kept, from now on; returns the version of the settings.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::set_settings`].
    pub fn set_settings(&self, settings: &NamespaceSettings) -> Result<u64> {
        Ok(block_on(self.0.set_settings(settings))?)
    }

    /// Sets how the namespace is kept, whatever is there; returns the version of the settings.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::set_settings_anew`].
    pub fn set_settings_anew(&self, settings: &NamespaceSettings) -> Result<u64> {
        Ok(block_on(self.0.set_settings_anew(settings))?)
    }

    /// Puts a value under a name, to live as long as the namespace says; returns the version of the entry.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::put`].
    pub fn put(&self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<u64> {
        self.put_with(name, value, &PutOptions::default())
    }

    /// Puts a value under a name, with a lifetime, tags, or an expectation of what is there.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::put`].
    pub fn put_with(&self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>, options: &PutOptions) -> Result<u64> {
        Ok(block_on(self.0.put(name.as_ref(), value.as_ref(), options))?)
    }

    /// Reads a value, or returns `None` where there is none.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::get`], but for [`StoreError::NotFound`].
    pub fn get(&self, name: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        Ok(self.get_with(name, &GetOptions::default())?.map(|value| value.bytes))
    }

    /// Reads a value and what its entry says, or returns `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_with(&self, name: impl AsRef<[u8]>, options: &GetOptions) -> Result<Option<Value>> {
        match block_on(self.0.get(name.as_ref(), options)) {
            Err(StoreError::NotFound(_)) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Reads what an entry says about its value, or returns `None` where there is none.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::stat`], but for [`StoreError::NotFound`].
    pub fn stat(&self, name: impl AsRef<[u8]>) -> Result<Option<EntryStat>> {
        match block_on(self.0.stat(name.as_ref(), &GetOptions::default())) {
            Err(StoreError::NotFound(_)) => Ok(None),
            found => Ok(Some(found?)),
        }
    }

    /// Lists one page of entries.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::list`].
    pub fn list(&self, query: &EntryQuery) -> Result<EntryPage> {
        Ok(block_on(self.0.list(query))?)
    }

    /// Removes an entry; says whether there was one.
    ///
    /// # Errors
    /// As [`bulla_store::Namespace::remove`].
    pub fn remove(&self, name: impl AsRef<[u8]>) -> Result<bool> {
        Ok(block_on(self.0.remove(name.as_ref(), ExpectedVersion::Any))?)
    }

    /// Seals every entry anew that is not sealed under the newest version of the namespace's key, and counts what it did; see
    /// [`bulla_store::Namespace::reseal`], which also says what it found.
    ///
    /// # Errors
    /// As there.
    pub fn reseal(&self) -> Result<ResealCounts> {
        Ok(block_on(self.0.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {}))?)
    }
}
