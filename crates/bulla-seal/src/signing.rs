//! Ed25519 signatures (RFC 8032).

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::{SealError, Secret};

/// An Ed25519 private key: its seed, in locked memory.
pub struct SigningKey {
    seed: Secret<32>,
    public: VerifyingKey,
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// An Ed25519 public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VerifyingKey(pub [u8; 32]);

impl SigningKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        Self::from_seed(Secret::random()?)
    }

    /// Takes the 32-byte seed of RFC 8032 §5.1.5.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn from_seed(seed: Secret<32>) -> Result<Self, SealError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose()).map_err(|_| SealError::Library)?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| SealError::Library)?;
        Ok(Self { seed, public: VerifyingKey(public) })
    }

    /// Returns the seed, for storing it.
    #[must_use]
    pub fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// Returns the public key.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.public
    }

    /// Signs a message.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Signature, SealError> {
        let pair = Ed25519KeyPair::from_seed_and_public_key(self.seed.expose(), &self.public.0)
            .map_err(|_| SealError::Library)?;
        pair.sign(message).as_ref().try_into().map(Signature).map_err(|_| SealError::Library)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.public)
    }
}

impl VerifyingKey {
    /// Says whether the signature is this key's over the message.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, &signature.0).is_ok()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_verifies() {
        let key = SigningKey::generate().unwrap();
        let signature = key.sign(b"a message").unwrap();
        assert!(key.verifying_key().verifies(b"a message", &signature));
        assert!(!key.verifying_key().verifies(b"another", &signature));
        let copy = SigningKey::from_seed(Secret::from_slice(key.seed().expose()).unwrap()).unwrap();
        assert_eq!(copy.verifying_key(), key.verifying_key());
    }
}
