use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use bulla_backend::{
    Blobs, Clock, Documents, FileBlobs, JsonDocuments, MemoryBlobs, MemoryDocuments, SqliteDocuments, SqliteOptions,
    SystemClock,
};
use bulla_keyring::{Algorithm, Identity, KeyName, Keyring, KeyringError, MachineName, TrustPin};
use bulla_seal::{Context, ContextBuilder, ProjectId};
use bulla_store::{Namespace, Store};

use crate::pin::PinFile;
use crate::settings::pin_project;
use crate::{BackendUrl, Error, Key, Result, Settings, files, identity_file};

/// A project, opened with this machine's identity: one trust domain with its keys and its store.
///
/// Any number of processes may have one open at once.
#[derive(Debug)]
pub struct Project {
    settings: Settings,
    keyring: Arc<Keyring>,
    store: Store,
    pin_is_kept: bool,
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
        let identity = match (settings.identity().get(), settings.backend().get()) {
            // What leaves nothing behind leaves no identity either.
            (_, BackendUrl::Memory) => Arc::new(Identity::generate()?),
            (Some(path), _) => identity_file::load_or_create(path)?,
            (None, _) => return Err(Error::NoIdentityPlace),
        };
        // Held until the end: of several that make one project at once, the others find it made.
        let _lock = settings.backend().get().folder().map(lock_folder).transpose()?;
        let backend = Backend::open(settings.backend().get(), true)?;
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
        let path = settings.identity().get().as_deref().ok_or(Error::NoIdentityPlace)?;
        let identity = identity_file::load(path)?;
        let pin = PinFile::beside(path, project).load()?;
        let backend = Backend::open(settings.backend().get(), false)?;
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
        Ok(Key::new(self.keyring.clone(), key_name(name)?))
    }

    /// Makes a key with a first version, and returns a handle to it.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`KeyringError::KeyExists`].
    pub async fn create_key(&self, name: &str) -> Result<Key> {
        let name = key_name(name)?;
        self.keyring.create_key(&name, Algorithm::default()).await?;
        Ok(Key::new(self.keyring.clone(), name))
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

    fn assemble(settings: Settings, keyring: Keyring, backend: Backend) -> Result<Self> {
        let keyring = Arc::new(keyring);
        let pin_is_kept = match (settings.identity().get(), settings.backend().get()) {
            (Some(path), BackendUrl::Sqlite(_) | BackendUrl::Json(_)) => {
                PinFile::beside(path, keyring.project()).advance(&keyring.pin())?
            }
            _ => false,
        };
        let store = Store::new(keyring.clone(), backend.entries, backend.blobs, clock());
        Ok(Self { settings, keyring, store, pin_is_kept })
    }
}

/// The databases of a project.
struct Backend {
    trust: Arc<dyn Documents>,
    entries: Arc<dyn Documents>,
    blobs: Arc<dyn Blobs>,
}

impl Backend {
    fn open(url: &BackendUrl, create: bool) -> Result<Self> {
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
        })
    }
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn key_name(name: &str) -> Result<KeyName> {
    name.parse().map_err(|reason| Error::InvalidName { name: name.to_owned(), reason })
}

/// Makes the project's folder, and waits until no other process makes a project there.
fn lock_folder(folder: &std::path::Path) -> Result<File> {
    let failed = |source| Error::File { operation: "create the folder", path: PathBuf::from(folder), source };
    files::create_folders(folder).map_err(failed)?;
    let lock = File::open(folder).map_err(failed)?;
    lock.lock().map_err(failed)?;
    Ok(lock)
}

/// Returns this machine's name in the network, with `-` for what names do not have.
fn machine_name() -> MachineName {
    let system = rustix::system::uname();
    let name = system.nodename().to_string_lossy();
    let first = name.split('.').next().unwrap_or_default();
    let cleaned: String =
        first.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(64).collect();
    let trimmed = cleaned.trim_matches('-');
    trimmed.parse().or_else(|_| "machine".parse()).expect("`machine` follows the grammar of names")
}
