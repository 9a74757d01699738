//! Settings as a process knows them: read from time to time, made at the first write (spec, "Settings").

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bulla_backend::{
    Collection, Document, DocumentKey, Durability, ErrorKind, Event, Expected, ListQuery, Revision, Timestamp,
};
use bulla_keyring::{KeyVersion, SystemKey};
use bulla_seal::{Context, Header, KeyVersionId, Params, SealError, Suite};

use crate::blinding::Index;
use crate::entry::Entry;
use crate::name::prefix;
use crate::namespace::MAX_ROUNDS;
use crate::settings::{BadSettings, Mode, StoredSettings};
use crate::store::ENTRIES;
use crate::{Namespace, NamespaceName, NamespaceSettings, Place, StoreError};

/// Where settings lie, by the name of the namespace.
pub(crate) const NAMESPACES: Collection = Collection::new("namespaces", Durability::Durable);

/// How long settings are believed before they are looked at again: the longest it takes until all processes follow a change.
pub const SETTINGS_FRESH: Duration = Duration::from_secs(1);

const DOMAIN: &str = "bulla/store/settings";

/// The settings of a namespace, and what follows from them.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) settings: NamespaceSettings,
    /// 0 as long as none are stored.
    pub(crate) version: u64,
    /// What blinds names, where they are.
    pub(crate) index: Option<Index>,
    revision: Option<Revision>,
    /// The key version that seals them.
    key_version: Option<KeyVersionId>,
}

impl Settled {
    /// Returns how to seal an entry for which the key says `params`.
    ///
    /// Whoever could read a blob's key could write another value under it, and a blinded name is not to be shown: such entries are encrypted in
    /// whatever mode the namespace is.
    pub(crate) fn entry_params(&self, params: Params, entry: &Entry) -> Params {
        self.params(params, entry.stat.sensitive || entry.blob.is_some() || entry.name.is_some())
    }

    /// Returns how to seal a value for which the key says `params`.
    pub(crate) fn params(&self, params: Params, sensitive: bool) -> Params {
        match self.settings.mode {
            Mode::Authenticated if !sensitive => Params { suite: Suite::Authenticated, ..params },
            _ => params,
        }
    }
}

/// What was read last, and when.
#[derive(Debug, Default)]
pub(crate) struct SettledCell(RwLock<Option<(Arc<Settled>, Timestamp)>>);

impl SettledCell {
    fn known(&self, now: Timestamp) -> Option<Arc<Settled>> {
        let cell = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (settled, read) = cell.as_ref()?;
        let is_fresh = *read <= now && now < read.saturating_add(SETTINGS_FRESH);
        is_fresh.then(|| Arc::clone(settled))
    }

    fn last(&self) -> Option<Arc<Settled>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(settled, _)| Arc::clone(settled))
    }

    /// Returns the version of the newest that were seen; 0 if none were.
    fn last_version(&self) -> u64 {
        self.last().map_or(0, |settled| settled.version)
    }

    fn learn(&self, settled: &Arc<Settled>, now: Timestamp) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some((Arc::clone(settled), now));
    }
}

impl Namespace {
    /// Returns how the namespace is kept.
    ///
    /// # Errors
    /// [`StoreError::BadSettings`] or [`StoreError::OpenSettings`] if the stored settings are not what was written.
    pub async fn settings(&self) -> Result<NamespaceSettings, StoreError> {
        Ok(self.settled().await?.settings.clone())
    }

    /// Changes how the namespace is kept, from now on, and returns the version of the settings. Entries that are there stay as they are
    /// until they are put or sealed anew.
    ///
    /// Other processes follow within [`SETTINGS_FRESH`]. Settings that are gone, or are not what was written, are replaced.
    ///
    /// # Errors
    /// [`StoreError::InvalidSettings`] for what is out of bounds, for blinding that would change, or for limits where the backend does not
    /// count; [`StoreError::Conflict`] is for others who change them again and again.
    pub async fn set_settings(&self, settings: &NamespaceSettings) -> Result<u64, StoreError> {
        let invalid = |reason| StoreError::InvalidSettings { namespace: self.name.clone(), reason };
        settings.check().map_err(invalid)?;
        if settings.limit().is_some() && !self.store.entries.capabilities().filing {
            return Err(invalid(BadSettings::NoCounting));
        }
        for _ in 0..MAX_ROUNDS {
            let found = match self.read_settled().await {
                Err(error) if error.is_lost_settings() => self.lost_settings().await?,
                found => found?,
            };
            let blinded =
                if found.version > 0 { Some(found.settings.blinded_names) } else { self.blinded_already().await? };
            if blinded.is_some_and(|blinded| blinded != settings.blinded_names) {
                return Err(invalid(BadSettings::Blinding));
            }
            let version = self.store.sealing_version(&self.name).await?;
            if let Some(version) = self.store_settings(&version, &found, settings.clone()).await? {
                return Ok(version);
            }
        }
        Err(StoreError::SettingsConflict(self.name.clone()))
    }

