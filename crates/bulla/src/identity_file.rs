//! This machine's identity: found where the settings say, or made there.

use std::path::Path;
use std::sync::Arc;

use bulla_keyring::{Identity, IdentityError};

use crate::{Error, Result, files};

/// Reads the identity at `path`.
pub(crate) fn load(path: &Path) -> Result<Arc<Identity>> {
    Identity::read_file(path).map(Arc::new).map_err(Error::from)
}

/// Reads the identity at `path`, or makes one where there is none; of several that try at once, all get the same.
pub(crate) fn load_or_create(path: &Path) -> Result<Arc<Identity>> {
    match Identity::read_file(path) {
        Err(IdentityError::NotFound(_)) => {}
        found => return Ok(Arc::new(found?)),
    }
    let failed =
        |source| Error::File { operation: "make the folder of the identity file", path: path.to_owned(), source };
    files::create_folders(files::folder(path)).map_err(failed)?;
    let identity = Identity::generate()?;
    match identity.create_file(path) {
        Ok(()) => Ok(Arc::new(identity)),
        Err(IdentityError::Exists(_)) => load(path),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/identity");
        assert!(matches!(load(&path), Err(Error::Identity(IdentityError::NotFound(_)))));
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
}
