//! Signing and authenticating, by the name of the key.
//!
//! A signature is the id of the version that made it, and then the bytes of its algorithm over the message alone, so that whoever has the
//! public key can verify those with any program.

use std::fmt;
use std::sync::Arc;

use bulla_seal::{KeyVersionId, Signature};

use super::rows::check_epoch;
use super::{Keyring, refuse_system};
use crate::key::{Prepared, Version};
use crate::{Algorithm, KeyName, KeyringError, PublicKey, Result, UseCase};

/// Length of the id before a signature.
const ID_LEN: usize = 8;

/// One version of a key that signs or authenticates, ready for it. What it makes is without the id of the version: it is for callers that
/// write down themselves which version made it.
pub struct OneWayVersion(Arc<Version>);

impl OneWayVersion {
    /// Returns its number within the key.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Returns what its key does.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`] unless the key signs.
    ///
    /// # Security
    /// Sign only with the version that [`Keyring::current_one_way`] returned for this message: one kept for longer does not notice a
    /// rotation, nor that it was disabled. The same goes for all that it does.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.0.sign_bare(message)
    }

    /// Signs a message whose SHA-256 digest the caller has.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`] unless the key signs digests of SHA-256.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Result<Vec<u8>> {
        match &self.0.prepared {
            Prepared::EcdsaP256(key) => Ok(key.sign_digest(digest)?.to_vec()),
            _ => Err(self.0.wrong_use("sign a digest")),
        }
    }

    /// Says whether a signature is this version's over the message.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`] unless the key signs.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool> {
        self.0.verify(message, signature)
    }

    /// Says whether a signature is this version's over the message with that SHA-256 digest.
    ///
    /// # Errors
    /// As [`Self::sign_digest`].
    pub fn verify_digest(&self, digest: &[u8; 32], signature: &[u8]) -> Result<bool> {
        match &self.0.prepared {
            Prepared::EcdsaP256(key) => Ok(key.public().verifies_digest(digest, signature)),
            _ => Err(self.0.wrong_use("verify the signature of a digest")),
        }
    }

    /// Computes the HMAC of a message.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`] unless it is a key for HMAC.
    pub fn hmac(&self, message: &[u8]) -> Result<Vec<u8>> {
        self.0.hmac_bare(message)
    }

    /// Says whether an HMAC is this version's over the message.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`] unless it is a key for HMAC.
    pub fn verify_hmac(&self, message: &[u8], tag: &[u8]) -> Result<bool> {
        self.0.verify_hmac(message, tag)
    }

    /// Returns what others need to verify.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`] for keys without a public part.
    pub fn public_key(&self) -> Result<PublicKey> {
        self.0.public()
    }

    fn of(version: Arc<Version>, operation: &'static str) -> Result<Self> {
        match version.algorithm.use_case() {
            UseCase::OneWay => Ok(Self(version)),
            UseCase::RoundTrip => Err(version.wrong_use(operation)),
        }
    }
}

impl fmt::Debug for OneWayVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OneWayVersion({} {} {})", self.0.name, self.0.number, self.0.id)
    }
}

impl Keyring {
    /// Returns the newest version of a key that signs or authenticates, as [`Keyring::current`] does for one that seals.
    ///
    /// # Errors
    /// As [`Keyring::current`].
    pub async fn current_one_way(&self, name: &KeyName) -> Result<OneWayVersion> {
        refuse_system(name)?;
        let (version, _) = self.newest(name, 1).await?;
        OneWayVersion::of(version, "sign or authenticate")
    }

    /// Returns a version that was chosen by its number, to sign or authenticate with, as [`Keyring::version_to_seal`] does for sealing.
    ///
    /// # Errors
    /// As [`Keyring::version_to_seal`].
    pub async fn one_way_to_make(&self, name: &KeyName, number: u64) -> Result<OneWayVersion> {
        refuse_system(name)?;
        let described = self.described_now(name).await?;
        described.body.check_seal(name, number, self.clock.now())?;
        let version = self.prepared_number(name, number, &described.body).await?;
        let trusted = self.trusted().await?;
        check_epoch(&trusted, version.born, || format!("version {number} of key `{name}`"))?;
        let version = OneWayVersion::of(version, "sign or authenticate")?;
        if let Some(maximum) = described.body.settings.max_uses
            && self.take_uses(version.0.id, &self.cache.allowance(version.0.id), maximum, 1).await? == 0
        {
            return Err(KeyringError::UsedUp { name: name.clone(), number });
        }
        Ok(version)
    }

