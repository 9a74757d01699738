//! The key of one backup, wrapped to each machine that may restore it.

use bulla_seal::{ProjectId, SealError, SealKey, Secret};
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use zeroize::Zeroizing;

use super::format::{Recipient, WRAPPED_LEN};
use crate::random::Random;
use crate::{Fingerprint, Identity, PublicIdentity};

const ENCAPSULATED_LEN: usize = 1_120;
const INFO: &[u8] = b"bulla/backup/wrap/v1";

type PrivateKey = <XWing as Kem>::PrivateKey;
type PublicKey = <XWing as Kem>::PublicKey;
type EncappedKey = <XWing as Kem>::EncappedKey;

/// What the body of one backup is sealed under: 32 random bytes, used for nothing else.
#[derive(Debug)]
pub(super) struct ContentKey(Secret<32>);

impl ContentKey {
    pub(super) fn draw() -> Result<Self, SealError> {
        Secret::random().map(Self)
    }

    /// Prepares the key to seal or open the body.
    pub(super) fn seal_key(&self) -> Result<SealKey, SealError> {
        SealKey::with_derived_id(self.0.expose())
    }

    /// Wraps the key to a machine: HPKE (RFC 9180) in base mode, X-Wing, HKDF-SHA256, AES-256-GCM.
    ///
    /// # Security
    /// Wrap only to public keys from a verified grant: base mode says nothing about who the recipient is.
    pub(super) fn wrap(&self, project: &ProjectId, machine: &PublicIdentity) -> Result<Recipient, SealError> {
        let public = PublicKey::from_bytes(machine.encryption()).map_err(|_| SealError::Library)?;
        let mut random = Random::default();
        let sealed = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(
            &OpModeS::Base,
            &public,
            &info(project, machine.fingerprint()),
            self.0.expose(),
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
        Ok(Recipient { machine: machine.fingerprint(), wrapped })
    }

    /// Unwraps the key, or returns `None` if it was not wrapped to this identity, for this project.
    pub(super) fn unwrap(recipient: &Recipient, project: &ProjectId, identity: &Identity) -> Option<Self> {
        let (encapsulated, ciphertext) = recipient.wrapped.split_at(ENCAPSULATED_LEN);
        let encapsulated = EncappedKey::from_bytes(encapsulated).ok()?;
        let private = PrivateKey::from_bytes(identity.seed().expose()).ok()?;
        let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, XWing>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            &info(project, identity.fingerprint()),
            ciphertext,
            &[],
        );
        Secret::from_slice(&Zeroizing::new(opened.ok()?)).map(Self)
    }
}

fn info(project: &ProjectId, machine: Fingerprint) -> Vec<u8> {
    [INFO, &project.0, &machine.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: ProjectId = ProjectId([1; 32]);

    #[test]
    fn a_content_key_opens_for_its_machine_and_project_only() {
        let machine = Identity::generate().unwrap();
        let key = ContentKey::draw().unwrap();
        let recipient = key.wrap(&PROJECT, machine.public()).unwrap();
        let opened = ContentKey::unwrap(&recipient, &PROJECT, &machine).unwrap();
        assert!(opened.0 == key.0);
        assert!(ContentKey::unwrap(&recipient, &ProjectId([2; 32]), &machine).is_none());
        assert!(ContentKey::unwrap(&recipient, &PROJECT, &Identity::generate().unwrap()).is_none());
        for at in (0..WRAPPED_LEN).step_by(97).chain([WRAPPED_LEN - 1]) {
            let mut altered = recipient.clone();
            altered.wrapped[at] ^= 1;
            assert!(ContentKey::unwrap(&altered, &PROJECT, &machine).is_none(), "byte {at}");
        }
    }
}
