//! Settings as a process knows them: read from time to time, made at the first write (spec, "Settings").

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bulla_backend::{
    Collection, Document, DocumentKey, Durability, ErrorKind, Event, Expected, ListQuery, Revision, Timestamp,
};
use bulla_keyring::{KeyVersion, KeyringError, SystemKey};
use bulla_seal::{Context, Header, KeyVersionId, Params, SealError, Suite};

use crate::blinding::Index;
use crate::entry::Entry;
use crate::name::prefix;
use crate::namespace::MAX_ROUNDS;
use crate::settings::{BadSettings, Mode, StoredSettings};
use crate::store::ENTRIES;
use crate::unsettled::{Doubt, Names};
use crate::{AuditScope, Namespace, NamespaceName, NamespaceSettings, StoreError};

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
    /// Why these are not the settings that stand: what a reader makes do with, and never a writer.
    pub(crate) doubt: Option<Doubt>,
    revision: Option<Revision>,
    /// The key version that seals them.
    key_version: Option<KeyVersionId>,
}

/// What became of settings that come out of a backup.
pub(crate) enum Restored {
    /// Those that stand say what these do, or are better than these, which do not open.
    Done,
    /// Others were faster: what stands is to be looked at again.
    Changed,
    /// Neither these nor those that stand open.
    Unreadable,
}

impl Settled {
    /// Returns what is known where no settings can be read.
    fn none(revision: Option<Revision>, index: Option<Index>) -> Self {
        let settings = NamespaceSettings::default();
        Self { settings, version: 0, index, doubt: None, revision, key_version: None }
    }

    /// Returns what a reader goes by who cannot read the settings, after those that were read last, or after none (spec, "Reading without
    /// settings"): nothing is held in memory, nothing ranked, and every read is told.
    pub(crate) fn makeshift(last: Option<&Self>, doubt: Doubt) -> Self {
        let settings = last.map(|last| last.settings.clone()).unwrap_or_default();
        let settings = NamespaceSettings { memory_tier: false, eviction: None, audit: AuditScope::All, ..settings };
        let index = last.and_then(|last| last.index.clone());
        let version = last.map_or(0, |last| last.version);
        Self { settings, version, index, doubt: Some(doubt), revision: None, key_version: None }
    }

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
pub(crate) struct SettledCell(RwLock<Seen>);

#[derive(Debug, Default)]
struct Seen {
    settled: Option<(Arc<Settled>, Timestamp)>,
    /// What readers go by meanwhile, where no settings could be read.
    makeshift: Option<(Arc<Settled>, Timestamp)>,
    /// What the recorder was told of last: the code of the failure, and when.
    told: Option<(&'static str, Timestamp)>,
}

impl SettledCell {
    fn known(&self, now: Timestamp) -> Option<Arc<Settled>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).known(now)
    }

    /// Returns what a reader goes by.
    pub(crate) fn for_reader(&self, now: Timestamp) -> Option<Arc<Settled>> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        seen.known(now).or_else(|| fresh(seen.makeshift.as_ref(), now))
    }

    pub(crate) fn last(&self) -> Option<Arc<Settled>> {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        seen.settled.as_ref().map(|(settled, _)| Arc::clone(settled))
    }

    /// Returns the version of the newest that were seen; 0 if none were.
    fn last_version(&self) -> u64 {
        self.last().map_or(0, |settled| settled.version)
    }

    /// Keeps what was read, unless newer ones were seen meanwhile.
    fn learn(&self, settled: &Arc<Settled>, now: Timestamp) {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.settled.as_ref().is_none_or(|(last, _)| last.version <= settled.version) {
            seen.settled = Some((Arc::clone(settled), now));
        }
    }

    /// Keeps what readers go by where nothing could be read.
    pub(crate) fn make_do(&self, makeshift: &Arc<Settled>, now: Timestamp) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).makeshift = Some((Arc::clone(makeshift), now));
    }

    /// Says whether the recorder is to be told of a failure: not of the same one again and again within [`SETTINGS_FRESH`].
    fn is_news(&self, code: &'static str, now: Timestamp) -> bool {
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = seen.told.is_none_or(|(told, at)| told != code || !is_fresh(at, now));
        if is_news {
            seen.told = Some((code, now));
        }
        is_news
    }
}

impl Seen {
    fn known(&self, now: Timestamp) -> Option<Arc<Settled>> {
        // That there were none a moment ago says little: others write settings and entries at once.
        fresh(self.settled.as_ref().filter(|(settled, _)| settled.version > 0), now)
    }
}

fn fresh(seen: Option<&(Arc<Settled>, Timestamp)>, now: Timestamp) -> Option<Arc<Settled>> {
    let (settled, read) = seen?;
    is_fresh(*read, now).then(|| Arc::clone(settled))
}

fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    since <= now && now < since.saturating_add(SETTINGS_FRESH)
}

