//! This machine's identity: found where the settings say, unlocked with the passphrase that they lead to, or made there.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bulla_keyring::{
    Identity, IdentityError, LockedIdentity, Passphrase, PassphraseCost, PassphraseError, StoredIdentity,
};

use crate::{Error, Result, Settings, files, os_keyring};

/// The file that holds this machine's identity, with what the settings say about its passphrase.
///
/// Opening a project does all of this by itself; this is for those who look after the file.
///
/// # Examples
/// ```no_run
/// use bulla::{IdentityFile, Passphrase, Settings};
///
/// let settings = Settings::load()?;
/// let file = IdentityFile::of(&settings)?;
/// println!("{}", file.stored()?.fingerprint());
/// file.protect(&Passphrase::read_file("/run/secrets/passphrase".as_ref())?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct IdentityFile<'a> {
    settings: &'a Settings,
    path: &'a Path,
}

impl<'a> IdentityFile<'a> {
    /// Takes the file that the settings name; it need not exist.
    ///
    /// # Errors
    /// [`Error::NoIdentityPlace`] if they name none.
    pub fn of(settings: &'a Settings) -> Result<Self> {
        let path = settings.identity().get().as_deref().ok_or(Error::NoIdentityPlace)?;
        Ok(Self { settings, path })
    }

