//! What keys do.

use std::fmt;
use std::str::FromStr;

use bulla_seal::{EcdsaKey, Params, Secret, SecretVec, Suite};

use crate::Result;

/// Length of generated material, in bytes.
pub(crate) const GENERATED_LEN: usize = 32;

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// AES-256-GCM. The default.
    #[default]
    Aes256Gcm,
    /// ChaCha20-Poly1305, for machines without AES instructions.
    ChaCha20Poly1305,
    /// AES-256-GCM with a salt derived from the message, for equality look-up.
    ///
    /// # Security
    /// Whoever sees two sealed values learns whether their messages are equal. Values of one message under two versions differ: look-up by
    /// equality ends at each rotation, unless the older values are rewrapped.
    Aes256Deterministic,
    /// HMAC with SHA-256: whoever can verify can also have made it.
    HmacSha256,
    /// Ed25519 signatures.
    Ed25519,
    /// ECDSA signatures over P-256 with SHA-256.
    EcdsaP256,
    /// ML-DSA-65 signatures, which a quantum computer does not forge.
    MlDsa65,
    /// X-Wing: whoever has the public key seals, only the project opens.
    XWing,
}

impl Algorithm {
    pub(crate) const ALL: [Self; 8] = [
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
        Self::Aes256Deterministic,
        Self::HmacSha256,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::MlDsa65,
        Self::XWing,
    ];

    /// Returns the name that the command line and `spec/keyring.md` use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aes256Deterministic => "aes256-det",
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::MlDsa65 => "ml-dsa-65",
            Self::XWing => "xwing",
        }
    }

    /// Returns the use case that the algorithm serves.
    #[must_use]
    pub const fn use_case(self) -> UseCase {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::Aes256Deterministic | Self::XWing => UseCase::RoundTrip,
            Self::HmacSha256 | Self::Ed25519 | Self::EcdsaP256 | Self::MlDsa65 => UseCase::OneWay,
        }
    }

    /// Returns how values are sealed with it, if it is one for sealing under a key that both sides hold.
    #[must_use]
    pub fn params(self) -> Option<Params> {
        let suite = match self {
            Self::Aes256Gcm => Suite::Aes256Gcm,
            Self::ChaCha20Poly1305 => Suite::ChaCha20Poly1305,
            Self::Aes256Deterministic => Suite::Aes256Deterministic,
            Self::HmacSha256 | Self::Ed25519 | Self::EcdsaP256 | Self::MlDsa65 | Self::XWing => return None,
        };
        Some(Params::new(suite))
    }

    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
            Self::Aes256Deterministic => 3,
            Self::HmacSha256 => 4,
            Self::Ed25519 => 5,
            Self::EcdsaP256 => 6,
            Self::MlDsa65 => 7,
            Self::XWing => 8,
        }
    }

    pub(crate) fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.number() == number)
    }

    /// Draws material for a version. Each algorithm takes 32 random bytes, but for the one key in 2^32 that ECDSA has not.
    pub(crate) fn draw(self) -> Result<SecretVec> {
        let drawn = match self {
            Self::EcdsaP256 => EcdsaKey::generate()?.secret().expose().to_vec(),
            _ => Secret::<GENERATED_LEN>::random()?.expose().to_vec(),
        };
        Ok(SecretVec::new(drawn))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = ParseAlgorithmError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseAlgorithmError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(ParseAlgorithmError)
    }
}

/// The text names no algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the algorithms are `aes256-gcm`, `chacha20-poly1305`, `aes256-det` and `xwing` to seal; `hmac-sha256`, `ed25519`, `ecdsa-p256` and \
     `ml-dsa-65` to sign"
)]
pub struct ParseAlgorithmError;

/// In which directions a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UseCase {
    /// Seal on the forward path, open on the back path.
    RoundTrip,
    /// Sign or authenticate; verify.
    OneWay,
}

impl UseCase {
    /// Returns the name that the command line and `spec/keyring.md` use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "round-trip",
            Self::OneWay => "one-way",
        }
    }

    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::RoundTrip => 1,
            Self::OneWay => 2,
        }
    }
}

impl fmt::Display for UseCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_unique() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(Algorithm::from_number(algorithm.number()), Some(algorithm));
            assert_eq!(algorithm.draw().unwrap().expose().len(), GENERATED_LEN);
            assert!(ParseAlgorithmError.to_string().contains(algorithm.name()));
        }
        assert_eq!("aes".parse::<Algorithm>(), Err(ParseAlgorithmError));
    }
}
