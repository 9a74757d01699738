use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bulla_backend::{
    Blobs, Clock, Documents, FileBlobs, JsonDocuments, MemoryBlobs, MemoryDocuments, SqliteDocuments, SqliteOptions,
    SystemClock, Timestamp,
};
#[cfg(feature = "postgres")]
use bulla_backend::{PostgresBlobs, PostgresDocuments, PostgresServer};
use bulla_keyring::flows::{AcrossProcesses, KeyCryptoTool, KeyFlows, SealedStates};
use bulla_keyring::source::Source;
use bulla_keyring::{Algorithm, Identity, KeyName, KeySetting, Keyring, KeyringError, MachineName, TrustPin};
use bulla_seal::{Context, ContextBuilder, ProjectId};
use bulla_store::{Namespace, Store, StoreOptions};

use crate::key_source::{self, Sources};
use crate::pin::PinFile;
use crate::session::Violations;
use crate::settings::pin_project;
use crate::{BackendUrl, Encoding, Error, IdentityFile, Key, KeySource, Result, Settings, files};

/// A project, opened with this machine's identity: one trust domain with its keys and its store.
///
/// Any number of processes may have one open at once.
#[derive(Debug)]
pub struct Project {
    settings: Settings,
    keyring: Arc<Keyring>,
    store: Store,
    sources: Arc<Sources>,
    /// Where key flows keep states and locks.
    pub(crate) states: Arc<dyn Documents>,
    pin_is_kept: bool,
    pub(crate) violations: Arc<Violations>,
}

/// Length of the trust log of a project that was just made: root, grant and epoch.
const RECORDS_AT_FIRST: u64 = 3;

impl Project {
    /// Makes a project in the backend that the settings name, with a first key, named by the setting `key`.
    ///
    /// This machine gets an identity, if it has none, and becomes the project's first authoriser. The settings file is
    /// written last: it names the project. A call that was interrupted can be made again.
    ///
    /// # Errors
    /// [`Error::AlreadyInitialized`]; [`Error::ProjectFound`] if the backend holds a project of this machine that is in use;
    /// [`KeyringError::ProjectExists`] if another machine made the project that the backend holds; and whatever the backend and the
    /// identity file say.
    pub async fn init(settings: Settings) -> Result<Self> {
        if let Some(project) = *settings.project().get() {
            return Err(Error::AlreadyInitialized { file: settings.file().to_owned(), project });
        }
        let key = key_name(settings.key().get())?;
        let identity = match settings.backend().get() {
            // What leaves nothing behind leaves no identity either.
            BackendUrl::Memory => Arc::new(Identity::generate()?),
            _ => IdentityFile::of(&settings)?.load_or_create()?,
        };
        // Held until the end: of several that make one project at once, the others find it made.
        let _lock = settings.backend().get().folder().map(lock_folder).transpose()?;
        let backend = Backend::open(settings.backend().get(), true).await?;
        let created = Keyring::create(backend.trust.clone(), identity.clone(), &machine_name(), clock()).await;
        let keyring = match created {
            Ok(keyring) => keyring,
            Err(KeyringError::ProjectExists { project, ours: true }) => {
                // Ours, and yet not in our settings: either begun and interrupted, or made by another process just now.
                let pinned = Settings::builder().file(settings.file()).environment(false).load_for_init()?;
                if pinned.project().get().is_some() {
                    return Err(Error::AlreadyInitialized { file: settings.file().to_owned(), project });
                }
                // What was only begun has no keys worth having, was never opened, and so left no pin.
                let keyring = Keyring::open(backend.trust.clone(), identity, project, clock()).await?;
                let known =
                    settings.identity().get().as_deref().is_some_and(|path| PinFile::beside(path, project).is_kept());
                if known || keyring.pin().length() > RECORDS_AT_FIRST {
                    return Err(Error::ProjectFound { file: settings.file().to_owned(), project });
                }
                keyring
            }
            Err(error) => return Err(error.into()),
        };
        match keyring.create_key(&key, Algorithm::default()).await {
            Ok(_) | Err(KeyringError::KeyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // The settings name the project before its pin is kept: a pin without settings is a project that is in use elsewhere.
        if settings.backend().get() != &BackendUrl::Memory {
            pin_project(&settings, &keyring.project())?;
        }
        Self::assemble(settings, keyring, backend)
    }

    /// Opens the project that the settings name.
    ///
    /// # Errors
    /// [`Error::NoProject`] if they name none; [`KeyringError::NoGrant`] if this machine was not let in;
    /// [`KeyringError::Rollback`] if the database is older than one that this machine has seen; and whatever the backend and the
    /// identity file say.
    pub async fn open(settings: Settings) -> Result<Self> {
        let Some(project) = *settings.project().get() else {
            return Err(Error::NoProject { file: settings.file().to_owned() });
        };
        let file = IdentityFile::of(&settings)?;
        let identity = file.load()?;
        let pin = PinFile::beside(file.path(), project).load()?;
        let backend = Backend::open(settings.backend().get(), false).await?;
        let keyring = Keyring::open(backend.trust.clone(), identity, pin, clock()).await?;
        Self::assemble(settings, keyring, backend)
    }

    /// Makes a project in memory, which is gone when it is dropped: for tests and trials.
    ///
    /// # Errors
    /// Fails if the system gives no random bytes.
    pub async fn in_memory() -> Result<Self> {
        Self::init(Settings::builder().environment(false).no_file().backend("memory:").load()?).await
    }

    /// Returns the project's id: what names it to other machines.
    #[must_use]
    pub fn id(&self) -> ProjectId {
        self.keyring.project()
    }

    /// Returns the present moment, as the project's clock has it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        clock().now()
    }

    /// Returns the settings that it was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns all keys.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Returns all namespaces of entries.
    #[must_use]
    pub fn entries(&self) -> &Store {
        &self.store
    }

    /// Returns a handle to a named key; the key need not exist yet.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn key(&self, name: &str) -> Result<Key> {
        Ok(self.handle(key_name(name)?))
    }

