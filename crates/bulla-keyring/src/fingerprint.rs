//! What others know of a machine: its public keys, and the fingerprint that names them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bulla_seal::{VerifyingKey, sha256};
use data_encoding::HEXLOWER;
use hpke::{Deserializable, kem::XWing};

/// Length of an X-Wing public key, in bytes.
pub const ENCRYPTION_KEY_LEN: usize = 1_216;

const LABEL: &[u8] = b"bulla/fingerprint/v1";

/// Names a machine: the SHA-256 of both its public keys. Written as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, ParseFingerprintError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseFingerprintError)?;
        bytes.try_into().map(Self).map_err(|_| ParseFingerprintError)
    }
}

/// The text was not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 lower-case hex digits")]
pub struct ParseFingerprintError;

/// Both public keys of a machine: one to wrap data keys to, one to verify its records with.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicIdentity {
    /// Shared by its copies: it is long, and a project may have thousands.
    encryption: Arc<[u8; ENCRYPTION_KEY_LEN]>,
    signing: VerifyingKey,
}

impl PublicIdentity {
    /// Takes an X-Wing and an Ed25519 public key, or returns `None` if the former is none.
    #[must_use]
    pub fn new(encryption: &[u8], signing: VerifyingKey) -> Option<Self> {
        // Checks the encoding of the ML-KEM part, as FIPS 203 §7.2 demands before use.
        <XWing as hpke::Kem>::PublicKey::from_bytes(encryption).ok()?;
        let encryption = Arc::new(encryption.try_into().ok()?);
        Some(Self { encryption, signing })
    }

    /// Returns the X-Wing public key.
    #[must_use]
    pub fn encryption(&self) -> &[u8; ENCRYPTION_KEY_LEN] {
        &self.encryption
    }

    /// Returns the Ed25519 public key.
    #[must_use]
    pub fn signing(&self) -> VerifyingKey {
        self.signing
    }

    /// Returns the fingerprint: SHA-256("bulla/fingerprint/v1" ‖ X-Wing public key ‖ Ed25519 public key).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(sha256(&[LABEL, self.encryption.as_slice(), &self.signing.0].concat()))
    }
}

impl fmt::Debug for PublicIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicIdentity({})", self.fingerprint())
    }
}
