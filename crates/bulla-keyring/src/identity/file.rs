//! The identity as a file: created once, for its owner's eyes only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bulla_seal::{KeyVersionId, SealError};
#[cfg(target_os = "linux")]
use rustix::io::Errno;

use super::{Identity, LockedIdentity, MAX_IDENTITY_LEN, ParseIdentityError, StoredIdentity};
use crate::Fingerprint;
use crate::private_file::{self, Refused};

const OWNER_ONLY: u32 = 0o600;

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
    /// A passphrase protects the file, and none was asked for.
    #[error("`{}` is protected by a passphrase", .0.display())]
    Locked(PathBuf),
    /// The file holds another identity than the one that it was to hold in another form.
    #[error("`{}` holds another identity, {found}; an identity is never overwritten", .path.display())]
    OtherIdentity {
        /// Which file.
        path: PathBuf,
        /// The identity in it.
        found: Fingerprint,
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
        create(&self.expose_text(), path)
    }

    /// Reads an identity file that no passphrase protects; [`StoredIdentity::read_file`] reads both kinds.
    ///
    /// # Errors
    /// As [`StoredIdentity::read_file`], and [`IdentityError::Locked`].
    pub fn read_file(path: &Path) -> Result<Self, IdentityError> {
        match StoredIdentity::read_file(path)? {
            StoredIdentity::Plain(identity) => Ok(identity),
            StoredIdentity::Locked(_) => Err(IdentityError::Locked(path.to_owned())),
        }
    }
}

impl LockedIdentity {
    /// Writes the identity to a new file, as [`Identity::create_file`] does.
    ///
    /// # Errors
    /// As [`Identity::create_file`].
    pub fn create_file(&self, path: &Path) -> Result<(), IdentityError> {
        create(&self.text(), path)
    }
}

impl StoredIdentity {
    /// Reads an identity file.
    ///
    /// The file belongs to this user, and nobody else has access to it. The one exception is a secret as container platforms and systemd hand it
    /// over: it belongs to root, and to a group of this process or to root's, with mode 0440 or less.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`], [`IdentityError::Exposed`], [`IdentityError::NotAFile`], [`IdentityError::Content`] or
    /// [`IdentityError::Io`]; each names the path, none shows what the file holds.
    pub fn read_file(path: &Path) -> Result<Self, IdentityError> {
        let named = || path.to_owned();
        let bytes = private_file::read(path, MAX_IDENTITY_LEN).map_err(|refused| match refused {
            Refused::Io(error) if error.kind() == io::ErrorKind::NotFound => IdentityError::NotFound(named()),
            Refused::Exposed { mode, owner } => IdentityError::Exposed { path: named(), mode, owner },
            Refused::NotAFile => IdentityError::NotAFile(named()),
            Refused::Io(source) => IdentityError::Io { path: named(), source },
        })?;
        let content = |source| IdentityError::Content { path: named(), source };
        let text = std::str::from_utf8(&bytes).map_err(|_| content(ParseIdentityError::NotAnIdentity))?;
        Self::from_text(text).map_err(content)
    }

    /// Puts the identity in the place of the same one in another form: protected by a passphrase, by another, or no longer. The file is
    /// replaced in one step, and returns once that is durable.
    ///
    /// # Security
    /// The old content is not overwritten: on most disks it could be found for some time. A process that is killed in between can leave a
    /// file behind whose name begins with `.bulla-identity-`. Remove any such file that is found.
    ///
    /// # Errors
    /// As [`Self::read_file`]; [`IdentityError::OtherIdentity`].
    pub fn replace_file(&self, path: &Path) -> Result<(), IdentityError> {
        let found = Self::read_file(path)?.fingerprint();
        if found != self.fingerprint() {
            return Err(IdentityError::OtherIdentity { path: path.to_owned(), found });
        }
        let io = |source| IdentityError::Io { path: path.to_owned(), source };
        // Where the name is a link, what it leads to is replaced.
        let path = fs::canonicalize(path).map_err(io)?;
        let temporary = temporary(&path)?;
        let replaced = write_new(&self.expose_text(), &temporary).and_then(|()| fs::rename(&temporary, &path));
        if replaced.is_err() {
            // Of no use to anybody; the first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        replaced.and_then(|()| sync(folder(&path))).map_err(io)
    }
}

fn create(text: &str, path: &Path) -> Result<(), IdentityError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => IdentityError::Exists(path.to_owned()),
        _ => IdentityError::Io { path: path.to_owned(), source },
    };
    #[cfg(target_os = "linux")]
    let whole = create_unnamed(text, path).map_err(io)?;
    #[cfg(not(target_os = "linux"))]
    let whole = false;
    if !whole {
        create_linked(text, &temporary(path)?, path).map_err(io)?;
    }
    sync(folder(path)).map_err(io)
}