    /// Makes a key with a first version, and returns a handle to it.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`KeyringError::KeyExists`].
    pub async fn create_key(&self, name: &str) -> Result<Key> {
        self.create_key_with(name, Algorithm::default(), &[]).await
    }

    /// Makes a key of an algorithm, with settings.
    ///
    /// # Errors
    /// As [`Self::create_key`]; [`KeyringError::Setting`] for one that a new key cannot have.
    pub async fn create_key_with(&self, name: &str, algorithm: Algorithm, settings: &[KeySetting]) -> Result<Key> {
        let name = key_name(name)?;
        self.keyring.create_key_with(&name, algorithm, settings).await?;
        Ok(self.handle(name))
    }

    /// Makes a key whose material comes from a source, and writes the source into the table `[sources]` of the settings file.
    ///
    /// # Errors
    /// As [`Self::create_key_with`]; [`Error::Source`] if the source gives nothing; [`KeyringError::Seal`] if what it gives is no material of
    /// the algorithm; a [`SettingsError`](crate::SettingsError) if the file names another source for the key, or cannot be written.
    pub async fn create_sourced_key(
        &self,
        name: &str,
        algorithm: Algorithm,
        settings: &[KeySetting],
        source: &KeySource,
    ) -> Result<Key> {
        let name = key_name(name)?;
        // Looked at first, so that a slip does not give a key that is there another source.
        match self.keyring.key(&name).await {
            Err(KeyringError::NoKey(_)) => {}
            Ok(_) => return Err(KeyringError::KeyExists(name).into()),
            Err(error) => return Err(error.into()),
        }
        let material = key_source::fetch(&name, source).await?;
        // The file comes first: of a call that was interrupted, what is left is a source that the next call finds as it should be.
        self.settings.add_source(&name, source)?;
        self.keyring.create_external_key(&name, algorithm, settings, &material).await?;
        self.sources.attach_spec(&name, source);
        Ok(self.handle(name))
    }

