//! Backup of a project's trust database to a file, and its restoring.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_keyring::{
    Backup, BackupError, BackupHeader, BackupInfo, Keyring, KeyringError, RecoveryWords, RestoreProgress,
};
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

/// What became of restoring a backup.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restoration {
    /// What the backup says about itself.
    pub backup: BackupInfo,
    /// How many documents were written.
    pub written: u64,
    /// Whether a restoring that was interrupted was completed.
    pub resumed: bool,
    /// Whether this machine has seen more of the trust log than the backup holds: it refuses the project until an authoriser accepts that
    /// ([`Project::accept_rollback`]).
    pub went_back: bool,
    /// What is wrong with single rows of keys and versions, and was when the backup was made.
    pub damaged: Vec<KeyringError>,
}

impl Project {
    /// Writes a backup of the project's machines, trust log and keys to a file, which appears whole or not at all; entries are not part of it.
    /// `tell` hears how many documents were written.
    ///
    /// # Errors
    /// [`Error::File`], also where there is such a file and `replace` is not set; [`Error::Backup`]; and as other operations.
    ///
    /// # Security
    /// See [`Keyring::back_up`](crate::Keyring::back_up): any one machine of the project, or its recovery words, can open the backup.
    pub async fn back_up(&self, path: &Path, replace: bool, tell: impl FnMut(u64)) -> Result<BackupInfo> {
        let failed = |error| failed("write", path, error);
        if !replace && path.symlink_metadata().is_ok() {
            return Err(failed(BackupError::Io(io::ErrorKind::AlreadyExists.into())));
        }
        let begin = || NewFile::create(path);
        let (file, info) = self.keyring().back_up(begin, tell).await.map_err(failed)?;
        file.finish(replace).map_err(|error| failed(BackupError::Io(error)))?;
        Ok(info)
    }

    /// Reads and verifies a backup of the project that the settings name, and restores nothing: to know that it is good.
    ///
    /// # Errors
    /// As [`Self::restore`], but for those of the backend.
    pub async fn read_backup(settings: &Settings, path: &Path, restore_as: RestoreAs<'_>) -> Result<Backup> {
        let no_project = || Error::NoProject { file: settings.file().to_owned() };
        let project = settings.project().get().ok_or_else(no_project)?;
        let identity = match restore_as {
            RestoreAs::Machine => IdentityFile::of(settings)?.load()?,
            RestoreAs::Recovery(words) => Arc::new(words.identity()?),
        };
        let read = Backup::read(open(path)?, identity, project, clock()).await;
        read.map_err(|error| failed("read", path, error))
    }

    /// Restores a backup of the project that the settings name into the backend that they name, which must be empty. A call that was
    /// interrupted is completed by the next one with the same file. `tell` hears how far it is.
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
        tell: impl FnMut(RestoreProgress),
    ) -> Result<Restoration> {
        // All of it is verified before anything is made.
        let backup = Self::read_backup(settings, path, restore_as).await?;
        let project = backup.info().project;
        // A database is made where there is none, and by one process at a time.
        let _lock = settings.backend().get().folder().map(lock_folder).transpose()?;
        let backend = Backend::open(settings.backend().get(), true).await?;
        let restored = backup.restore(&*backend.trust, tell).await.map_err(|error| failed("restore", path, error))?;
        let info = backup.info().clone();
        let pin = match settings.identity().get() {
            Some(identity) => PinFile::beside(identity, project).load()?,
            None => project.into(),
        };
        let identity = Arc::clone(backup.keyring().identity());
        let went_back = match Keyring::open(backend.trust, identity, pin, clock()).await {
            Ok(_) => false,
            Err(KeyringError::Rollback { .. }) => true,
            Err(error) => return Err(error.into()),
        };
        let (written, resumed) = (restored.written, restored.resumed);
        Ok(Restoration { backup: info, written, resumed, went_back, damaged: backup.into_damaged() })
    }
}

/// Reads what a backup says about itself before it is opened: nothing of that has been verified.
///
/// # Errors
/// [`Error::File`], [`Error::Backup`].
pub fn read_backup_header(path: &Path) -> Result<BackupHeader> {
    BackupHeader::read(&mut open(path)?).map_err(|error| failed("read", path, error))
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| failed("read", path, BackupError::Io(error)))
}

/// Says which file it was.
fn failed(operation: &'static str, path: &Path, error: BackupError) -> Error {
    match error {
        BackupError::Io(source) => Error::File { operation, path: path.to_owned(), source },
        BackupError::Keyring(error) => error.into(),
        source => Error::Backup { path: path.to_owned(), source },
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