impl Namespace {
    /// Returns how the namespace is kept.
    ///
    /// # Errors
    /// [`StoreError::BadSettings`] or [`StoreError::OpenSettings`] if the stored settings are not what was written;
    /// [`StoreError::SettingsMissing`] if there are none, and there are entries; [`StoreError::SettingsRolledBack`]. Readers go on in all of
    /// these cases; writers stop.
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
    /// count; [`StoreError::OpenSettings`] and [`StoreError::BadSettings`] for settings that a newer program may have written, or whose key
    /// is not at hand, which only [`Namespace::set_settings_anew`] replaces; [`StoreError::SettingsConflict`] if others change them again
    /// and again.
    pub async fn set_settings(&self, settings: &NamespaceSettings) -> Result<u64, StoreError> {
        self.replace_settings(settings, StoreError::is_lost_settings).await
    }

    /// Sets how the namespace is kept, whatever is there: also in place of settings that seem to be a newer program's, or sealed under a key
    /// version that is not at hand, as altered ones may.
    ///
    /// # Errors
    /// As [`Namespace::set_settings`], but for settings that cannot be read.
    pub async fn set_settings_anew(&self, settings: &NamespaceSettings) -> Result<u64, StoreError> {
        self.replace_settings(settings, StoreError::is_unreadable_settings).await
    }

    async fn replace_settings(
        &self,
        settings: &NamespaceSettings,
        is_replaced: fn(&StoreError) -> bool,
    ) -> Result<u64, StoreError> {
        let invalid = |reason| StoreError::InvalidSettings { namespace: self.name.clone(), reason };
        settings.check().map_err(invalid)?;
        if settings.limit().is_some() && !self.store.entries.capabilities().filing {
            return Err(invalid(BadSettings::NoCounting));
        }
        for _ in 0..MAX_ROUNDS {
            let found = match self.read_settled().await {
                Err(error) if is_replaced(&error) => self.lost_settings().await?,
                found => found?,
            };
            let found = if found.version > 0 {
                if found.settings.blinded_names != settings.blinded_names {
                    return Err(invalid(BadSettings::Blinding));
                }
                found
            } else {
                match self.stored_names().await? {
                    Names::Shown if settings.blinded_names => return Err(invalid(BadSettings::Blinding)),
                    Names::Blinded(Some(_)) if !settings.blinded_names => return Err(invalid(BadSettings::Blinding)),
                    Names::Blinded(None) if !settings.blinded_names => {
                        return Err(invalid(BadSettings::PerhapsBlinded));
                    }
                    Names::Blinded(index) => Arc::new(Settled::none(found.revision, index)),
                    Names::Unknown | Names::Shown => found,
                }
            };
            let version = self.store.sealing_version(&self.name).await?;
            if let Some(version) = self.store_settings(&version, &found, settings.clone()).await? {
                return Ok(version);
            }
        }
        Err(StoreError::SettingsConflict(self.name.clone()))
    }

