//! Folders and what lies in them, reached from open folder to open folder.
//!
//! Nothing here goes by a path of more than one name, and no name that is a symbolic link is followed: what others move or link while
//! the work goes on cannot lead out of the tree.

mod fresh;
mod time;

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(crate) use fresh::{Fresh, clear_leftover, is_leftover};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT};
pub(crate) use time::FolderTime;

/// The permission bits that are kept. Those that lend somebody's rights to whoever runs a file, or that are about a folder's group, are not.
const PERMISSIONS: u32 = 0o777;

/// Which file or folder it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    device: u64,
    inode: u64,
}

impl Id {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A moment as file systems keep it: seconds since 1970-01-01 00:00 UTC, and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    secs: i64,
    nanos: i64,
}

impl Moment {
    /// Says whether this is `kept`, or what a file system with coarser moments makes of it.
    pub(crate) fn is_kept_as(self, kept: Self) -> bool {
        /// 100 ns (NTFS), 1 µs, 10 ms (exFAT), 1 s and 2 s (FAT), in nanoseconds.
        const UNITS: [i128; 6] = [1, 100, 1_000, 10_000_000, 1_000_000_000, 2_000_000_000];
        let nanos = |moment: Self| i128::from(moment.secs) * 1_000_000_000 + i128::from(moment.nanos);
        UNITS.iter().any(|unit| nanos(self).div_euclid(*unit) * unit == nanos(kept))
    }
}

/// What is kept of a file or folder besides its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) modified: Moment,
}

impl Attributes {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = Moment { secs: metadata.mtime(), nanos: metadata.mtime_nsec() };
        Self { mode: metadata.mode() & PERMISSIONS, modified }
    }

    pub(crate) fn give(self, file: &File) -> io::Result<()> {
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))?;
        give_time(file, self.modified)
    }
}

fn give_time(file: &File, modified: Moment) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: modified.secs, tv_nsec: modified.nanos },
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

/// By what is seen that a file was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    id: Id,
    len: u64,
    modified: Moment,
    /// Changes with whatever else does, and cannot be set.
    changed: Moment,
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            id: Id::of(metadata),
            len: metadata.len(),
            modified: Attributes::of(metadata).modified,
            changed: Moment { secs: metadata.ctime(), nanos: metadata.ctime_nsec() },
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    /// A device, a named pipe, a socket.
    Special,
}

/// An open folder.
#[derive(Debug)]
pub(crate) struct Folder {
    file: File,
    /// As people would write it.
    path: PathBuf,
    /// As seen from the root of the tree; empty for the root.
    relative: Vec<u8>,
}

impl Folder {
    /// Opens the root of a tree.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?.into();
        Ok(Self { file, path: path.to_owned(), relative: Vec::new() })
    }

    /// Opens a folder in this one.
    pub(crate) fn enter(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.file, name, flags, Mode::empty())?.into();
        Ok(Self { file, path: self.path.join(name), relative: self.relative(name) })
    }

    /// Opens a folder in this one, which is made if it is not there: for its owner alone, until it is given its mode.
    pub(crate) fn enter_or_make(&self, name: &OsStr) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.file, name, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder = self.enter(name)?;
        let mode = folder.metadata()?.mode() & PERMISSIONS;
        if mode & 0o700 != 0o700 {
            // Left so by an earlier run. Where this is not allowed, what is done there next says so.
            let _ = rustix::fs::fchmod(&folder.file, Mode::from_raw_mode(mode | 0o700));
        }
        Ok(folder)
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    pub(crate) fn give(&self, attributes: Attributes) -> io::Result<()> {
        attributes.give(&self.file)
    }

    /// Returns the names in the folder, in order.
    pub(crate) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.file)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name.to_vec()));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn kind(&self, name: &OsStr) -> io::Result<Kind> {
        let stat = rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Folder,
            FileType::Symlink => Kind::Link,
            _ => Kind::Special,
        })
    }

    /// Opens a file to read, without waiting for the other end of a pipe.
    pub(crate) fn open_file(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.file, name, flags, Mode::empty())?.into())
    }

    pub(crate) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.file, name, AtFlags::empty())?)
    }

    /// Makes durable which names there are.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Keeps other processes from locking this folder until the guard is dropped.
    pub(crate) fn lock(&self) -> io::Result<FolderLock<'_>> {
        self.file.lock()?;
        Ok(FolderLock(&self.file))
    }

    /// Returns the path of a name, for people.
    pub(crate) fn shown(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a name as seen from the root, with `/` between names.
    pub(crate) fn relative(&self, name: &OsStr) -> Vec<u8> {
        if self.relative.is_empty() {
            return name.as_bytes().to_vec();
        }
        [&self.relative, b"/".as_slice(), name.as_bytes()].concat()
    }

    /// Returns the path of the folder itself as seen from the root.
    pub(crate) fn place(&self) -> &[u8] {
        &self.relative
    }
}

/// A folder that is locked until this is dropped.
pub(crate) struct FolderLock<'a>(&'a File);

impl Drop for FolderLock<'_> {
    fn drop(&mut self) {
        // It ends with the process at the latest.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_have_been_cut_by_the_file_system() {
        let at = |secs, nanos| Moment { secs, nanos };
        for kept in [at(7, 123_456_789), at(7, 123_456_700), at(7, 123_456_000), at(7, 120_000_000), at(7, 0), at(6, 0)]
        {
            assert!(at(7, 123_456_789).is_kept_as(kept), "{kept:?}");
        }
        for other in [at(7, 123_456_788), at(7, 123_456_790), at(7, 100_000_000), at(8, 0), at(5, 0)] {
            assert!(!at(7, 123_456_789).is_kept_as(other), "{other:?}");
        }
        assert!(at(-1, 5).is_kept_as(at(-2, 0)));
        assert!(!at(7, 0).is_kept_as(at(7, 1)));
    }

    #[test]
    fn nothing_is_reached_through_a_link() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("file"), "x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("folder")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("file"), folder.path().join("file")).unwrap();
        let root = Folder::open(folder.path()).unwrap();
        assert_eq!(root.names().unwrap(), ["file", "folder"]);
        assert_eq!(root.kind("folder".as_ref()).unwrap(), Kind::Link);
        assert!(root.enter("folder".as_ref()).is_err());
        assert!(root.enter_or_make("folder".as_ref()).is_err());
        assert!(root.open_file("file".as_ref()).is_err());
    }
}
