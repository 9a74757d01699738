//! Sealed values, by the name of their key.

use std::sync::Arc;

use bulla_seal::{Context, Header, KeyVersionId, OpenError};
use zeroize::Zeroizing;

use super::rows::check_epoch;
use super::{Keyring, refuse_system};
use crate::format::{IdRow, KeyBody};
use crate::key::{Prepared, Version};
use crate::sealed_to::SealedToHead;
use crate::trust_log::Trusted;
use crate::{KeyName, KeyVersion, KeyringError, Result};

/// What begins a value that was sealed to a public key.
const SEALED_TO: &[u8; 3] = b"BLX";

impl Keyring {
    /// Returns the newest version of a key: the one to seal under. Ask for each message.
    ///
    /// Where the backend marks changes, the key is read again once the mark of the collection differs from the one of the last look;
    /// elsewhere it is read each time. So the rotation of another process is seen at the next use. Where the key is due to be rotated, this
    /// call does it; where its uses are counted, each call is one.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`], [`KeyringError::Corrupt`], [`KeyringError::Reserved`]; [`KeyringError::KeyRollback`] if the key has gone
    /// back to an older state, or [`KeyringError::KeyForked`] to another version of the same number, than this process has seen, as far as
    /// its memory of the last 16,384 keys reaches; [`KeyringError::OldEpoch`] if the key or its newest version is of an older epoch;
    /// [`KeyringError::VersionDisabled`], [`KeyringError::KeyDeleted`], [`KeyringError::UsedUp`]; [`KeyringError::WrongUse`] for a
    /// key that seals in another way, or not at all.
    pub async fn current(&self, name: &KeyName) -> Result<Arc<KeyVersion>> {
        refuse_system(name)?;
        let (version, _) = self.newest(name, 1).await?;
        version.sealing("seal so").cloned()
    }

    /// Returns a version of a key that was chosen by its number, to seal under. Nothing is rotated, be it due or not; where uses are
    /// counted, each call is one.
    ///
    /// # Errors
    /// [`KeyringError::BelowMinimum`] unless it is the newest, or [`KeySetting::MinSeal`](crate::KeySetting::MinSeal) allows it; as
    /// [`Keyring::current`].
    pub async fn version_to_seal(&self, name: &KeyName, number: u64) -> Result<Arc<KeyVersion>> {
        refuse_system(name)?;
        let described = self.described_now(name).await?;
        described.body.check_seal(name, number, self.clock.now())?;
        let version = self.prepared_number(name, number, &described.body).await?;
        let trusted = self.trusted().await?;
        check_epoch(&trusted, version.born, || format!("version {number} of key `{name}`"))?;
        if let (Some(maximum), sealing) = (described.body.settings.max_uses, version.sealing("seal so")?)
            && self.take_uses(sealing.id(), &self.cache.allowance(sealing.id()), maximum, 1).await? == 0
        {
            return Err(KeyringError::UsedUp { name: name.clone(), number });
        }
        version.sealing("seal so").cloned()
    }

    /// Returns the version of a key that a sealed value names: the one to open with. Its cost does not depend on how many
    /// versions there are.
    ///
    /// What the key permits is looked at again once the last look is a second old.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`] if the key has no such version; [`KeyringError::Corrupt`] if it cannot be read;
    /// [`KeyringError::VersionDisabled`], [`KeyringError::VersionDestroyed`], [`KeyringError::BelowMinimum`] or
    /// [`KeyringError::KeyDeleted`] if it may not open; [`KeyringError::WrongUse`]; [`KeyringError::Reserved`].
    pub async fn version(&self, name: &KeyName, id: KeyVersionId) -> Result<Arc<KeyVersion>> {
        refuse_system(name)?;
        self.find(id, Some(name)).await?.sealing("open so").cloned()
    }

    /// Returns the version of a key that has a number.
    ///
    /// # Errors
    /// [`KeyringError::NoVersion`]; as [`Keyring::version`].
    pub async fn version_of(&self, name: &KeyName, number: u64) -> Result<Arc<KeyVersion>> {
        refuse_system(name)?;
        let described = self.described_now(name).await?;
        described.body.check_open(name, number, self.clock.now())?;
        self.prepared_number(name, number, &described.body).await?.sealing("open so").cloned()
    }

    /// Returns the version of that id, whichever key it belongs to.
    ///
    /// # Errors
    /// As [`Keyring::version`].
    pub async fn locate(&self, id: KeyVersionId) -> Result<Arc<KeyVersion>> {
        let version = self.find(id, None).await?;
        refuse_system(&version.name)?;
        version.sealing("open so").cloned()
    }

    /// Seals a message under the newest version of a key.
    ///
    /// # Errors
    /// As [`Keyring::current`], and [`KeyringError::Seal`] for what passes the bounds of a sealed value.
    pub async fn seal(&self, name: &KeyName, context: &Context, message: &[u8]) -> Result<Vec<u8>> {
        refuse_system(name)?;
        let (version, _) = self.newest(name, 1).await?;
        version.seal(context, message)
    }

    /// Opens a value that was sealed under any version of a key.
    ///
    /// # Errors
    /// As [`Keyring::version`], and [`KeyringError::Open`].
    pub async fn open_sealed(&self, name: &KeyName, context: &Context, sealed: &[u8]) -> Result<Vec<u8>> {
        refuse_system(name)?;
        self.find(id_of(sealed)?, Some(name)).await?.open(context, sealed)
    }