    /// Returns the settings, not older than [`SETTINGS_FRESH`]. Who only reads goes by [`Namespace::reading`].
    pub(crate) async fn settled(&self) -> Result<Arc<Settled>, StoreError> {
        match self.state.settled.known(self.store.clock.now()) {
            Some(settled) => Ok(settled),
            None => self.settled_or_missing().await,
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

    /// Returns what is to be replaced where settings are not what was written.
    async fn lost_settings(&self) -> Result<Arc<Settled>, StoreError> {
        let document = self.store.entries.get(NAMESPACES, &settings_key(&self.name)?).await?;
        Ok(Arc::new(Settled::none(document.map(|document| document.revision), None)))
    }

    pub(crate) async fn has_entries(&self) -> Result<bool, StoreError> {
        let any = ListQuery { prefix: prefix(&self.name, &[]), limit: 1, ..ListQuery::default() };
        Ok(!self.store.entries.list(ENTRIES, &any).await?.documents.is_empty())
    }

    /// Reads the settings. Ones that are not what was written are told to the recorder, once in [`SETTINGS_FRESH`].
    pub(crate) async fn read_settled(&self) -> Result<Arc<Settled>, StoreError> {
        self.look_at_settings().await.map_err(|error| self.suspicious_settings(error))
    }

    /// Reads the settings, and tells nobody if they are refused.
    pub(crate) async fn look_at_settings(&self) -> Result<Arc<Settled>, StoreError> {
        let now = self.store.clock.now();
        // What others learn while this one reads may be newer, and is no sign of settings that went back.
        let last = self.state.settled.last();
        let known = last.as_ref().map_or(0, |last| last.version);
        let document = self.store.entries.get(NAMESPACES, &settings_key(&self.name)?).await?;
        let revision = document.as_ref().map(|document| document.revision);
        let settled = match (last, document) {
            (Some(last), _) if last.revision == revision => last,
            (_, None) => Arc::new(Settled::none(None, None)),
            (_, Some(document)) => Arc::new(self.open_settings(document.value, document.revision).await?),
        };
        if settled.version < known {
            let namespace = self.name.clone();
            return Err(StoreError::SettingsRolledBack { namespace, known, found: settled.version });
        }
        self.state.settled.learn(&settled, now);
        self.hold_by(&settled.settings);
        Ok(settled)
    }

    async fn open_settings(&self, sealed: Vec<u8>, revision: Revision) -> Result<Settled, StoreError> {
        let refused = |reason| StoreError::OpenSettings { namespace: self.name.clone(), reason };
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
        Ok(Settled { settings, version, index, doubt: None, revision, key_version })
    }

    /// Opens settings; ones that are not what was written are told to the recorder.
    pub(crate) async fn open_told(&self, sealed: Vec<u8>, revision: Revision) -> Result<Settled, StoreError> {
        self.open_settings(sealed, revision).await.inspect_err(|error| {
            if error.is_lost_settings() {
                self.tell_of_settings(error);
            }
        })
    }

    /// Tells the recorder of settings that are gone, or are not what was written; many who read at once tell it once.
    pub(crate) fn suspicious_settings(&self, error: StoreError) -> StoreError {
        if error.is_lost_settings() && self.state.settled.is_news(error.code(), self.store.clock.now()) {
            self.tell_of_settings(&error);
        }
        error
    }

    fn tell_of_settings(&self, error: &StoreError) {
        let event =
            Event::SecurityViolation { code: error.code(), subject: &self.name, detail: &"left where they are" };
        self.store.shared.recorder.record(&event);
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

    /// Seals the settings anew, if need be; says whether it did.
    pub(crate) async fn reseal_settings(&self) -> Result<bool, StoreError> {
        for _ in 0..MAX_ROUNDS {
            // Settings that went back are refused: under the newest key version they would live on.
            let settled = self.read_settled().await?;
            let Some(revision) = settled.revision else { return Ok(false) };
            let version = self.store.newest_version(&self.name).await?;
            let version = version.ok_or_else(|| StoreError::KeyMissing(self.name.clone()))?;
            if settled.key_version == Some(version.id()) {
                return Ok(false);
            }
            let index = settled.index.as_ref().map(Index::id);
            let stored = StoredSettings { version: settled.version, settings: settled.settings.clone(), index };
            let sealed = version.seal_key().seal(version.params(), &self.settings_context()?, &stored.encode())?;
            let (key, expected) = (settings_key(&self.name)?, Expected::Revision(revision));
            match self.store.entries.put(NAMESPACES, &key, &sealed, expected).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                written => return Ok(written.map(|_| true)?),
            }
        }
        Err(StoreError::SettingsConflict(self.name.clone()))
    }

    /// Puts settings of a backup in the place of those that stand, sealed anew as the newest: processes that run have seen those, and follow
    /// none that are older.
    pub(crate) async fn restore_settings(&self, sealed: Vec<u8>, standing: Document) -> Result<Restored, StoreError> {
        let readable = |opened| match opened {
            Ok(settled) => Ok(Some(settled)),
            Err(error @ (StoreError::Backend(_) | StoreError::Keyring { .. })) if !error.is_beyond_opening() => {
                Err(error)
            }
            Err(_) => Ok(None),
        };
        let Document { value, revision, .. } = standing;
        let standing: Option<Settled> = readable(self.open_told(value, revision).await)?;
        let Some(restored) = readable(self.open_told(sealed, revision).await)? else {
            return Ok(if standing.is_some() { Restored::Done } else { Restored::Unreadable });
        };
        let index = |settled: &Settled| settled.index.as_ref().map(Index::id);
        if standing
            .as_ref()
            .is_some_and(|standing| standing.settings == restored.settings && index(standing) == index(&restored))
        {
            return Ok(Restored::Done);
        }
        // Of those that do not open nobody knows the version; the time is later than any count.
        let before = standing.map_or_else(|| self.store.clock.now().0, |standing| standing.version);
        let settings = restored.settings.clone();
        let newest = Settled { version: before.max(restored.version), ..restored };
        let version = self.store.sealing_version(&self.name).await?;
        let written = self.store_settings(&version, &newest, settings).await?;
        Ok(if written.is_some() { Restored::Done } else { Restored::Changed })
    }

    pub(crate) fn settings_context(&self) -> Result<Context, SealError> {
        Context::in_domain(DOMAIN, &self.store.keyring.project()).text("namespace", self.name.as_str()).build()
    }

    /// Returns the key that blinds names and digests of the namespace.
    pub(crate) fn index_key(&self) -> Result<SystemKey, StoreError> {
        let invalid = |reason| StoreError::InvalidNamespace { name: self.name.to_string(), reason };
        SystemKey::index(&self.name.as_str().parse().map_err(invalid)?).map_err(invalid)
    }

    pub(crate) fn keyring_error(&self, source: KeyringError) -> StoreError {
        StoreError::Keyring { namespace: self.name.clone(), source }
    }
}

/// Returns the key of the settings' document.
pub(crate) fn settings_key(namespace: &NamespaceName) -> Result<DocumentKey, StoreError> {
    Ok(DocumentKey::new(namespace.as_str().as_bytes())?)
}