    /// Takes the material of an external key from a source of the program's own from now on, on this machine and as long as this project is open.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn attach_source(&self, name: &str, source: Arc<dyn Source>) -> Result<()> {
        self.sources.attach(&key_name(name)?, source, Encoding::Raw, "of this program".to_owned());
        Ok(())
    }

    /// Returns the source of a key on this machine, if it has one: for [key flows](Self::key_flows) that take their values from there.
    ///
    /// # Errors
    /// [`Error::InvalidName`].
    pub fn source(&self, name: &str) -> Result<Option<Arc<dyn Source>>> {
        Ok(self.sources.source(&key_name(name)?))
    }

    /// Begins to manage keys that the application uses itself, with [flows](bulla_keyring::flows): which value serves the forward path and which the back path, and what happens when one
    /// changes. States are kept in the project's backend, sealed under a named key; a change excludes other processes and machines.
    ///
    /// Call it once and share what it returns: definitions and callbacks belong to it.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`]; [`KeyringError::WrongUse`] for a key that does not seal.
    ///
    /// # Examples
    /// ```
    /// use bulla::Project;
    /// use bulla::flows::KeyDefinition;
    /// use bulla::source::SourceSpec;
    ///
    /// # pollster::block_on(async {
    /// let project = Project::in_memory().await?;
    /// project.create_key("flow-states").await?;
    /// let flows = project.key_flows("flow-states").await?;
    ///
    /// let source = "command:printf secret".parse::<SourceSpec>()?.source();
    /// let token = flows.define_key(&"token".parse()?, source, KeyDefinition::round_trip().with_stateless(false))?;
    /// assert_eq!(token.forward_path_key().await?.expose_text(), Some("secret"));
    /// token.save_state().await?;
    ///
    /// // What was encrypted with it can be decrypted in a later lifetime, whatever the source holds by then.
    /// assert_eq!(project.dependents("flow-states", None, &mut |_| {}).await?.states(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn key_flows(&self, key: &str) -> Result<KeyFlows> {
        let key = self.key(key)?;
        let info = key.info().await?;
        if info.algorithm.use_case() != bulla_keyring::UseCase::RoundTrip {
            let operation = "seal the states of key flows";
            return Err(KeyringError::WrongUse { name: info.name, algorithm: info.algorithm, operation }.into());
        }
        let repo = Arc::new(SealedStates::new(self.states.clone()));
        let tool = Arc::new(KeyCryptoTool::new(self.keyring.clone(), info.name));
        let machine = self.keyring.identity().fingerprint();
        let lock = Arc::new(AcrossProcesses::new(self.states.clone(), clock(), machine));
        Ok(KeyFlows::builder().states(repo, tool).lock(lock).build())
    }

    /// Returns the entries of one namespace. Its key, `store/` and its name, is made with its first entry.
    ///
    /// # Errors
    /// Fails if no namespace can have that name.
    pub fn store(&self, namespace: &str) -> Result<Namespace> {
        Ok(self.store.namespace(namespace)?)
    }

    /// Begins the context that a value is to be bound to.
    pub fn context(&self) -> ContextBuilder {
        Context::user(&self.id())
    }

    /// Returns how far this machine has seen the trust log.
    #[must_use]
    pub fn pin(&self) -> TrustPin {
        self.keyring.pin()
    }

    /// Says whether this machine keeps the pin, so that an older copy of the database will be noticed. It does unless the
    /// folder of its identity cannot be written.
    #[must_use]
    pub fn pin_is_kept(&self) -> bool {
        self.pin_is_kept
    }

    pub(crate) fn assemble(settings: Settings, keyring: Keyring, backend: Backend) -> Result<Self> {
        let keyring = Arc::new(keyring);
        let violations = Arc::new(Violations::default());
        let mut options = StoreOptions::default();
        options.recorder = violations.clone();
        let store = Store::with_options(keyring.clone(), backend.entries, backend.blobs, clock(), options);
        let sources = Arc::new(Sources::new(keyring.clone(), clock()));
        for (name, source) in settings.sources() {
            sources.attach_spec(name, source.get());
        }
        let states = backend.trust;
        let mut project = Self { settings, keyring, store, sources, states, pin_is_kept: false, violations };
        project.pin_is_kept = project.keep_pin()?;
        Ok(project)
    }

    fn handle(&self, name: KeyName) -> Key {
        Key::new(self.keyring.clone(), self.sources.clone(), name)
    }
}

/// The databases of a project.
pub(crate) struct Backend {
    pub(crate) trust: Arc<dyn Documents>,
    pub(crate) entries: Arc<dyn Documents>,
    pub(crate) blobs: Arc<dyn Blobs>,
}

impl Backend {
    pub(crate) async fn open(url: &BackendUrl, create: bool) -> Result<Self> {
        let options = || SqliteOptions::default().create(create);
        Ok(match url {
            BackendUrl::Sqlite(folder) => Self {
                trust: Arc::new(SqliteDocuments::open(folder.join("trust.db"), options())?),
                entries: Arc::new(SqliteDocuments::open(folder.join("entries.db"), options())?),
                blobs: Arc::new(FileBlobs::open(folder.join("blobs"))?),
            },
            BackendUrl::Json(folder) => Self {
                trust: Arc::new(JsonDocuments::open(folder.join("trust.json"))?),
                entries: Arc::new(JsonDocuments::open(folder.join("entries.json"))?),
                blobs: Arc::new(FileBlobs::open(folder.join("blobs"))?),
            },
            BackendUrl::Memory => Self {
                trust: Arc::new(MemoryDocuments::new()),
                entries: Arc::new(MemoryDocuments::new()),
                blobs: Arc::new(MemoryBlobs::new()),
            },
            #[cfg(feature = "postgres")]
            BackendUrl::Postgres(url) => {
                let server = PostgresServer::new((**url).clone());
                Self {
                    trust: Arc::new(PostgresDocuments::open(&server, "_trust", create).await?),
                    entries: Arc::new(PostgresDocuments::open(&server, "_entries", create).await?),
                    blobs: Arc::new(PostgresBlobs::open(&server, "_entries", create).await?),
                }
            }
        })
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn key_name(name: &str) -> Result<KeyName> {
    name.parse().map_err(|reason| Error::InvalidName { name: name.to_owned(), reason })
}

/// Makes the project's folder, and waits until no other process makes a project there.
pub(crate) fn lock_folder(folder: &std::path::Path) -> Result<File> {
    let failed = |source| Error::File { operation: "create the folder", path: PathBuf::from(folder), source };
    files::create_folders(folder).map_err(failed)?;
    let lock = File::open(folder).map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

/// Returns this machine's name in the network, with `-` for what names do not have.
pub(crate) fn machine_name() -> MachineName {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let first = name.split('.').next().unwrap_or_default();
    let cleaned: String =
        first.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(64).collect();
    let trimmed = cleaned.trim_matches('-');
    trimmed.parse().or_else(|_| "machine".parse()).expect("`machine` follows the grammar of names")
}
