//! Signing and authenticating, by the name of the key.
//!
//! A signature is the id of the version that made it, and then the bytes of its algorithm over the message alone, so that whoever has the
//! public key can verify those with any program.

use bulla_seal::{KeyVersionId, Signature};

use super::{Keyring, refuse_system};
use crate::key::{Prepared, Version};
use crate::{KeyName, Result};

/// Length of the id before a signature.
const ID_LEN: usize = 8;

impl Keyring {
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
        let signature = match &self.prepared {
            Prepared::Ed25519(key) => key.sign(message)?.0.to_vec(),
            Prepared::EcdsaP256(key) => key.sign(message)?.to_vec(),
            Prepared::MlDsa65(key) => key.sign(message)?,
            Prepared::Seal(_) | Prepared::Mac(_) | Prepared::XWing(_) => return Err(self.wrong_use("sign")),
        };
        Ok([&self.id.0[..], &signature].concat())
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
        match &self.prepared {
            Prepared::Mac(key) => Ok([&self.id.0[..], &key.tag(message)].concat()),
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