    /// Returns where it lies.
    #[must_use]
    pub fn path(&self) -> &'a Path {
        self.path
    }

    /// Reads the file, and unlocks nothing.
    ///
    /// # Errors
    /// [`Error::Identity`].
    pub fn stored(&self) -> Result<StoredIdentity> {
        Ok(StoredIdentity::read_file(self.path)?)
    }

    /// Reads the identity. Where a passphrase protects it, that comes from the descriptor or the file that the settings name, or else from their
    /// prompt.
    ///
    /// # Errors
    /// [`Error::Identity`]; [`Error::PassphraseNeeded`] if there is no way to one; [`Error::Passphrase`]; [`Error::Unlock`] if it is the wrong one.
    pub fn load(&self) -> Result<Arc<Identity>> {
        match self.stored()? {
            StoredIdentity::Plain(identity) => Ok(Arc::new(identity)),
            StoredIdentity::Locked(identity) => self.unlock(&identity).map(Arc::new),
        }
    }

    /// Reads the identity, or makes one where there is none; of several that try at once, all get the same.
    ///
    /// # Errors
    /// As [`Self::load`]; [`Error::File`] if none can be written.
    pub fn load_or_create(&self) -> Result<Arc<Identity>> {
        match self.load() {
            Err(Error::Identity(IdentityError::NotFound(_))) => {}
            found => return found,
        }
        let failed = |source| Error::File {
            operation: "make the folder of the identity file",
            path: self.path.to_owned(),
            source,
        };
        files::create_folders(files::folder(self.path)).map_err(failed)?;
        let identity = Identity::generate()?;
        match identity.create_file(self.path) {
            Ok(()) => Ok(Arc::new(identity)),
            Err(IdentityError::Exists(_)) => self.load(),
            Err(error) => Err(error.into()),
        }
    }

    /// Protects the identity by a passphrase, in the place of the one that protects it now, if one does. Its file is replaced in one step.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn protect(&self, passphrase: &Passphrase) -> Result<()> {
        let identity = self.load()?;
        let locked = identity.protect(passphrase, PassphraseCost::default()).map_err(|error| self.refused(error))?;
        let kept = match self.settings.passphrase_keyring().get() {
            Some(service) => os_keyring::find(service, identity.fingerprint())?.map(|_| service),
            None => None,
        };
        StoredIdentity::Locked(locked).replace_file(self.path)?;
        // The old one would be of no more use there.
        kept.map_or(Ok(()), |service| os_keyring::keep(service, identity.fingerprint(), passphrase))
    }

    /// Takes the passphrase from the identity, so that the access to its file alone protects it. Its file is replaced in one step.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn unprotect(&self) -> Result<()> {
        match self.stored()? {
            StoredIdentity::Plain(_) => Ok(()),
            StoredIdentity::Locked(identity) => {
                Ok(StoredIdentity::Plain(self.unlock(&identity)?).replace_file(self.path)?)
            }
        }
    }

    /// Has the system's own keyring keep the passphrase, under the service that the settings name, once it has unlocked the identity. An identity
    /// that has none is left alone.
    ///
    /// # Errors
    /// As [`Self::load`]; [`Error::NoOsKeyring`] if they name no service; [`Error::OsKeyring`]; [`Error::NotBuilt`].
    pub fn remember(&self) -> Result<()> {
        let service = self.service()?;
        let StoredIdentity::Locked(identity) = self.stored()? else { return Ok(()) };
        // Asked for anew: what the keyring keeps may be an older one.
        let passphrase = self.given()?.map_or_else(|| self.asked(), Ok)?;
        identity.unlock(&passphrase).map_err(|error| self.refused(error))?;
        os_keyring::keep(service, identity.fingerprint(), &passphrase)
    }

    /// Has the system's own keyring forget the passphrase; says whether there was one.
    ///
    /// # Errors
    /// [`Error::Identity`]; [`Error::NoOsKeyring`] if the settings name no service; [`Error::OsKeyring`]; [`Error::NotBuilt`].
    pub fn forget(&self) -> Result<bool> {
        os_keyring::remove(self.service()?, self.stored()?.fingerprint())
    }

    /// Returns the passphrase that the settings lead to, or that is typed at their prompt.
    ///
    /// # Errors
    /// [`Error::PassphraseNeeded`] if there is no way to one; [`Error::Passphrase`]; [`Error::OsKeyring`]; [`Error::NotBuilt`].
    pub fn passphrase(&self) -> Result<Passphrase> {
        if let Some(passphrase) = self.given()? {
            return Ok(passphrase);
        }
        if let Some(service) = self.settings.passphrase_keyring().get()
            && let Some(passphrase) = os_keyring::find(service, self.stored()?.fingerprint())?
        {
            return Ok(passphrase);
        }
        self.asked()
    }

    fn given(&self) -> Result<Option<Passphrase>> {
        if let Some(number) = self.settings.passphrase_fd().get() {
            // The way to a descriptor by its number that needs no unsafe code; what can be read from it is the same.
            let path = format!("/dev/fd/{number}");
            let read = File::open(path).map_err(PassphraseError::Read).and_then(Passphrase::read);
            return Ok(Some(read?));
        }
        let file = self.settings.passphrase_file().get();
        Ok(file.as_deref().map(Passphrase::read_file).transpose()?)
    }

    fn asked(&self) -> Result<Passphrase> {
        let needed = || Error::PassphraseNeeded { path: self.path.to_owned() };
        let prompt = self.settings.prompt().ok_or_else(needed)?;
        prompt.ask(self.path)?.ok_or_else(needed)
    }

    fn service(&self) -> Result<&'a str> {
        self.settings.passphrase_keyring().get().as_deref().ok_or(Error::NoOsKeyring)
    }

    fn unlock(&self, identity: &LockedIdentity) -> Result<Identity> {
        let passphrase = self.passphrase()?;
        identity.unlock(&passphrase).map_err(|error| self.refused(error))
    }

    fn refused(&self, source: bulla_keyring::UnlockError) -> Error {
        Error::Unlock { path: self.path.to_owned(), source }
    }
}

/// Asks a person for the passphrase of an identity file.
#[derive(Clone)]
pub struct PassphrasePrompt(Arc<Ask>);

/// `None` where there is nobody to ask.
type Answer = std::result::Result<Option<Passphrase>, PassphraseError>;
type Ask = dyn Fn(&Path) -> Answer + Send + Sync;

