//! The identity as a file: created once, for its owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bulla_seal::{KeyVersionId, SealError};
use rustix::fs::OFlags;
#[cfg(target_os = "linux")]
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};
use zeroize::Zeroizing;

use super::{Identity, MAX_IDENTITY_LEN, ParseIdentityError};

const OWNER_ONLY: u32 = 0o600;
const ROOT: u32 = 0;

/// An identity file could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file is there already; an identity is never overwritten.
    #[error("`{}` exists already; an identity is never overwritten", .0.display())]
    Exists(PathBuf),
    /// There is no such file.
    #[error("there is no identity file `{}`", .0.display())]
    NotFound(PathBuf),
    /// Others could read or change the file.
    #[error(
        "`{}` has mode {mode:04o} and belongs to user {owner}: others can use this identity; make it yours, with mode 0600",
        .path.display()
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The user it belongs to.
        owner: u32,
    },
    /// A folder, a device or the like.
    #[error("`{}` is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file holds no identity.
    #[error("`{}` holds no identity: {source}", .path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseIdentityError,
    },
    /// The system refused.
    #[error("could not use the identity file `{}`: {source}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error(transparent)]
    Random(#[from] SealError),
}

impl Identity {
    /// Writes the identity to a new file of mode 0600, all of it or nothing, and returns once it is durable.
    ///
    /// On Linux the file has no name until it is whole, so that an interruption leaves nothing behind. Where the file system does
    /// not offer that, and on other systems, it is written under a name that begins with `.bulla-identity-`, in the same folder,
    /// and linked.
    ///
    /// # Security
    /// In that second case, a process that is killed in between can leave the file of that name behind: a second copy of the private
    /// keys, of mode 0600. Remove any such file that is found.
    ///
    /// # Errors
    /// [`IdentityError::Exists`] if there is a file of that name, [`IdentityError::Io`] if it cannot be written.
    pub fn create_file(&self, path: &Path) -> Result<(), IdentityError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => IdentityError::Exists(path.to_owned()),
            _ => IdentityError::Io { path: path.to_owned(), source },
        };
        #[cfg(target_os = "linux")]
        let whole = self.create_unnamed(folder, path).map_err(io)?;
        #[cfg(not(target_os = "linux"))]
        let whole = false;
        if !whole {
            let temporary = folder.join(format!(".bulla-identity-{}", KeyVersionId::random()?));
            self.create_linked(&temporary, path).map_err(io)?;
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
    }

    /// Reads an identity file.
    ///
    /// The file belongs to this user, and nobody else has access to it. The one exception is a secret as container platforms mount it: it
    /// belongs to root and a group of this process, with mode 0440 or less.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`], [`IdentityError::Exposed`], [`IdentityError::NotAFile`], [`IdentityError::Content`] or
    /// [`IdentityError::Io`]; each names the path, none shows what the file holds.
    pub fn read_file(path: &Path) -> Result<Self, IdentityError> {
        let io = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => IdentityError::NotFound(path.to_owned()),
            _ => IdentityError::Io { path: path.to_owned(), source },
        };
        let file = open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(IdentityError::NotAFile(path.to_owned()));
        }
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        if !is_private(mode, owner == geteuid().as_raw(), owner == ROOT && is_our_group(metadata.gid())) {
            return Err(IdentityError::Exposed { path: path.to_owned(), mode, owner });
        }
        let content = |source| IdentityError::Content { path: path.to_owned(), source };
        // One byte more than an identity has, reserved at once, so that no copy is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_IDENTITY_LEN + 1));
        file.take(MAX_IDENTITY_LEN as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| content(ParseIdentityError::NotAnIdentity))?;
        Self::from_text(text).map_err(content)
    }

    /// Writes a file without a name, and gives it one; says `false` where the system cannot do that.
    #[cfg(target_os = "linux")]
    fn create_unnamed(&self, folder: &Path, path: &Path) -> io::Result<bool> {
        use rustix::fs::{AtFlags, CWD, Mode, linkat};

        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::open(folder, flags, Mode::from_raw_mode(OWNER_ONLY)) else {
            return Ok(false);
        };
        let mut file = File::from(file);
        self.write_whole(&mut file)?;
        // The way that open(2) gives, which needs no privilege.
        let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
        match linkat(CWD, &unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Err(Errno::EXIST.into()),
            Err(_) => Ok(false),
        }
    }

    /// Writes a file under another name first: only a whole file gets the name, and linking, unlike renaming, never replaces another.
    fn create_linked(&self, temporary: &Path, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(temporary)?;
        let linked = self.write_whole(&mut file).and_then(|()| fs::hard_link(temporary, path));
        let removed = fs::remove_file(temporary);
        linked.and(removed)
    }

    fn write_whole(&self, file: &mut File) -> io::Result<()> {
        file.write_all(self.expose_text().as_bytes())?;
        file.sync_all()
    }
}