/// Writes a file without a name, and gives it one; says `false` where the system cannot do that.
#[cfg(target_os = "linux")]
fn create_unnamed(text: &str, path: &Path) -> io::Result<bool> {
    use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};

    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(folder(path), flags, Mode::from_raw_mode(OWNER_ONLY)) else {
        return Ok(false);
    };
    let mut file = File::from(file);
    write_whole(text, &mut file)?;
    // The way that open(2) gives, which needs no privilege.
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, &unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Err(Errno::EXIST.into()),
        Err(_) => Ok(false),
    }
}

/// Writes a file under another name first: only a whole file gets the name, and linking, unlike renaming, never replaces another.
fn create_linked(text: &str, temporary: &Path, path: &Path) -> io::Result<()> {
    let linked = write_new(text, temporary).and_then(|()| fs::hard_link(temporary, path));
    let removed = fs::remove_file(temporary);
    linked.and(removed)
}

fn write_new(text: &str, path: &Path) -> io::Result<()> {
    write_whole(text, &mut OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?)
}

fn write_whole(text: &str, file: &mut File) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Returns a name in the same folder that nothing bears.
fn temporary(path: &Path) -> Result<PathBuf, SealError> {
    Ok(folder(path).join(format!(".bulla-identity-{}", KeyVersionId::random()?)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::passphrase::{Passphrase, PassphraseCost};

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
    fn both_ways_to_create_a_file_make_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::generate().unwrap();
        let (path, temporary) = (folder.path().join("linked"), folder.path().join("temporary"));
        let text = identity.expose_text();
        create_linked(&text, &temporary, &path).unwrap();
        let again = create_linked(&text, &temporary, &path).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(!temporary.exists());
        #[cfg(target_os = "linux")]
        {
            let unnamed = folder.path().join("unnamed");
            assert!(create_unnamed(&text, &unnamed).unwrap(), "the test needs a folder on a usual file system");
            let again = create_unnamed(&text, &unnamed).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::metadata(&unnamed).unwrap().mode() & 0o7777, 0o600);
            assert_eq!(fs::read(&unnamed).unwrap(), fs::read(&path).unwrap());
            assert!(!create_unnamed(&text, &folder.path().join("nowhere/unnamed")).unwrap());
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
    #[test]
    fn only_the_same_identity_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let identity = Identity::generate().unwrap();
        let passphrase = Passphrase::new(b"correct horse".to_vec()).unwrap();
        let locked = identity.protect(&passphrase, PassphraseCost::new(8, 1, 1).unwrap()).unwrap();
        let stored = StoredIdentity::Locked(locked.clone());
        assert!(matches!(stored.replace_file(&path), Err(IdentityError::NotFound(_))));

        identity.create_file(&path).unwrap();
        stored.replace_file(&link).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), locked.text());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert!(matches!(Identity::read_file(&path), Err(IdentityError::Locked(_))));
        assert!(link.is_symlink());

        let other = StoredIdentity::Plain(Identity::generate().unwrap()).replace_file(&path);
        assert!(matches!(other, Err(IdentityError::OtherIdentity { .. })), "{other:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), locked.text());
        StoredIdentity::Plain(identity).replace_file(&path).unwrap();
        assert!(Identity::read_file(&path).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);

        let second = folder.path().join("second");
        locked.create_file(&second).unwrap();
        assert!(matches!(locked.create_file(&second), Err(IdentityError::Exists(_))));
    }
}
