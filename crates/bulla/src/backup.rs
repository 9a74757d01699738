//! Backup of a project to a file, and its restoring.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_keyring::{
    Backup, BackupError, BackupHeader, BackupInfo, Keyring, KeyringError, RecoveryWords, RestoreProgress,
};
use bulla_seal::ProjectId;
use bulla_store::{BackupCounts, RestoreCounts, RestoreOptions, Store, StoreBackupError, WalkEvent};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::pin::PinFile;
use crate::project::{Backend, clock, lock_folder};
use crate::{Error, IdentityFile, Project, Result, Settings, files};

/// Whose private keys open a backup.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum RestoreAs<'a> {
    /// This machine's.
    Machine,
    /// Those that the project's recovery words stand for.
    Recovery(&'a RecoveryWords),
}

/// How to make a backup. By default of the whole project, to a file that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupOptions {
    /// Whether a file that is there is replaced.
    pub replace: bool,
    /// Whether the entries of the store are left out.
    pub without_entries: bool,
}

/// What the making of a backup tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupEvent<'a> {
    /// Of the entries.
    Entries(WalkEvent<'a, BackupCounts>),
    /// How many documents of machines, trust log and keys were written, where there are no entries.
    Trust(u64),
}

/// What the restoring of a backup tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum RestoreEvent<'a> {
    /// How many bytes of the file were verified.
    Verified(u64),
    /// Of the entries.
    Entries(WalkEvent<'a, RestoreCounts>),
    /// Of machines, trust log and keys.
    Trust(RestoreProgress),
}

/// What became of restoring a backup.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restoration {
    /// What the backup says about itself.
    pub backup: BackupInfo,
    /// How many documents of machines, trust log and keys were written.
    pub written: u64,
    /// What became of the entries, if the backup has any.
    pub entries: Option<RestoreCounts>,
    /// Whether a restoring that was interrupted was completed.
    pub resumed: bool,
    /// Whether this machine has seen more of the trust log than the backup holds: it refuses the project until an authoriser accepts that
    /// ([`Project::accept_rollback`]).
    pub went_back: bool,
    /// What is wrong with single rows of keys and versions, and was when the backup was made.
    pub damaged: Vec<KeyringError>,
}

