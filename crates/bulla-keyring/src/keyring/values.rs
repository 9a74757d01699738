//! Sealed values, by the name of their key.

use std::sync::Arc;

use bulla_seal::{Context, Header, KeyVersionId, OpenError};
use zeroize::Zeroizing;

use super::{Keyring, refuse_system};
use crate::cache::Newest;
use crate::format::KEYS;
use crate::{KeyName, KeyVersion, KeyringError, Result};

impl Keyring {
    /// Returns the newest version of a key: the one to seal under. Ask for each message.
    ///
    /// Where the backend marks changes, the key is read again once the mark of the collection differs from the one of the last look;
    /// elsewhere it is read each time. So the rotation of another process is seen at the next use.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`], [`KeyringError::Corrupt`], [`KeyringError::Reserved`]; [`KeyringError::KeyRollback`] if the key has gone
    /// back to an older version, or [`KeyringError::KeyForked`] to another of the same number, than this process has seen, as far as
    /// its memory of the last 16,384 keys reaches; [`KeyringError::OldEpoch`] if the key or its newest version is of an older epoch.
    pub async fn current(&self, name: &KeyName) -> Result<Arc<KeyVersion>> {
        refuse_system(name)?;
        let trusted = self.trusted().await?;
        // The mark comes first: what changes between the two looks is noticed by the next caller.
        let mark = self.trust.change_mark(KEYS).await?;
        let known = self.cache.newest(name);
        if let Some(known) = &known
            && mark.is_some()
            && known.mark == mark
        {
            return Ok(Arc::clone(&known.version));
        }
        let body = self.read_key_to_seal(&trusted, name).await?.body;
        let version = match known {
            Some(known) if known.version.id() == body.newest_id => known.version,
            _ => Arc::new(self.read_newest(&trusted, name, &body).await?),
        };
        self.cache.keep_version(Arc::clone(&version));
        Ok(self.cache.keep_newest(Newest { version, mark }))
    }

    /// Returns the version of a key that a sealed value names: the one to open with. Its cost does not depend on how many
    /// versions there are.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`] if the key has no such version; [`KeyringError::Corrupt`] if it cannot be read;
    /// [`KeyringError::Reserved`].
    pub async fn version(&self, name: &KeyName, id: KeyVersionId) -> Result<Arc<KeyVersion>> {
        refuse_system(name)?;
        let version = self.find(id).await?;
        if version.name() == name { Ok(version) } else { Err(KeyringError::Open(OpenError::UnknownVersion(id))) }
    }

    /// Returns the version of that id, whichever key it belongs to.
    ///
    /// # Errors
    /// As [`Keyring::version`].
    pub async fn locate(&self, id: KeyVersionId) -> Result<Arc<KeyVersion>> {
        let version = self.find(id).await?;
        refuse_system(version.name())?;
        Ok(version)
    }

    /// Seals a message under the newest version of a key.
    ///
    /// # Errors
    /// As [`Keyring::current`], and [`KeyringError::Seal`] for what passes the bounds of a sealed value.
    pub async fn seal(&self, name: &KeyName, context: &Context, message: &[u8]) -> Result<Vec<u8>> {
        let version = self.current(name).await?;
        Ok(version.seal_key().seal(version.params(), context, message)?)
    }

    /// Opens a value that was sealed under any version of a key.
    ///
    /// # Errors
    /// As [`Keyring::version`], and [`KeyringError::Open`].
    pub async fn open_sealed(&self, name: &KeyName, context: &Context, sealed: &[u8]) -> Result<Vec<u8>> {
        let header = Header::parse(sealed)?;
        let version = self.version(name, header.key_version()).await?;
        Ok(version.seal_key().open(context, sealed)?)
    }

    /// Seals a value anew under the newest version of its key, without showing the message; `None` if it is under that already. The value
    /// is verified either way.
    ///
    /// # Errors
    /// As [`Keyring::open_sealed`] and [`Keyring::seal`].
    pub async fn rewrap(&self, name: &KeyName, context: &Context, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
        let message = Zeroizing::new(self.open_sealed(name, context, sealed).await?);
        let newest = self.current(name).await?;
        if Header::parse(sealed)?.key_version() == newest.id() {
            return Ok(None);
        }
        Ok(Some(newest.seal_key().seal(newest.params(), context, &message)?))
    }

    async fn find(&self, id: KeyVersionId) -> Result<Arc<KeyVersion>> {
        let trusted = self.trusted().await?;
        if let Some(version) = self.cache.version(id) {
            return Ok(version);
        }
        let entry = self.read_id(id).await?.ok_or(OpenError::UnknownVersion(id))?;
        let version = Arc::new(self.read_version(&trusted, &entry.name, entry.number, id).await?.0);
        self.cache.keep_version(Arc::clone(&version));
        Ok(version)
    }
}