    /// Returns the settings, not older than [`SETTINGS_FRESH`].
    pub(crate) async fn settled(&self) -> Result<Arc<Settled>, StoreError> {
        match self.state.settled.known(self.store.clock.now()) {
            Some(settled) => Ok(settled),
            None => self.read_settled().await,
        }
    }

    /// Returns what to seal an entry under and how, making key and settings where the namespace was never written to.
    pub(crate) async fn sealing(&self) -> Result<(Arc<KeyVersion>, Arc<Settled>), StoreError> {
        let version = self.store.sealing_version(&self.name).await?;
        for _ in 0..MAX_ROUNDS {
            let settled = self.settled().await?;
            if settled.version > 0 {
                if settled.key_version.is_some_and(|sealing| sealing != version.id()) {
                    // So that nothing but old entries needs the old version. Who may not, or is not able to, still writes entries.
                    let _ = self.reseal_settings().await;
                    return Ok((version, self.read_settled().await?));
                }
                return Ok((version, settled));
            }
            // Without settings nobody knows whether names are to be blinded, or values to be encrypted.
            if (self.has_entries().await? || self.has_index().await?) && self.read_settled().await?.version == 0 {
                return Err(StoreError::SettingsMissing(self.name.clone()));
            }
            self.store_settings(&version, &settled, NamespaceSettings::default()).await?;
        }
        Err(StoreError::SettingsConflict(self.name.clone()))
    }

    /// Says whether names or contents of the namespace were ever blinded.
    async fn has_index(&self) -> Result<bool, StoreError> {
        // A namespace of too many segments cannot have one.
        let Ok(key) = self.index_key() else { return Ok(false) };
        let found = self.store.keyring.find_system_key(&key).await;
        Ok(found.map_err(|source| self.keyring_error(source))?.is_some())
    }

    /// Says whether the entries of a namespace whose settings are lost have blinded names; `None` if no entry tells.
    async fn blinded_already(&self) -> Result<Option<bool>, StoreError> {
        let some = ListQuery { prefix: prefix(&self.name, &[]), limit: 64, ..ListQuery::default() };
        for Document { key, value, .. } in self.store.entries.list(ENTRIES, &some).await?.documents {
            let Some(place) = Place::parse(key.as_bytes()) else { continue };
            if let Ok((entry, _)) = self.store.open_entry(&self.name, place.name.as_bytes(), value).await {
                return Ok(Some(entry.name.is_some()));
            }
        }
        Ok(None)
    }

    /// Returns what is to be replaced where settings are not what was written.
    async fn lost_settings(&self) -> Result<Arc<Settled>, StoreError> {
        let document = self.store.entries.get(NAMESPACES, &settings_key(&self.name)?).await?;
        let revision = document.map(|document| document.revision);
        let settings = NamespaceSettings::default();
        Ok(Arc::new(Settled { settings, version: 0, index: None, revision, key_version: None }))
    }

    pub(crate) async fn has_entries(&self) -> Result<bool, StoreError> {
        let any = ListQuery { prefix: prefix(&self.name, &[]), limit: 1, ..ListQuery::default() };
        Ok(!self.store.entries.list(ENTRIES, &any).await?.documents.is_empty())
    }