impl Project {
    /// Writes a backup of the project to a file, which appears whole or not at all: its machines, trust log and keys, and the entries of its
    /// store with all that belongs to them.
    ///
    /// # Errors
    /// [`Error::File`], also where there is such a file and it is not to be replaced; [`Error::Backup`]; and as other operations.
    ///
    /// # Security
    /// See [`Keyring::back_up`](crate::Keyring::back_up): any one machine of the project, or its recovery words, can open the backup.
    pub async fn back_up(
        &self,
        path: &Path,
        options: &BackupOptions,
        tell: &mut (dyn FnMut(BackupEvent<'_>) + Send),
    ) -> Result<BackupInfo> {
        let failed = |error| failed("write", path, error);
        if !options.replace && path.symlink_metadata().is_ok() {
            return Err(failed(BackupError::Io(io::ErrorKind::AlreadyExists.into())));
        }
        let begin = || NewFile::create(path).map(|file| BufWriter::with_capacity(BUFFER_LEN, file));
        let (file, info) = if options.without_entries {
            let tell = |documents| tell(BackupEvent::Trust(documents));
            self.keyring().back_up(begin, tell).await.map_err(failed)?
        } else {
            let out = begin().map_err(|error| failed(BackupError::Io(error)))?;
            let mut backup = self.keyring().begin_backup(out).await.map_err(failed)?;
            let copied = self.entries().back_up(&mut backup, &mut |event| tell(BackupEvent::Entries(event))).await;
            copied.map_err(|error| store_failed("write", path, error))?;
            backup.finish(self.keyring()).await.map_err(failed)?
        };
        let finished = file.into_inner().map_err(io::IntoInnerError::into_error);
        finished.and_then(|file| file.finish(options.replace)).map_err(|error| failed(BackupError::Io(error)))?;
        Ok(info)
    }

    /// Reads and verifies a backup of the project that the settings name, and restores nothing: to know that it is good.
    ///
    /// # Errors
    /// As [`Self::restore`], but for those of the backend.
    pub async fn read_backup(
        settings: &Settings,
        path: &Path,
        restore_as: RestoreAs<'_>,
        tell: &mut (dyn FnMut(RestoreEvent<'_>) + Send),
    ) -> Result<Backup> {
        let no_project = || Error::NoProject { file: settings.file().to_owned() };
        let project = settings.project().get().ok_or_else(no_project)?;
        let identity = match restore_as {
            RestoreAs::Machine => IdentityFile::of(settings)?.load()?,
            RestoreAs::Recovery(words) => Arc::new(words.identity()?),
        };
        let source = Told { source: open(path)?, read: 0, tell };
        Backup::read(source, identity, project, clock()).await.map_err(|error| failed("read", path, error))
    }

    /// Restores a backup of the project that the settings name into the backend that they name, which must hold no project. Its entries come
    /// first, and the project is there once everything is. A call that was interrupted is completed by the next one with the same file.
    ///
    /// # Errors
    /// [`Error::NoProject`] if the settings name none; [`Error::Backup`]; [`Error::File`]; and whatever the backend and the identity file say.
    ///
    /// # Security
    /// The settings say which project it must be. What was revoked since the backup was made is in force again; what was sealed since, under
    /// versions made since, does not open.
    pub async fn restore(
        settings: &Settings,
        path: &Path,
        restore_as: RestoreAs<'_>,
        options: &RestoreOptions,
        tell: &mut (dyn FnMut(RestoreEvent<'_>) + Send),
    ) -> Result<Restoration> {
        // All of it is verified before anything is made.
        let backup = Self::read_backup(settings, path, restore_as, tell).await?;
        let project = backup.info().project;
        // A database is made where there is none, and by one process at a time.
        let _lock = settings.backend().get().folder().map(lock_folder).transpose()?;
        let Backend { trust, entries, blobs, .. } = Backend::open(settings.backend().get(), true).await?;
        let failed = |error| failed("restore", path, error);
        let begun_before = backup.claim(&*trust).await.map_err(failed)?;
        let store = Store::new(Arc::clone(backup.keyring()), entries, blobs, clock());
        let entries = restore_entries(&backup, &store, path, options, tell).await?;
        let restored = backup.restore(&*trust, |made| tell(RestoreEvent::Trust(made))).await.map_err(failed)?;
        let info = backup.info().clone();
        let pin = match settings.identity().get() {
            Some(identity) => PinFile::beside(identity, project).load()?,
            None => project.into(),
        };
        let identity = Arc::clone(backup.keyring().identity());
        let went_back = match Keyring::open(trust, identity, pin, clock()).await {
            Ok(_) => false,
            Err(KeyringError::Rollback { .. }) => true,
            Err(error) => return Err(error.into()),
        };
        let written = restored.written;
        let damaged = backup.into_damaged();
        Ok(Restoration { backup: info, written, entries, resumed: begun_before, went_back, damaged })
    }

    /// Restores the entries of a backup into this project, which is one whose store was lost, or lost something: what is there stays, unless the
    /// options say otherwise. A call that was interrupted is completed by the next one with the same file.
    ///
    /// # Errors
    /// As [`Self::restore`].
    pub async fn restore_entries(
        &self,
        path: &Path,
        options: &RestoreOptions,
        tell: &mut (dyn FnMut(RestoreEvent<'_>) + Send),
    ) -> Result<(BackupInfo, Option<RestoreCounts>)> {
        let source = Told { source: open(path)?, read: 0, tell: &mut *tell };
        let identity = Arc::clone(self.keyring().identity());
        let project: ProjectId = self.id();
        let read = Backup::read(source, identity, project, clock()).await;
        let backup = read.map_err(|error| failed("read", path, error))?;
        let counts = restore_entries(&backup, self.entries(), path, options, tell).await?;
        Ok((backup.info().clone(), counts))
    }
}

/// Restores what a backup holds of a store, if it does.
async fn restore_entries(
    backup: &Backup,
    store: &Store,
    path: &Path,
    options: &RestoreOptions,
    tell: &mut (dyn FnMut(RestoreEvent<'_>) + Send),
) -> Result<Option<RestoreCounts>> {
    if backup.info().store.is_none() {
        return Ok(None);
    }
    let mut contents = backup.contents(open(path)?).map_err(|error| failed("read", path, error))?;
    let restored = store.restore(&mut contents, options, &mut |event| tell(RestoreEvent::Entries(event))).await;
    restored.map(Some).map_err(|error| store_failed("restore", path, error))
}

/// How much is read from a backup, or written to it, at once.
const BUFFER_LEN: usize = 256 * 1_024;

/// Tells how much was read.
struct Told<'a> {
    source: BufReader<File>,
    read: u64,
    tell: &'a mut (dyn FnMut(RestoreEvent<'_>) + Send),
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.read += read as u64;
        (self.tell)(RestoreEvent::Verified(self.read));
        Ok(read)
    }
}

/// Reads what a backup says about itself before it is opened: nothing of that has been verified.
///
/// # Errors
/// [`Error::File`], [`Error::Backup`].
pub fn read_backup_header(path: &Path) -> Result<BackupHeader> {
    BackupHeader::read(&mut open(path)?).map_err(|error| failed("read", path, error))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    let file = File::open(path).map_err(|error| failed("read", path, BackupError::Io(error)))?;
    Ok(BufReader::with_capacity(BUFFER_LEN, file))
}

/// Says which file it was.
fn failed(operation: &'static str, path: &Path, error: BackupError) -> Error {
    match error {
        BackupError::Io(source) => Error::File { operation, path: path.to_owned(), source },
        BackupError::Keyring(error) => error.into(),
        source => Error::Backup { path: path.to_owned(), source },
    }
}

fn store_failed(operation: &'static str, path: &Path, error: StoreBackupError) -> Error {
    match error {
        StoreBackupError::Backup(error) => failed(operation, path, error),
        StoreBackupError::Store(error) => error.into(),
    }
}

/// A file that is being written under a temporary name. Dropped before it is finished, it leaves nothing.
struct NewFile {
    file: File,
    path: PathBuf,
    temporary: Option<PathBuf>,
}

impl NewFile {
    fn create(path: &Path) -> io::Result<Self> {
        let temporary = files::temporary(path)?;
        // A backup is worth as much as the weakest identity that opens it.
        let file = OpenOptions::new().write(true).create_new(true).mode(files::PRIVATE).open(&temporary)?;
        Ok(Self { file, path: path.to_owned(), temporary: Some(temporary) })
    }

    /// Makes what was written durable, and gives the file its name.
    fn finish(mut self, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if let Some(temporary) = &self.temporary {
            if replace {
                fs::rename(temporary, &self.path)?;
            } else {
                rename_new(temporary, &self.path)?;
            }
        }
        self.temporary = None;
        File::open(files::folder(&self.path))?.sync_all()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Whoever dropped it reports why.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Gives a file a name that nothing bears yet.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know the flag. A link cannot replace a name either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}