    /// Returns the version of a number, to verify with.
    ///
    /// # Errors
    /// As [`Keyring::version_of`].
    pub async fn one_way_of(&self, name: &KeyName, number: u64) -> Result<OneWayVersion> {
        refuse_system(name)?;
        let described = self.described_now(name).await?;
        described.body.check_open(name, number, self.clock.now())?;
        OneWayVersion::of(self.prepared_number(name, number, &described.body).await?, "verify")
    }

    /// Signs a message under the newest version of a key. The signature begins with the id of the version.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`](crate::KeyringError::WrongUse) unless the key signs; as [`Keyring::current`].
    pub async fn sign(&self, name: &KeyName, message: &[u8]) -> Result<Vec<u8>> {
        refuse_system(name)?;
        let (version, _) = self.newest(name, 1).await?;
        version.sign(message)
    }

    /// Says whether a signature is this key's over the message, by any of its versions that may verify.
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`](bulla_seal::OpenError::UnknownVersion) if the key has no version of its id; as [`Keyring::version`].
    pub async fn verify(&self, name: &KeyName, message: &[u8], signature: &[u8]) -> Result<bool> {
        refuse_system(name)?;
        let Some((id, signature)) = split(signature) else { return Ok(false) };
        self.find(id, Some(name)).await?.verify(message, signature)
    }

    /// Computes the HMAC of a message under the newest version of a key. It begins with the id of the version.
    ///
    /// # Errors
    /// [`KeyringError::WrongUse`](crate::KeyringError::WrongUse) unless it is a key for HMAC; as [`Keyring::current`].
    pub async fn hmac(&self, name: &KeyName, message: &[u8]) -> Result<Vec<u8>> {
        refuse_system(name)?;
        let (version, _) = self.newest(name, 1).await?;
        version.hmac(message)
    }

    /// Says whether an HMAC is this key's over the message, by any of its versions that may verify.
    ///
    /// # Errors
    /// As [`Keyring::verify`].
    pub async fn verify_hmac(&self, name: &KeyName, message: &[u8], tag: &[u8]) -> Result<bool> {
        refuse_system(name)?;
        let Some((id, tag)) = split(tag) else { return Ok(false) };
        self.find(id, Some(name)).await?.verify_hmac(message, tag)
    }
}

impl Version {
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok([&self.id.0[..], &self.sign_bare(message)?].concat())
    }

    fn sign_bare(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.prepared {
            Prepared::Ed25519(key) => Ok(key.sign(message)?.0.to_vec()),
            Prepared::EcdsaP256(key) => Ok(key.sign(message)?.to_vec()),
            Prepared::MlDsa65(key) => Ok(key.sign(message)?),
            Prepared::Seal(_) | Prepared::Mac(_) | Prepared::XWing(_) => Err(self.wrong_use("sign")),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<bool> {
        match &self.prepared {
            Prepared::Ed25519(key) => Ok(signature
                .try_into()
                .is_ok_and(|signature| key.verifying_key().verifies(message, &Signature(signature)))),
            Prepared::EcdsaP256(key) => Ok(key.public().verifies(message, signature)),
            Prepared::MlDsa65(key) => Ok(key.public().verifies(message, signature)),
            Prepared::Seal(_) | Prepared::Mac(_) | Prepared::XWing(_) => Err(self.wrong_use("verify signatures")),
        }
    }

    pub(super) fn hmac(&self, message: &[u8]) -> Result<Vec<u8>> {
        Ok([&self.id.0[..], &self.hmac_bare(message)?].concat())
    }

    fn hmac_bare(&self, message: &[u8]) -> Result<Vec<u8>> {
        match &self.prepared {
            Prepared::Mac(key) => Ok(key.tag(message).to_vec()),
            _ => Err(self.wrong_use("compute an HMAC")),
        }
    }

    pub(super) fn verify_hmac(&self, message: &[u8], tag: &[u8]) -> Result<bool> {
        match &self.prepared {
            Prepared::Mac(key) => Ok(key.verifies(message, tag)),
            _ => Err(self.wrong_use("verify an HMAC")),
        }
    }
}

/// Takes the id from what it begins; nothing that is shorter was made by a key.
pub(super) fn split(signature: &[u8]) -> Option<(KeyVersionId, &[u8])> {
    let (id, rest) = signature.split_first_chunk::<ID_LEN>()?;
    Some((KeyVersionId(*id), rest))
}