    pub(crate) async fn read_settled(&self) -> Result<Arc<Settled>, StoreError> {
        let now = self.store.clock.now();
        let document = self.store.entries.get(NAMESPACES, &settings_key(&self.name)?).await?;
        let last = self.state.settled.last();
        let revision = document.as_ref().map(|document| document.revision);
        let settled = match (last, document) {
            (Some(last), _) if last.revision == revision => last,
            (_, None) => Arc::new(Settled {
                settings: NamespaceSettings::default(),
                version: 0,
                index: None,
                revision: None,
                key_version: None,
            }),
            (_, Some(document)) => Arc::new(self.open_settings(document.value, document.revision).await?),
        };
        let known = self.state.settled.last_version();
        if settled.version < known {
            let error = StoreError::SettingsRolledBack { namespace: self.name.clone(), known, found: settled.version };
            return Err(self.suspicious_settings(error));
        }
        self.state.settled.learn(&settled, now);
        Ok(settled)
    }

    pub(crate) async fn open_settings(&self, sealed: Vec<u8>, revision: Revision) -> Result<Settled, StoreError> {
        let refused =
            |reason| self.suspicious_settings(StoreError::OpenSettings { namespace: self.name.clone(), reason });
        let context = self.settings_context()?;
        let key_version = Header::parse(&sealed).ok().map(|header| header.key_version());
        let opened = self.store.open_bytes(&self.name, &context, sealed).await?.map_err(refused)?;
        let stored = StoredSettings::parse(&opened)
            .map_err(|reason| StoreError::BadSettings { namespace: self.name.clone(), reason })?;
        let index = match stored.index {
            None => None,
            Some(id) => {
                let version = self.store.keyring.system_version(&self.index_key()?, id).await;
                Some(Index::new(version.map_err(|source| self.keyring_error(source))?))
            }
        };
        let (settings, version, revision) = (stored.settings, stored.version, Some(revision));
        Ok(Settled { settings, version, index, revision, key_version })
    }

    /// Tells the recorder of settings that are not what was written.
    fn suspicious_settings(&self, error: StoreError) -> StoreError {
        if error.is_lost_settings() {
            let event =
                Event::SecurityViolation { code: error.code(), subject: &self.name, detail: &"left where they are" };
            self.store.shared.recorder.record(&event);
        }
        error
    }

    /// Writes settings in place of those found; `None` if others were faster.
    async fn store_settings(
        &self,
        version: &KeyVersion,
        found: &Settled,
        settings: NamespaceSettings,
    ) -> Result<Option<u64>, StoreError> {
        let index = match (&found.index, settings.blinded_names) {
            (_, false) => None,
            (Some(index), true) => Some(index.id()),
            (None, true) => {
                let newest = self.store.keyring.system_key(&self.index_key()?).await;
                Some(newest.map_err(|source| self.keyring_error(source))?.id())
            }
        };
        // Where earlier ones may be lost, the time is later than any count: processes that knew them take these for newer.
        let is_first = found.version == 0 && found.revision.is_none() && !self.has_entries().await?;
        let before = if found.version > 0 || is_first { found.version } else { self.store.clock.now().0 };
        let before = before.max(self.state.settled.last_version());
        let stored = StoredSettings { version: before.saturating_add(1), settings, index };
        let sealed = version.seal_key().seal(version.params(), &self.settings_context()?, &stored.encode())?;
        let expected = found.revision.map_or(Expected::Absent, Expected::Revision);
        match self.store.entries.put(NAMESPACES, &settings_key(&self.name)?, &sealed, expected).await {
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error.into()),
            written => {
                self.read_settled().await?;
                Ok(written.is_ok().then_some(stored.version))
            }
        }
    }

    pub(crate) fn settings_context(&self) -> Result<Context, SealError> {
        Context::in_domain(DOMAIN, &self.store.keyring.project()).text("namespace", self.name.as_str()).build()
    }

    /// Returns the key that blinds names and digests of the namespace.
    pub(crate) fn index_key(&self) -> Result<SystemKey, StoreError> {
        let invalid = |reason| StoreError::InvalidNamespace { name: self.name.to_string(), reason };
        SystemKey::index(&self.name.as_str().parse().map_err(invalid)?).map_err(invalid)
    }

    pub(crate) fn keyring_error(&self, source: bulla_keyring::KeyringError) -> StoreError {
        StoreError::Keyring { namespace: self.name.clone(), source }
    }
}

/// Returns the key of the settings' document.
pub(crate) fn settings_key(namespace: &NamespaceName) -> Result<DocumentKey, StoreError> {
    Ok(DocumentKey::new(namespace.as_str().as_bytes())?)
}