    /// Seals a value anew under the newest version of its key, without showing the message; `None` if it is under that already. The value
    /// is verified either way.
    ///
    /// # Errors
    /// As [`Keyring::open_sealed`] and [`Keyring::seal`].
    pub async fn rewrap(&self, name: &KeyName, context: &Context, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
        let message = Zeroizing::new(self.open_sealed(name, context, sealed).await?);
        // What is the newest comes first, so that a value that is under it already is no use of it.
        let described = self.described_now(name).await?;
        let is_newest = id_of(sealed)? == described.body.newest_id;
        if is_newest && !described.body.period_is_over(|| self.clock.now()) {
            described.body.check_open(name, described.body.newest, self.clock.now())?;
            return Ok(None);
        }
        let (newest, _) = self.newest(name, 1).await?;
        newest.seal(context, &message).map(Some)
    }

    /// Finds the version of an id, prepared, if it may open, verify or export.
    pub(super) async fn find(&self, id: KeyVersionId, of: Option<&KeyName>) -> Result<Arc<Version>> {
        let mut trusted = self.trusted().await?;
        let known = self.cache.version_and_key(id);
        if let Some((version, described)) = &known {
            check_name(version, id, of)?;
            let now = self.clock.now();
            if let Some(described) = described
                && described.is_fresh(now)
                && described.body.check_open(&version.name, version.number, now).is_ok()
            {
                return Ok(Arc::clone(version));
            }
        }
        let (name, number) = match &known {
            Some((version, _)) => (version.name.clone(), version.number),
            None => {
                let entry = self.read_id(id).await?.ok_or(OpenError::UnknownVersion(id))?;
                if of.is_some_and(|of| *of != entry.name) {
                    return Err(self.led_astray(&mut trusted, id, &entry).await);
                }
                (entry.name, entry.number)
            }
        };
        let described = self.permitted(&mut trusted, &name, number).await.map_err(|error| match error {
            // A version that was trimmed, or that was never the newest: nothing was sealed under it that is still to be opened.
            KeyringError::NoVersion { .. } => KeyringError::Open(OpenError::UnknownVersion(id)),
            error => error,
        })?;
        if let Some((version, _)) = known {
            return Ok(version);
        }
        let version = Arc::new(self.read_version(&mut trusted, &name, number, id, &described).await?);
        self.cache.keep_version(Arc::clone(&version));
        Ok(version)
    }

    /// Says whether an entry leads to another key's version, or to none.
    async fn led_astray(&self, trusted: &mut Arc<Trusted>, id: KeyVersionId, entry: &IdRow) -> KeyringError {
        match self.find_version(trusted, &entry.name, entry.number).await {
            Ok(found) if found.row.id == id => KeyringError::Open(OpenError::UnknownVersion(id)),
            Ok(_) => KeyringError::corrupt(format!("the entry of key version {id}"), "it leads to another version"),
            Err(error) => error,
        }
    }

    /// Requires that a version may open. What is known and a second old, or says no, is looked up again.
    async fn permitted(&self, trusted: &mut Arc<Trusted>, name: &KeyName, number: u64) -> Result<KeyBody> {
        let described = self.described_lately(trusted, name).await?;
        if described.body.check_open(name, number, self.clock.now()).is_ok() {
            return Ok(described.body.clone());
        }
        let described = self.look_again(trusted, name, Some(&described)).await?;
        described.body.check_open(name, number, self.clock.now())?;
        Ok(described.body.clone())
    }

    /// Returns the version of a number, prepared; the caller has checked what the key permits.
    pub(super) async fn prepared_number(&self, name: &KeyName, number: u64, body: &KeyBody) -> Result<Arc<Version>> {
        let mut trusted = self.trusted().await?;
        if number == body.newest
            && let Some(version) = self.cache.version(body.newest_id)
            && version.is(name, number)
            && version.born == trusted.deks.current()
        {
            return Ok(version);
        }
        let found = self.find_version(&mut trusted, name, number).await?;
        let id = if number == body.newest { body.newest_id } else { found.row.id };
        let version = Arc::new(self.prepare_found(name, &found, id, body)?);
        self.cache.keep_version(Arc::clone(&version));
        Ok(version)
    }
}

impl Version {
    pub(super) fn seal(&self, context: &Context, message: &[u8]) -> Result<Vec<u8>> {
        match &self.prepared {
            Prepared::Seal(version) => Ok(version.seal_key().seal(version.params(), context, message)?),
            Prepared::XWing(key) => Ok(key.seal_to(self.name.clone()).seal(context, message)?),
            _ => Err(self.wrong_use("seal")),
        }
    }

    pub(super) fn open(&self, context: &Context, sealed: &[u8]) -> Result<Vec<u8>> {
        match &self.prepared {
            Prepared::Seal(version) => Ok(version.seal_key().open(context, sealed)?),
            Prepared::XWing(key) => Ok(key.open(context, sealed)?),
            _ => Err(self.wrong_use("open")),
        }
    }
}

/// Reads which version a value says it was sealed under.
pub(super) fn id_of(sealed: &[u8]) -> Result<KeyVersionId> {
    if sealed.starts_with(SEALED_TO) {
        Ok(SealedToHead::parse(sealed)?.key_version())
    } else {
        Ok(Header::parse(sealed)?.key_version())
    }
}

fn check_name(version: &Version, id: KeyVersionId, of: Option<&KeyName>) -> Result<()> {
    match of {
        Some(name) if *name != version.name => Err(KeyringError::Open(OpenError::UnknownVersion(id))),
        _ => Ok(()),
    }
}
