//! A file that gets its name once it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use bulla_seal::fill_random;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Attributes, Folder};

/// What the names of files begin with that were never completed. Only where the file system has no files without names, or an existing file
/// is replaced, does one bear such a name.
const LEFTOVER: &str = ".bulla-part.";

/// A new file in a folder. Dropped before it has its name, it leaves nothing.
pub(crate) struct Fresh {
    file: File,
    folder: Arc<Folder>,
    /// The temporary name that it bears.
    part: Option<OsString>,
}

impl Fresh {
    /// Makes a file for its owner alone.
    pub(crate) fn create(folder: &Arc<Folder>) -> io::Result<Self> {
        if let Ok(file) = open_nameless(folder) {
            return Ok(Self { file, folder: folder.clone(), part: None });
        }
        let part = part_name()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = rustix::fs::openat(&folder.file, &part, flags, Mode::RUSR | Mode::WUSR)?.into();
        let fresh = Self { file, folder: folder.clone(), part: Some(part) };
        // A locked one is taken for nobody's leftover.
        fresh.file.lock()?;
        Ok(fresh)
    }

    /// Gives the file its attributes, and makes what was written durable with them.
    pub(crate) fn settle(&self, attributes: Attributes) -> io::Result<()> {
        attributes.give(&self.file)?;
        self.file.sync_all()
    }

    /// Gives the file its name, once it is settled. Another one of that name stays, unless it is to be replaced.
    pub(crate) fn name(mut self, name: &OsStr, replace: bool) -> io::Result<()> {
        let folder = &self.folder.file;
        match self.part.take() {
            None if !replace => Ok(self.link(name)?),
            None => {
                let part = part_name()?;
                self.file.lock()?;
                self.link(&part)?;
                let part = self.part.insert(part);
                rustix::fs::renameat(folder, &*part, folder, name)?;
                self.part = None;
                Ok(())
            }
            Some(part) => {
                let part = self.part.insert(part);
                if replace {
                    rustix::fs::renameat(folder, &*part, folder, name)?;
                } else {
                    match rustix::fs::renameat_with(folder, &*part, folder, name, RenameFlags::NOREPLACE) {
                        // The file system does not know the flag. A link cannot replace a name either.
                        Err(Errno::INVAL | Errno::NOSYS) => {
                            rustix::fs::linkat(folder, &*part, folder, name, AtFlags::empty())?;
                            rustix::fs::unlinkat(folder, &*part, AtFlags::empty())?;
                        }
                        renamed => renamed?,
                    }
                }
                self.part = None;
                Ok(())
            }
        }
    }

    fn link(&self, name: &OsStr) -> rustix::io::Result<()> {
        let nameless = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, nameless, &self.folder.file, name, AtFlags::SYMLINK_FOLLOW)
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some(part) = &self.part {
            // Whoever dropped it reports why.
            let _ = self.folder.remove(part);
        }
    }
}

/// Says whether this is the name of a file that was never completed.
pub(crate) fn is_leftover(name: &OsStr) -> bool {
    name.as_bytes()
        .strip_prefix(LEFTOVER.as_bytes())
        .is_some_and(|rest| rest.len() == 16 && rest.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// Removes what a killed process left, unless it is at work still.
pub(crate) fn clear_leftover(folder: &Folder, name: &OsStr) -> io::Result<()> {
    let file = folder.open_file(name)?;
    if file.metadata()?.is_file() && file.try_lock().is_ok() {
        folder.remove(name)?;
    }
    Ok(())
}

fn part_name() -> io::Result<OsString> {
    let mut suffix = [0; 8];
    fill_random(&mut suffix).map_err(io::Error::other)?;
    Ok(format!("{LEFTOVER}{:016x}", u64::from_be_bytes(suffix)).into())
}

#[cfg(target_os = "linux")]
fn open_nameless(folder: &Folder) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&folder.file, ".", flags, Mode::RUSR | Mode::WUSR)?.into())
}

#[cfg(not(target_os = "linux"))]
fn open_nameless(_: &Folder) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn attributes(folder: &Folder) -> Attributes {
        Attributes { mode: 0o640, ..Attributes::of(&folder.metadata().unwrap()) }
    }

    fn finish(fresh: Fresh, name: &str, replace: bool) -> io::Result<()> {
        fresh.settle(attributes(&fresh.folder))?;
        fresh.name(name.as_ref(), replace)
    }

    /// A file that bears a temporary name, as where the file system knows no other way.
    fn named(folder: &Arc<Folder>) -> Fresh {
        let part = part_name().unwrap();
        let file = File::create_new(folder.shown(&part)).unwrap();
        file.lock().unwrap();
        Fresh { file, folder: folder.clone(), part: Some(part) }
    }

    #[test]
    fn a_file_appears_when_it_is_finished_and_replaces_only_on_demand() {
        let place = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(place.path()).unwrap());
        let makers: [fn(&Arc<Folder>) -> Fresh; 2] = [|folder| Fresh::create(folder).unwrap(), named];
        for make in makers {
            let mut fresh = make(&folder);
            fresh.write_all(b"first").unwrap();
            assert!(!place.path().join("file").exists());
            finish(fresh, "file", false).unwrap();

            let mut fresh = make(&folder);
            fresh.write_all(b"second").unwrap();
            let refused = finish(fresh, "file", false).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(place.path().join("file")).unwrap(), b"first");

            let mut fresh = make(&folder);
            fresh.write_all(b"third").unwrap();
            finish(fresh, "file", true).unwrap();
            assert_eq!(fs::read(place.path().join("file")).unwrap(), b"third");

            drop(make(&folder));
            assert_eq!(folder.names().unwrap(), ["file"], "nothing else is left");
            fs::remove_file(place.path().join("file")).unwrap();
        }
    }

    #[test]
    fn leftovers_are_cleared_unless_somebody_is_at_work() {
        let place = tempfile::tempdir().unwrap();
        let folder = Arc::new(Folder::open(place.path()).unwrap());
        let fresh = named(&folder);
        let name = fresh.part.clone().unwrap();
        assert!(is_leftover(&name));
        clear_leftover(&folder, &name).unwrap();
        assert_eq!(folder.names().unwrap(), std::slice::from_ref(&name));
        // As a kill leaves it.
        fresh.file.unlock().unwrap();
        clear_leftover(&folder, &name).unwrap();
        assert!(folder.names().unwrap().is_empty());
        for other in [".bulla-part.", ".bulla-part.0123456789abcdeF", ".bulla-part.0123456789abcdef0", "file"] {
            assert!(!is_leftover(other.as_ref()), "{other}");
        }
    }
}
