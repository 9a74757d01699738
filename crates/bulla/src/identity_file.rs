//! The file that holds this machine's identity.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bulla_keyring::{Identity, MAX_IDENTITY_LEN};
use rustix::process::{getegid, geteuid, getgroups};
use zeroize::Zeroizing;

use crate::files;
use crate::{Error, Result};

/// Reads the identity at `path`.
pub(crate) fn load(path: &Path) -> Result<Arc<Identity>> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Error::NoIdentity { path: path.to_owned() },
        _ => Error::File { operation: "read the identity file", path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
    if !is_private(mode, owner, metadata.gid()) {
        return Err(Error::ExposedIdentity { path: path.to_owned(), mode, owner });
    }
    // Reserved at once, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(MAX_IDENTITY_LEN + 1));
    file.take(MAX_IDENTITY_LEN as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    let identity = Identity::from_text(&text);
    identity.map(Arc::new).map_err(|reason| Error::BadIdentity { path: path.to_owned(), reason })
}

/// Reads the identity at `path`, or makes one where there is none; of several that try at once, all get the same.
pub(crate) fn load_or_create(path: &Path) -> Result<Arc<Identity>> {
    match load(path) {
        Err(Error::NoIdentity { .. }) => {}
        found => return found,
    }
    let failed = |source| Error::File { operation: "write the identity file", path: path.to_owned(), source };
    let identity = Identity::generate()?;
    files::create_folders(files::folder(path)).map_err(failed)?;
    match files::write_new(path, identity.expose_text().as_bytes()) {
        Ok(()) => Ok(Arc::new(identity)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => load(path),
        Err(error) => Err(failed(error)),
    }
}

/// Says whether nobody but this user, or root and a group of this process, reaches a file.
///
/// The second form is that of a secret mounted into a container: owned by root, mode 0440 or less, in the process's group.
fn is_private(mode: u32, owner: u32, group: u32) -> bool {
    if owner == geteuid().as_raw() && mode & 0o077 == 0 {
        return true;
    }
    let ours = || {
        getegid().as_raw() == group
            || getgroups().unwrap_or_default().iter().any(|supplementary| supplementary.as_raw() == group)
    };
    owner == 0 && mode & 0o337 == 0 && ours()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/identity");
        assert!(matches!(load(&path), Err(Error::NoIdentity { .. })));
        let identity = load_or_create(&path).unwrap();
        assert_eq!(load_or_create(&path).unwrap().fingerprint(), identity.fingerprint());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn many_makers_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let made: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| load_or_create(&path).unwrap().fingerprint())).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(made.iter().all(|fingerprint| *fingerprint == made[0]));
    }

    #[test]
    fn a_file_that_others_reach_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        load_or_create(&path).unwrap();
        for mode in [0o604, 0o640, 0o660, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = load(&path);
            // Root's own group may read what root owns, as with a mounted secret, but not if the owner may also write.
            assert!(matches!(refused, Err(Error::ExposedIdentity { .. })), "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(load(&path).is_ok());
    }

    #[test]
    fn an_altered_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        load_or_create(&path).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.push('x');
        fs::write(&path, text).unwrap();
        assert!(matches!(load(&path), Err(Error::BadIdentity { .. })));
    }
}
