//! The file layer that every embedded driver stands on: what a disk can do, and the real one.
//!
//! Drivers reach files through [`Disk`] alone, so that the same driver runs on the machine's disk and, in tests, on a simulated
//! one that fails, fills up, or loses power at any chosen operation. The trait is small on purpose: it offers what drivers
//! need, and promises no more than POSIX does. In particular
//!
//! - what was written to a file is safe only after [`DiskFile::sync`];
//! - that a file exists, or bears its name, is safe only after [`Disk::sync_folder`] of the folder it lies in.

use std::{
    ffi::OsString,
    fmt, fs,
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Files and folders.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens a file. One that is created is readable and writable by its owner only (mode 0600).
    ///
    /// # Errors
    /// `NotFound` and `AlreadyExists` according to `mode`; else whatever the system reports.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Describes what lies at `path`, or returns `None` where nothing does.
    ///
    /// # Errors
    /// Fails if the system cannot tell.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// Gives a file another name; one that bears it already is replaced, in one step.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name that nothing bears yet.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; else whatever the system reports.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` if there is none; else whatever the system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates one folder, for its owner only (mode 0700).
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken; else whatever the system reports.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Returns the names of what a folder holds, in no order.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder; else whatever the system reports.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Makes the names in a folder durable: files and folders created, renamed and removed.
    ///
    /// # Errors
    /// Whatever the system reports; the names may then be lost although they are seen.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Says whether anything lies at `path`.
    ///
    /// # Errors
    /// Fails if the system cannot tell.
    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.stat(path)?.is_some())
    }

    /// Creates a folder and those above it that are missing, and makes them durable. One that is there already is left as it is.
    ///
    /// # Errors
    /// `NotADirectory` if a file is in the way; else whatever the system reports.
    fn create_folders(&self, path: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        for folder in path.ancestors().filter(|folder| !folder.as_os_str().is_empty()) {
            match self.stat(folder)? {
                Some(Stat { is_folder: true, .. }) => {
                    // Whoever created it may have been killed before it was durable. Each level is made durable before the
                    // next is created, so there can be only this one.
                    match self.sync_folder(parent(folder)) {
                        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                        synced => synced?,
                    }
                    break;
                }
                Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
                None => missing.push(folder),
            }
        }
        for folder in missing.into_iter().rev() {
            match self.create_folder(folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => created?,
            }
            self.sync_folder(parent(folder))?;
        }
        Ok(())
    }
}

/// An open file. Closed, and its lock given up, when it is dropped.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Fills `buffer` from `offset` on, and returns how many bytes there were: fewer than `buffer` holds only at the end of the file.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; a gap behind the end of the file is filled with zeros.
    ///
    /// # Errors
    /// Whatever the system reports; some of the bytes may then be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns the length in bytes.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn len(&self) -> io::Result<u64>;

    /// Says whether there are no bytes at all.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the contents and the length durable.
    ///
    /// # Errors
    /// Whatever the system reports. What was written is then lost or not, and a second try that succeeds proves nothing: the
    /// system may have given up on the bytes while it still shows them.
    fn sync(&self) -> io::Result<()>;

    /// Makes all files and names of the file system durable on which this file lies, those written through other handles too.
    ///
    /// An error that occurred earlier is reported to the first caller only, and only for writes since this handle was opened.
    ///
    /// # Errors
    /// `Unsupported` where the system has no such call; else whatever it reports.
    fn sync_file_system(&self) -> io::Result<()>;

    /// Waits until no other handle, of any process, holds the lock of this file, and takes it. Released by [`Self::unlock`], by
    /// dropping the handle, and by the end of the process.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn lock(&self) -> io::Result<()>;

    /// Takes the lock if nobody holds it; says whether it did.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn try_lock(&self) -> io::Result<bool>;

    /// Gives up the lock.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn unlock(&self) -> io::Result<()>;

    /// Describes the open file, whatever name it bears by now.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn stat(&self) -> io::Result<Stat>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; created if it does not exist.
    Create,
    /// For reading and writing; it must not exist.
    CreateNew,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Length in bytes; of no meaning for a folder.
    pub len: u64,
    /// Which file it is, and when it was last written to.
    pub identity: FileIdentity,
}

/// Tells one state of one file from others. As long as a file is held open no other file has the same identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// The file system.
    pub device: u64,
    /// The file within it.
    pub inode: u64,
    /// The last change of its contents, in nanoseconds since 1970, as finely as the system keeps it.
    pub modified: i128,
}

/// Returns the folder that `path` lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::Create => options.write(true).create(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Stat::from(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // The file system does not know the flag. A link cannot replace a name either; if we are killed between the two
            // steps the file bears both names, and the first is a leftover like any other.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                fs::hard_link(from, to)?;
                fs::remove_file(from)
            }
            renamed => Ok(renamed?),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn sync_file_system(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lock(&self) -> io::Result<()> {
        self.0.lock()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(Stat::from(&self.0.metadata()?))
    }
}

impl From<&fs::Metadata> for Stat {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            is_folder: metadata.is_dir(),
            len: metadata.len(),
            identity: FileIdentity {
                device: metadata.dev(),
                inode: metadata.ino(),
                modified: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
            },
        }
    }
}
