//! The key of one backup, wrapped to each machine that may restore it.

use bulla_seal::{ProjectId, SealError, SealKey, Secret};

use super::format::Recipient;
use crate::{Fingerprint, Identity, PublicIdentity, wrapping};

const INFO: &[u8] = b"bulla/backup/wrap/v1";

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

    /// Wraps the key to a machine.
    ///
    /// # Security
    /// Wrap only to public keys from a verified grant: base mode says nothing about who the recipient is.
    pub(super) fn wrap(&self, project: &ProjectId, machine: &PublicIdentity) -> Result<Recipient, SealError> {
        let wrapped = wrapping::wrap(&self.0, &info(project, machine.fingerprint()), machine)?;
        Ok(Recipient { machine: machine.fingerprint(), wrapped })
    }

    /// Unwraps the key, or returns `None` if it was not wrapped to this identity, for this project.
    pub(super) fn unwrap(recipient: &Recipient, project: &ProjectId, identity: &Identity) -> Option<Self> {
        wrapping::unwrap(&recipient.wrapped, &info(project, identity.fingerprint()), identity).map(Self)
    }
}

fn info(project: &ProjectId, machine: Fingerprint) -> Vec<u8> {
    [INFO, &project.0, &machine.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::WRAPPED_LEN;

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