impl PassphrasePrompt {
    /// Takes what asks. It is given the identity file, and answers `Ok(None)` if there is nobody to ask.
    pub fn new(ask: impl Fn(&Path) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    fn ask(&self, path: &Path) -> Answer {
        (self.0)(path)
    }
}

impl PartialEq for PassphrasePrompt {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for PassphrasePrompt {}

impl fmt::Debug for PassphrasePrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PassphrasePrompt(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{self, Seek, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};

    use bulla_keyring::UnlockError;

    use super::*;
    use crate::{Origin, Setting, SettingsBuilder};

    fn at(path: &Path) -> SettingsBuilder {
        Settings::builder().environment(false).no_file().identity(path)
    }

    fn settings(path: &Path) -> Settings {
        at(path).load().unwrap()
    }

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.as_bytes().to_vec()).unwrap()
    }

    /// Makes an identity at `path` that a passphrase protects, at little cost.
    fn protected(path: &Path) -> bulla_keyring::Fingerprint {
        let identity = Identity::generate().unwrap();
        let cost = PassphraseCost::new(8, 1, 1).unwrap();
        identity.protect(&passphrase("correct horse"), cost).unwrap().create_file(path).unwrap();
        identity.fingerprint()
    }

    #[test]
    fn an_identity_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/identity");
        let settings = settings(&path);
        let file = IdentityFile::of(&settings).unwrap();
        assert!(matches!(file.load(), Err(Error::Identity(IdentityError::NotFound(_)))));
        let identity = file.load_or_create().unwrap();
        assert_eq!(file.load_or_create().unwrap().fingerprint(), identity.fingerprint());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn many_makers_agree() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder.path().join("identity"));
        let made = || IdentityFile::of(&settings).unwrap().load_or_create().unwrap().fingerprint();
        let made: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(made)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(made.iter().all(|fingerprint| *fingerprint == made[0]));
    }

    #[test]
    fn a_passphrase_comes_from_the_file_that_the_settings_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let fingerprint = protected(&path);
        let refused = IdentityFile::of(&settings(&path)).unwrap().load().unwrap_err();
        assert_eq!(refused.code(), "passphrase_needed");
        assert!(refused.hint().unwrap().contains("BULLA_PASSPHRASE_FILE"), "{refused}");

        let named = folder.path().join("passphrase");
        let settings = at(&path).give(Setting::PassphraseFile, &named, Origin::Code).load().unwrap();
        let file = IdentityFile::of(&settings).unwrap();
        assert_eq!(file.load().unwrap_err().code(), "passphrase");
        fs::write(&named, "correct horse\n").unwrap();
        fs::set_permissions(&named, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(file.load().unwrap_err().code(), "exposed_passphrase");
        fs::set_permissions(&named, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(file.load().unwrap().fingerprint(), fingerprint);
        assert_eq!(file.load_or_create().unwrap().fingerprint(), fingerprint);
        fs::write(&named, "correct house\n").unwrap();
        let refused = file.load().unwrap_err();
        assert!(matches!(refused, Error::Unlock { source: UnlockError::Refused, .. }), "{refused}");
        assert_eq!(refused.code(), "wrong_passphrase");
    }

    #[test]
    fn a_passphrase_comes_from_the_descriptor_that_the_settings_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let fingerprint = protected(&path);
        let mut held = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.path().join("held"))
            .unwrap();
        held.write_all(b"correct horse").unwrap();
        held.rewind().unwrap();
        let number = held.as_raw_fd().to_string();
        let given = |number: &str| at(&path).give(Setting::PassphraseFd, number, Origin::Code).load();
        let settings = given(&number).unwrap();
        assert_eq!(IdentityFile::of(&settings).unwrap().load().unwrap().fingerprint(), fingerprint);

        let closed = given("99999").unwrap();
        assert_eq!(IdentityFile::of(&closed).unwrap().load().unwrap_err().code(), "passphrase");
        assert_eq!(given("three").unwrap_err().code(), "settings_invalid");
        assert_eq!(given("-1").unwrap_err().code(), "settings_invalid");
    }

    #[test]
    fn a_person_is_asked_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let fingerprint = protected(&path);
        let with = |prompt: PassphrasePrompt| at(&path).prompt(prompt).load().unwrap();
        let asked = path.clone();
        let settings = with(PassphrasePrompt::new(move |path| {
            assert_eq!(path, asked);
            Passphrase::new(b"correct horse".to_vec()).map(Some)
        }));
        assert_eq!(IdentityFile::of(&settings).unwrap().load().unwrap().fingerprint(), fingerprint);
        let settings = with(PassphrasePrompt::new(|_| Ok(None)));
        assert_eq!(IdentityFile::of(&settings).unwrap().load().unwrap_err().code(), "passphrase_needed");
        let settings = with(PassphrasePrompt::new(|_| Err(PassphraseError::Read(io::ErrorKind::Interrupted.into()))));
        assert_eq!(IdentityFile::of(&settings).unwrap().load().unwrap_err().code(), "passphrase");
    }

    #[cfg(not(feature = "os-keyring"))]
    #[test]
    fn what_was_not_built_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        protected(&path);
        let settings = at(&path).give(Setting::PassphraseKeyring, "bulla", Origin::Code).load().unwrap();
        let refused = IdentityFile::of(&settings).unwrap().load().unwrap_err();
        assert_eq!(refused.code(), "not_built");
        assert!(refused.to_string().contains("`os-keyring`"), "{refused}");
        let unnamed = at(&path).load().unwrap();
        assert_eq!(IdentityFile::of(&unnamed).unwrap().forget().unwrap_err().code(), "os_keyring");
    }

    #[test]
    fn an_identity_is_protected_and_set_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let settings = at(&path)
            .prompt(PassphrasePrompt::new(|_| Passphrase::new(b"correct horse".to_vec()).map(Some)))
            .load()
            .unwrap();
        let file = IdentityFile::of(&settings).unwrap();
        let fingerprint = file.load_or_create().unwrap().fingerprint();
        file.protect(&passphrase("correct horse")).unwrap();
        assert!(matches!(file.stored().unwrap(), StoredIdentity::Locked(_)));
        assert_eq!(file.load().unwrap().fingerprint(), fingerprint);
        file.unprotect().unwrap();
        assert!(matches!(file.stored().unwrap(), StoredIdentity::Plain(_)));
        file.unprotect().unwrap();
        // Under another passphrase than the prompt knows, it stays as it is.
        file.protect(&passphrase("battery staple")).unwrap();
        assert_eq!(file.unprotect().unwrap_err().code(), "wrong_passphrase");
        assert_eq!(file.stored().unwrap().fingerprint(), fingerprint);
    }

    /// Where there is a keyring, it keeps the passphrase and forgets it; elsewhere, that is what is said. To have one on Linux:
    /// `dbus-run-session -- bash -c 'echo -n x | gnome-keyring-daemon --unlock; cargo test -p bulla --features os-keyring'`.
    #[cfg(feature = "os-keyring")]
    #[test]
    fn the_systems_keyring_keeps_a_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity");
        let fingerprint = protected(&path);
        let with = |prompt: PassphrasePrompt| {
            at(&path).give(Setting::PassphraseKeyring, "bulla-test", Origin::Code).prompt(prompt).load().unwrap()
        };
        let asking = with(PassphrasePrompt::new(|_| Passphrase::new(b"correct horse".to_vec()).map(Some)));
        let silent = with(PassphrasePrompt::new(|_| Ok(None)));
        let (asking, silent) = (IdentityFile::of(&asking).unwrap(), IdentityFile::of(&silent).unwrap());
        if silent.load().unwrap_err().code() == "os_keyring" {
            assert_eq!(asking.remember().unwrap_err().code(), "os_keyring");
            assert_eq!(silent.forget().unwrap_err().code(), "os_keyring");
            return;
        }
        asking.remember().unwrap();
        assert_eq!(silent.load().unwrap().fingerprint(), fingerprint);
        silent.protect(&passphrase("battery staple")).unwrap();
        assert_eq!(silent.load().unwrap().fingerprint(), fingerprint);
        assert!(silent.forget().unwrap());
        assert!(!silent.forget().unwrap());
        assert_eq!(silent.load().unwrap_err().code(), "passphrase_needed");
    }
}