/// Opens for reading, without waiting for the other end of a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
    let flags = i32::try_from(flags.bits()).map_err(|_| io::ErrorKind::InvalidInput)?;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Says whether a file is for nobody but this user, or is a secret mounted for a group of this process.
///
/// `is_ours` compares with the effective user, also where that is root: root could read every file, and must not take another user's
/// for its own.
fn is_private(mode: u32, is_ours: bool, is_mounted_for_us: bool) -> bool {
    (is_ours && mode & 0o077 == 0) || (is_mounted_for_us && mode & !0o440 == 0)
}

fn is_our_group(group: u32) -> bool {
    let supplementary = getgroups().unwrap_or_default();
    getegid().as_raw() == group || supplementary.iter().any(|ours| ours.as_raw() == group)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_private_whole_and_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let identity = Identity::generate().unwrap();
        identity.create_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(Identity::read_file(&path).unwrap().fingerprint(), identity.fingerprint());
        let refused = Identity::generate().unwrap().create_file(&path);
        assert!(matches!(refused, Err(IdentityError::Exists(_))), "{refused:?}");
        assert_eq!(Identity::read_file(&path).unwrap().fingerprint(), identity.fingerprint());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["identity"]);
    }

    #[test]
    fn a_file_that_others_can_use_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::generate().unwrap().create_file(&path).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o610, 0o666, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = Identity::read_file(&path).unwrap_err();
            assert!(matches!(refused, IdentityError::Exposed { .. }), "{mode:o}: {refused}");
            assert!(refused.to_string().contains(&path.display().to_string()));
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Identity::read_file(&path).is_ok());
    }

    #[test]
    fn a_mounted_secret_is_accepted() {
        for mode in [0o440, 0o400, 0o040] {
            assert!(is_private(mode, false, true), "{mode:o}");
        }
        for mode in [0o640, 0o444, 0o460, 0o600, 0o4440] {
            assert!(!is_private(mode, false, true), "{mode:o}");
        }
        assert!(is_private(0o600, true, false));
        for mode in [0o600, 0o440, 0o400] {
            assert!(!is_private(mode, false, false), "{mode:o}");
        }
    }

    #[test]
    fn both_ways_to_create_a_file_make_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::generate().unwrap();
        let (path, temporary) = (folder.path().join("linked"), folder.path().join("temporary"));
        identity.create_linked(&temporary, &path).unwrap();
        assert_eq!(identity.create_linked(&temporary, &path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(!temporary.exists());
        #[cfg(target_os = "linux")]
        {
            let unnamed = folder.path().join("unnamed");
            assert!(
                identity.create_unnamed(folder.path(), &unnamed).unwrap(),
                "the test needs a folder on a usual file system"
            );
            let again = identity.create_unnamed(folder.path(), &unnamed).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::metadata(&unnamed).unwrap().mode() & 0o7777, 0o600);
            assert_eq!(fs::read(&unnamed).unwrap(), fs::read(&path).unwrap());
            assert!(!identity.create_unnamed(&folder.path().join("nowhere"), &unnamed).unwrap());
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(Identity::read_file(&path).unwrap().fingerprint(), identity.fingerprint());
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        // Root can give a file away; everybody else finds root's own.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        Identity::generate().unwrap().create_file(&path).unwrap();
        let path = match std::os::unix::fs::chown(&path, Some(65_534), None) {
            Ok(()) => path,
            Err(_) => PathBuf::from("/etc/passwd"),
        };
        let refused = Identity::read_file(&path).unwrap_err();
        assert!(matches!(refused, IdentityError::Exposed { .. }), "{refused}");
    }

    #[test]
    fn a_bad_file_is_named_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        assert!(matches!(Identity::read_file(&path), Err(IdentityError::NotFound(_))));
        assert!(matches!(
            Identity::read_file(folder.path()),
            Err(IdentityError::Exposed { .. } | IdentityError::NotAFile(_))
        ));
        for content in [&b""[..], b"password hunter2\n", b"\xff\xfe", &[b'a'; 10_000]] {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let refused = Identity::read_file(&path).unwrap_err();
            assert!(matches!(refused, IdentityError::Content { .. }), "{refused}");
            assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused}");
        }
        let nowhere = Identity::generate().unwrap().create_file(&folder.path().join("no/where"));
        assert!(matches!(nowhere, Err(IdentityError::Io { .. })), "{nowhere:?}");
    }
}
