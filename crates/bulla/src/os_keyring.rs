//! The system's own keyring, in which the passphrase of an identity can be kept: the Secret Service on Linux, Keychain Services on macOS.
//!
//! An entry is named by the service that the settings name, and by the fingerprint of the identity.

use bulla_keyring::{Fingerprint, Passphrase};

use crate::{Error, Result};

/// Looks a passphrase up.
pub(crate) fn find(service: &str, identity: Fingerprint) -> Result<Option<Passphrase>> {
    imp::find(service, identity)
}

/// Keeps a passphrase, in the place of one that is there.
pub(crate) fn keep(service: &str, identity: Fingerprint, passphrase: &Passphrase) -> Result<()> {
    imp::keep(service, identity, passphrase)
}

/// Removes a passphrase; says whether there was one.
pub(crate) fn remove(service: &str, identity: Fingerprint) -> Result<bool> {
    imp::remove(service, identity)
}

#[cfg(feature = "os-keyring")]
mod imp {
    use keyring::Entry;

    use super::{Error, Fingerprint, Passphrase, Result};

    pub(super) fn find(service: &str, identity: Fingerprint) -> Result<Option<Passphrase>> {
        match entry(service, identity)?.get_secret() {
            Ok(secret) => Ok(Some(Passphrase::new(secret)?)),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    pub(super) fn keep(service: &str, identity: Fingerprint, passphrase: &Passphrase) -> Result<()> {
        entry(service, identity)?.set_secret(passphrase.expose()).map_err(|error| failed(&error))
    }

    pub(super) fn remove(service: &str, identity: Fingerprint) -> Result<bool> {
        match entry(service, identity)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(keyring::Error::NoEntry) => Ok(false),
            Err(error) => Err(failed(&error)),
        }
    }

    fn entry(service: &str, identity: Fingerprint) -> Result<Entry> {
        if let Err(error) = Entry::store_status() {
            return Err(failed(error));
        }
        Entry::new(service, &identity.to_string()).map_err(|error| failed(&error))
    }

    /// Takes over what the keyring says, but for what may hold a secret.
    fn failed(error: &keyring::Error) -> Error {
        let detail = match error {
            keyring::Error::BadEncoding(_) | keyring::Error::BadDataFormat(..) => {
                "it returned what is no secret".to_owned()
            }
            error => error.to_string(),
        };
        Error::OsKeyring { detail }
    }
}

#[cfg(not(feature = "os-keyring"))]
mod imp {
    use super::{Error, Fingerprint, Passphrase, Result};

    const NOT_BUILT: Error = Error::NotBuilt { feature: "os-keyring" };

    pub(super) fn find(_: &str, _: Fingerprint) -> Result<Option<Passphrase>> {
        Err(NOT_BUILT)
    }

    pub(super) fn keep(_: &str, _: Fingerprint, _: &Passphrase) -> Result<()> {
        Err(NOT_BUILT)
    }

    pub(super) fn remove(_: &str, _: Fingerprint) -> Result<bool> {
        Err(NOT_BUILT)
    }
}
