use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_backend::{Event, NoRecorder, Recorder};
use bulla_seal::fill_random;
use data_encoding::HEXLOWER;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::file::Form;
use super::{FlecheError, FlecheFault, FlecheFile, FlecheKeys, FlecheKind, FlecheName};

/// Most that is read of one file, in bytes, and most that it may inflate to, unless
/// [`FlecheDirectory::with_max_len`] says otherwise.
pub const MAX_FLECHE_LEN: u64 = 512 * 1_024 * 1_024;

/// A folder in which fleche keeps values, or records of calls: a file each.
///
/// Everything goes through the folder as it was opened, and no file is reached through a link. What is refused stays where it is,
/// and is told to the recorder: one reader with a wrong key must not empty a cache that others share.
///
/// # Security
/// A file is bound to nothing: signed, and moved to the name of another, its signature still verifies; so does an older one that
/// was put back. [`FlecheDirectory::import`] binds to names for good.
///
/// # Examples
/// ```
/// use bulla_store::{FlecheDirectory, FlecheKeys};
///
/// # let folder = tempfile::tempdir()?;
/// # let root = folder.path();
/// let keys = "2a".repeat(32).parse::<FlecheKeys>()?;
/// let directory = FlecheDirectory::open(root, Some(keys))?;
/// // What `pickle.dumps(1)` returns, under the name that fleche has for it.
/// let name = "da217d50752f3371d9f8b62a3e72409592bd34b74e14fdac43e2b137bd59f21f".parse()?;
/// directory.save(&name, b"\x80\x04K\x01.", false)?;
/// assert_eq!(directory.load(&name)?.payload, b"\x80\x04K\x01.");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FlecheDirectory {
    root: PathBuf,
    folder: OwnedFd,
    pub(super) keys: Option<FlecheKeys>,
    max_len: u64,
    recorder: Arc<dyn Recorder>,
}

/// What lies in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlecheListing {
    /// The names of files, in ascending order. Some may be no regular files.
    pub names: Vec<FlecheName>,
    /// Names that fleche would list, and that are no digests, in ascending order.
    pub others: Vec<OsString>,
}

/// What can be said of a file without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlecheStat {
    /// The length of its payload, in bytes.
    pub len: u64,
    /// What its payload holds, as far as the first bytes say.
    pub kind: FlecheKind,
    /// Whether there is a signature; it was not verified.
    pub signed: bool,
    /// Whether it is gzipped.
    pub gzipped: bool,
}

impl FlecheDirectory {
    /// Opens a folder. With keys, only what one of them signed is loaded, and the first signs what is saved; without, nothing is
    /// verified and nothing signed, as in fleche.
    ///
    /// # Errors
    /// Fails if there is no such folder, or it may not be read.
    pub fn open(root: impl Into<PathBuf>, keys: Option<FlecheKeys>) -> Result<Self, FlecheError> {
        let root = root.into();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat(CWD, &root, flags, Mode::empty()) {
            Ok(folder) => Ok(Self { root, folder, keys, max_len: MAX_FLECHE_LEN, recorder: Arc::new(NoRecorder) }),
            Err(Errno::NOENT) => Err(FlecheError::NotFound(root)),
            Err(error) => Err(failed("open", &root, error)),
        }
    }

