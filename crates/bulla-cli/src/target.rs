//! Where a command writes to: a new file, which is there whole or not at all, or standard output.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, StdoutLock, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bulla_seal::fill_random;
#[cfg(target_os = "linux")]
use rustix::fs::OFlags;
use rustix::fs::{AtFlags, CWD, RenameFlags, linkat, renameat_with};

use crate::failure::{Failure, Result};
use crate::input::DASH;
use crate::output::stdout_failure;

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// The owner alone: what was sealed and is now in the clear.
    Secret,
    /// Whoever the umask lets: what is sealed.
    Sealed,
}

/// A file that is being written, or standard output.
pub(crate) enum Target {
    /// Standard output.
    Stdout(StdoutLock<'static>),
    /// Something that is there and is no regular file: a device, a named pipe.
    Device(File, PathBuf),
    /// A file that is not there yet under its name.
    New(NewFile),
}

impl Target {
    /// Prepares to write to `path`; `-` is standard output. An existing file is replaced only if `force` says so.
    pub(crate) fn create(path: &Path, force: bool, privacy: Privacy) -> Result<Self> {
        if path.as_os_str() == DASH {
            return Ok(Self::Stdout(io::stdout().lock()));
        }
        let failed = |error: io::Error| Failure::file("write", path, &error);
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => {
                return Ok(Self::Device(OpenOptions::new().write(true).open(path).map_err(failed)?, path.to_owned()));
            }
            _ => {}
        }
        // Found out early, before the work; decided at its end, when the file gets its name.
        if !force && path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        NewFile::create(path, force, privacy).map(Self::New).map_err(failed)
    }

    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }

    /// Makes what was written durable, and gives the file its name.
    pub(crate) fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut stdout) => stdout.flush().map_err(|error| stdout_failure(&error)),
            Self::Device(mut file, path) => file.flush().map_err(|error| Failure::file("write", &path, &error)),
            Self::New(file) => file.finish(),
        }
    }

    /// Describes why writing failed.
    pub(crate) fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Self::Stdout(_) => stdout_failure(error),
            Self::Device(_, path) => Failure::file("write", path, error),
            Self::New(file) => Failure::file("write", &file.path, error),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::Device(file, _) => file.write(bytes),
            Self::New(new) => new.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::Device(file, _) => file.flush(),
            Self::New(new) => new.file.flush(),
        }
    }
}

/// A file that has no name yet, or where the file system must have one, a temporary name beside the one it will get. Dropped before it is
/// finished, it leaves nothing; without a name, not even after a kill.
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    temporary: PathBuf,
    bears_temporary: bool,
    force: bool,
}

impl NewFile {
    fn create(path: &Path, force: bool, privacy: Privacy) -> io::Result<Self> {
        let mut suffix = [0; 8];
        fill_random(&mut suffix).map_err(io::Error::other)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut temporary = OsString::from(".");
        // Cut, so that a name of the greatest length still has a temporary one.
        temporary.push(match name.len() {
            ..=200 => name,
            _ => "bulla".as_ref(),
        });
        temporary.push(format!(".{:016x}", u64::from_be_bytes(suffix)));
        let temporary = path.with_file_name(temporary);
        let mode = if privacy == Privacy::Secret { 0o600 } else { 0o666 };
        let (file, bears_temporary) = match open_nameless(folder(path), mode) {
            Ok(file) => (file, false),
            Err(_) => (OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?, true),
        };
        Ok(Self { file, path: path.to_owned(), temporary, bears_temporary, force })
    }

    fn finish(mut self) -> Result<()> {
        self.give_name().map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(&self.path),
            _ => Failure::file("write", &self.path, &error),
        })
    }

    fn give_name(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.bears_temporary {
            let nameless = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            linkat(CWD, nameless, CWD, &self.temporary, AtFlags::SYMLINK_FOLLOW)?;
            self.bears_temporary = true;
        }
        if self.force {
            fs::rename(&self.temporary, &self.path)?;
        } else {
            rename_new(&self.temporary, &self.path)?;
        }
        self.bears_temporary = false;
        File::open(folder(&self.path))?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.bears_temporary {
            // Whoever dropped it reports why.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Opens a file without a name in a folder.
#[cfg(target_os = "linux")]
fn open_nameless(folder: &Path, mode: u32) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(folder, flags, rustix::fs::Mode::from_raw_mode(mode))?.into())
}

#[cfg(not(target_os = "linux"))]
fn open_nameless(_: &Path, _: u32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::file("write", path, &io::ErrorKind::AlreadyExists.into()).with_hint("`--force` replaces it")
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
