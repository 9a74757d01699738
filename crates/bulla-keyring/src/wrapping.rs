//! Wrapping of 32-byte keys to machines: HPKE (RFC 9180) in base mode, X-Wing, HKDF-SHA256, AES-256-GCM.
//!
//! # Security
//! Base mode names no sender: whoever knows a machine's public keys can wrap to it. What is unwrapped has to prove itself by something else.

use bulla_seal::{SealError, Secret};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use crate::format::WRAPPED_LEN;
use crate::random::Random;
use crate::{Identity, PublicIdentity};

const ENCAPSULATED_LEN: usize = 1_120;

type PrivateKey = <XWing as Kem>::PrivateKey;
type PublicKey = <XWing as Kem>::PublicKey;
type EncappedKey = <XWing as Kem>::EncappedKey;

/// Wraps a key to a machine; returns the encapsulated key and the ciphertext. `info` says for what, and binds it.
pub(crate) fn wrap(
    key: &Secret<32>,
    info: &[u8],
    machine: &PublicIdentity,
) -> Result<Box<[u8; WRAPPED_LEN]>, SealError> {
    let public = PublicKey::from_bytes(machine.encryption()).map_err(|_| SealError::Library)?;
    let mut random = Random::default();
    let sealed = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(
        &OpModeS::Base,
        &public,
        info,
        key.expose(),
        &[],
        &mut random,
    );
    if random.failed() {
        return Err(SealError::Random);
    }
    let (encapsulated, ciphertext) = sealed.map_err(|_| SealError::Library)?;
    let mut wrapped = Box::new([0; WRAPPED_LEN]);
    let (first, second) = wrapped.split_at_mut(ENCAPSULATED_LEN);
    if ciphertext.len() != second.len() {
        return Err(SealError::Library);
    }
    first.copy_from_slice(&encapsulated.to_bytes());
    second.copy_from_slice(&ciphertext);
    Ok(wrapped)
}

/// Unwraps a key, or returns `None` if it was wrapped to another machine or for something else.
pub(crate) fn unwrap(wrapped: &[u8; WRAPPED_LEN], info: &[u8], identity: &Identity) -> Option<Secret<32>> {
    let (encapsulated, ciphertext) = wrapped.split_at(ENCAPSULATED_LEN);
    let encapsulated = EncappedKey::from_bytes(encapsulated).ok()?;
    let private = PrivateKey::from_bytes(identity.seed().expose()).ok()?;
    let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, XWing>(
        &OpModeR::Base,
        &private,
        &encapsulated,
        info,
        ciphertext,
        &[],
    );
    Secret::from_slice(&Zeroizing::new(opened.ok()?))
}