    /// Opens a folder as [`FlecheDirectory::open`] does, and makes it first if it is missing.
    ///
    /// # Errors
    /// Fails if it can be neither opened nor made.
    pub fn create(root: impl Into<PathBuf>, keys: Option<FlecheKeys>) -> Result<Self, FlecheError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|error| failed("make", &root, error))?;
        Self::open(root, keys)
    }

    /// Reads larger files, or only smaller ones, than of [`MAX_FLECHE_LEN`] bytes; stored and inflated.
    #[must_use]
    pub fn with_max_len(mut self, max_len: u64) -> Self {
        self.max_len = max_len;
        self
    }

    /// Tells somebody of the files that are refused.
    #[must_use]
    pub fn with_recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = recorder;
        self
    }

    /// Returns the folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where a file lies.
    #[must_use]
    pub fn path(&self, name: &FlecheName) -> PathBuf {
        self.root.join(name.to_string())
    }

    /// Lists the folder. What fleche skips, names that begin with `.` or end with `.lock`, is skipped.
    ///
    /// # Errors
    /// Fails if the folder cannot be read.
    pub fn list(&self) -> Result<FlecheListing, FlecheError> {
        let failed = |error| failed("list", &self.root, error);
        let mut listing = FlecheListing::default();
        for entry in Dir::read_from(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(b".") || name.ends_with(b".lock") {
                continue;
            }
            match std::str::from_utf8(name).ok().and_then(|text| text.parse().ok()) {
                Some(name) => listing.names.push(name),
                None => listing.others.push(OsString::from_vec(name.to_vec())),
            }
        }
        listing.names.sort_unstable();
        listing.others.sort_unstable();
        Ok(listing)
    }

    /// Looks at a file, without a key. A gzip stream is inflated for that, and nothing of it kept.
    ///
    /// # Errors
    /// As [`FlecheDirectory::load`], less what concerns signatures.
    pub fn stat(&self, name: &FlecheName) -> Result<FlecheStat, FlecheError> {
        let content = self.read(name)?;
        let Form { payload_len: len, kind, signed, gzipped, .. } =
            Form::of(&content, None, self.max_len).map_err(|fault| self.refused(name, fault))?;
        Ok(FlecheStat { len, kind, signed, gzipped })
    }

    /// Loads a payload. Where there are keys, nothing is returned unless one of them signed it.
    ///
    /// # Errors
    /// [`FlecheError::NotFound`]; [`FlecheError::NotAFile`] where something else lies there; [`FlecheError::Refused`] with the
    /// reason. The file stays where it is.
    ///
    /// # Security
    /// That the payload is the one of this name is not in the signature.
    pub fn load(&self, name: &FlecheName) -> Result<FlecheFile, FlecheError> {
        let content = self.read(name)?;
        let opened = FlecheFile::open(content, self.keys.as_ref(), self.max_len);
        opened.map_err(|fault| self.report(self.refused(name, fault)))
    }

    /// Saves a payload under the name that fleche has for it, replacing what is there; once this returned, it survives a power cut.
    ///
    /// # Errors
    /// [`FlecheFault::NotAPickle`] if fleche would not read the same again; [`FlecheFault::ShortKey`]; and whatever the system says.
    pub fn save(&self, name: &FlecheName, payload: &[u8], gzip: bool) -> Result<(), FlecheError> {
        let content =
            FlecheFile::encode(payload, self.keys.as_ref(), gzip).map_err(|fault| self.refused(name, fault))?;
        if content.len() as u64 > self.max_len {
            return Err(self.refused(name, FlecheFault::TooLarge(self.max_len)));
        }
        let mut suffix = [0; 16];
        fill_random(&mut suffix).map_err(|error| failed("write", &self.path(name), io::Error::other(error)))?;
        // As fleche names its own, so that it skips what a kill leaves behind.
        let temporary = format!(".{name}.{}.tmp", HEXLOWER.encode(&suffix));
        let written = self.write(&temporary, name, &content);
        if written.is_err() {
            // It may never have come into being.
            let _ = unlinkat(&self.folder, &temporary, AtFlags::empty());
        }
        written.map_err(|error| failed("write", &self.path(name), error))
    }

    fn write(&self, temporary: &str, name: &FlecheName, content: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // The umask takes from this mode what is not to be shared, as it does for fleche.
        let mut file = File::from(openat(&self.folder, temporary, flags, Mode::from_raw_mode(0o666))?);
        file.write_all(content)?;
        file.sync_all()?;
        renameat(&self.folder, temporary, &self.folder, name.to_string())?;
        Ok(fsync(&self.folder)?)
    }

    /// Reads a regular file of a bounded length, whole.
    fn read(&self, name: &FlecheName) -> Result<Vec<u8>, FlecheError> {
        let path = self.path(name);
        // Neither through a link, nor waiting for the other end of a pipe.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.folder, name.to_string(), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Err(FlecheError::NotFound(path)),
            // A link; a socket.
            Err(Errno::LOOP | Errno::NXIO) => return Err(self.report(FlecheError::NotAFile(path))),
            Err(error) => return Err(failed("read", &path, error)),
        };
        let stat = fstat(&file).map_err(|error| failed("read", &path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.report(FlecheError::NotAFile(path)));
        }
        let len = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        if len > self.max_len {
            return Err(self.refused(name, FlecheFault::TooLarge(self.max_len)));
        }
        let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or_default() + 1);
        let read = File::from(file).take(self.max_len.saturating_add(1)).read_to_end(&mut content);
        read.map_err(|error| failed("read", &path, error))?;
        Ok(content)
    }

    pub(super) fn refused(&self, name: &FlecheName, fault: FlecheFault) -> FlecheError {
        FlecheError::Refused { path: self.path(name), fault }
    }

    /// Tells the recorder of what no honest writer leaves in the folder.
    pub(super) fn report(&self, error: FlecheError) -> FlecheError {
        let path = match &error {
            FlecheError::Refused { path, fault } if fault.is_violation() => path,
            FlecheError::WrongDigest { path, .. } | FlecheError::NotAFile(path) => path,
            _ => return error,
        };
        let (code, subject) = (error.code(), path.display());
        self.recorder.record(&Event::SecurityViolation { code, subject: &subject, detail: &error });
        error
    }
}

impl fmt::Debug for FlecheDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlecheDirectory").field("root", &self.root).field("keys", &self.keys).finish_non_exhaustive()
    }
}

fn failed(operation: &'static str, path: &Path, error: impl Into<io::Error>) -> FlecheError {
    FlecheError::Io { operation, path: path.to_owned(), source: error.into() }
}
