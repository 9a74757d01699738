//! Data keys, from what a wrap held to what may be used: [`Candidate`] → [`Committed`] → [`Dek`].
//!
//! Each step takes the proof of the one before it by value, and nothing else makes one: a [`Dek`] exists only where the data key was
//! unwrapped, matches the commitment of its epoch record, and the verified trust log has a grant for this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bulla_seal::{Context, Header, Params, ProjectId, SealError, SealKey, Secret, constant_time_eq, derive};

use crate::format::Wrap;
use crate::trust_log::Granted;
use crate::{Capability, Fingerprint, Identity, PublicIdentity, wrapping};

const DEK_LEN: usize = 32;

const WRAP_INFO: &[u8] = b"bulla/dek/wrap/v1";
const COMMITMENT_LABEL: &str = "bulla/dek/commitment/v1";
const KEYS_LABEL: &str = "bulla/wrap/v1";
const CAPABILITY_LABEL: &str = "bulla/capability/v1";
const CAPABILITY_DOMAIN: &str = "bulla/trust-log/capability";

/// What a wrap held, or a new data key: proves nothing about the project yet.
#[derive(Debug)]
pub(crate) struct Candidate {
    epoch: u64,
    secret: Secret<DEK_LEN>,
}

impl Candidate {
    /// Draws the data key of a new epoch.
    pub(crate) fn draw(epoch: u64) -> Result<Self, SealError> {
        Ok(Self { epoch, secret: Secret::random()? })
    }

    /// Unwraps a machine's copy, or returns `None` if it was not wrapped to this identity, for this project and epoch.
    pub(crate) fn unwrap(wrap: &Wrap, project: &ProjectId, identity: &Identity) -> Option<Self> {
        let info = wrap_info(project, wrap.epoch, identity.fingerprint());
        let secret = wrapping::unwrap(&wrap.wrapped, &info, identity)?;
        Some(Self { epoch: wrap.epoch, secret })
    }

    /// Computes the commitment that the epoch record carries.
    pub(crate) fn commitment(&self, project: &ProjectId) -> Result<[u8; 32], SealError> {
        let info = [&project.0[..], &self.epoch.to_be_bytes()].concat();
        derive(self.secret.expose(), COMMITMENT_LABEL, &info).map(|commitment| *commitment.expose())
    }

    /// Seals what a machine may do, for its grant.
    pub(crate) fn seal_capability(
        &self,
        project: &ProjectId,
        subject: Fingerprint,
        capability: Capability,
    ) -> Result<Vec<u8>, SealError> {
        seal_capability(&self.capability_key()?, project, subject, capability)
    }

    /// Opens what a machine may do, or returns `None` if it was sealed for another machine or under another data key.
    pub(crate) fn open_capability(
        &self,
        project: &ProjectId,
        subject: Fingerprint,
        sealed: &[u8],
    ) -> Result<Option<Capability>, SealError> {
        Ok(open_capability(&self.capability_key()?, project, subject, sealed))
    }

    /// Compares with the commitment of an epoch record.
    pub(crate) fn check(self, project: &ProjectId, commitment: &[u8; 32]) -> Result<Option<Committed>, SealError> {
        if !constant_time_eq(&self.commitment(project)?, commitment) {
            return Ok(None);
        }
        let wrap = SealKey::with_derived_id(derive(self.secret.expose(), KEYS_LABEL, &[])?.expose())?;
        let capability = self.capability_key()?;
        Ok(Some(Committed { epoch: self.epoch, commitment: *commitment, secret: self.secret, capability, wrap }))
    }

    /// Wraps the data key to a machine, as [`Dek::wrap_to`] does.
    pub(crate) fn wrap_to(&self, project: &ProjectId, machine: &PublicIdentity) -> Result<Wrap, SealError> {
        wrap_to(self.epoch, &self.secret, project, machine)
    }

    fn capability_key(&self) -> Result<SealKey, SealError> {
        SealKey::with_derived_id(derive(self.secret.expose(), CAPABILITY_LABEL, &[])?.expose())
    }
}

/// A data key that matches the commitment of its epoch record.
#[derive(Debug)]
pub(crate) struct Committed {
    epoch: u64,
    commitment: [u8; 32],
    secret: Secret<DEK_LEN>,
    capability: SealKey,
    wrap: SealKey,
}

impl Committed {
    /// Opens what a machine may do, or returns `None` if it was sealed for another machine or under another data key.
    pub(crate) fn open_capability(
        &self,
        project: &ProjectId,
        subject: Fingerprint,
        sealed: &[u8],
    ) -> Option<Capability> {
        open_capability(&self.capability, project, subject, sealed)
    }
}

/// The data key of one epoch, ready to wrap key versions. Where there is one, this machine was let in.
#[derive(Clone)]
pub(crate) struct Dek(Arc<Committed>);

impl Dek {
    /// Releases a data key against the proof that this machine was let in.
    fn release(committed: Arc<Committed>, _granted: &Granted) -> Self {
        Self(committed)
    }

    /// Returns the key under which key versions are sealed.
    pub(crate) fn wrap(&self) -> &SealKey {
        &self.0.wrap
    }

    /// Returns the number of its epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Returns the commitment that the epoch record carries.
    pub(crate) fn commitment(&self) -> &[u8; 32] {
        &self.0.commitment
    }

    /// Wraps the data key to a machine: HPKE (RFC 9180) in base mode, X-Wing, HKDF-SHA256, AES-256-GCM.
    ///
    /// # Security
    /// Wrap only to public keys from a verified grant, or from one that this machine is about to sign: base mode says nothing about who
    /// the recipient is.
    pub(crate) fn wrap_to(&self, project: &ProjectId, machine: &PublicIdentity) -> Result<Wrap, SealError> {
        wrap_to(self.0.epoch, &self.0.secret, project, machine)
    }

    /// Seals what a machine may do, for its grant.
    pub(crate) fn seal_capability(
        &self,
        project: &ProjectId,
        subject: Fingerprint,
        capability: Capability,
    ) -> Result<Vec<u8>, SealError> {
        seal_capability(&self.0.capability, project, subject, capability)
    }
}

impl fmt::Debug for Dek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dek(..)")
    }
}

/// The data keys of all epochs that this machine has copies of, the current one among them.
#[derive(Debug)]
pub(crate) struct Deks {
    keys: BTreeMap<u64, Dek>,
    current: Dek,
}

impl Deks {
    /// Releases data keys against the proof that this machine was let in; `None` unless that of the current epoch is there.
    pub(crate) fn release(
        committed: impl IntoIterator<Item = Arc<Committed>>,
        current: u64,
        granted: &Granted,
    ) -> Option<Self> {
        let released = committed.into_iter().map(|committed| (committed.epoch, Dek::release(committed, granted)));
        let keys: BTreeMap<_, _> = released.collect();
        let current = keys.get(&current)?.clone();
        Some(Self { keys, current })
    }

    /// Returns the data key of an epoch.
    pub(crate) fn of(&self, epoch: u64) -> Option<&Dek> {
        self.keys.get(&epoch)
    }

    /// Returns all of them, in order of their epochs.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &Dek> {
        self.keys.values()
    }

    /// Returns the data key of the current epoch.
    pub(crate) fn newest(&self) -> &Dek {
        &self.current
    }

    /// Returns the number of the current epoch.
    pub(crate) fn current(&self) -> u64 {
        self.current.epoch()
    }
}

fn wrap_to(
    epoch: u64,
    secret: &Secret<DEK_LEN>,
    project: &ProjectId,
    machine: &PublicIdentity,
) -> Result<Wrap, SealError> {
    let info = wrap_info(project, epoch, machine.fingerprint());
    let wrapped = wrapping::wrap(secret, &info, machine)?;
    Ok(Wrap { epoch, machine: machine.fingerprint(), wrapped })
}

fn wrap_info(project: &ProjectId, epoch: u64, machine: Fingerprint) -> Vec<u8> {
    [WRAP_INFO, &project.0, &epoch.to_be_bytes(), &machine.0].concat()
}

fn seal_capability(
    key: &SealKey,
    project: &ProjectId,
    subject: Fingerprint,
    capability: Capability,
) -> Result<Vec<u8>, SealError> {
    let context = capability_context(project, subject)?;
    key.seal(Params::default(), &context, &capability.number().to_be_bytes())
}

fn open_capability(key: &SealKey, project: &ProjectId, subject: Fingerprint, sealed: &[u8]) -> Option<Capability> {
    // A flag that was sealed otherwise was not written by this format: suite 3, say, would leave it readable.
    Header::parse(sealed).ok().filter(|header| header.params() == Params::default())?;
    let context = capability_context(project, subject).ok()?;
    let number = key.open(&context, sealed).ok()?;
    Capability::from_number(u32::from_be_bytes(number.try_into().ok()?))
}

fn capability_context(project: &ProjectId, subject: Fingerprint) -> Result<Context, SealError> {
    Context::in_domain(CAPABILITY_DOMAIN, project).bytes("subject", &subject.0).build()
}

#[cfg(test)]
mod tests {
    use bulla_seal::Suite;

    use super::*;
    use crate::format::WRAPPED_LEN;

    const PROJECT: ProjectId = ProjectId([1; 32]);

    #[test]
    fn a_wrap_opens_for_its_machine_project_and_epoch_only() {
        let machine = Identity::generate().unwrap();
        let dek = Candidate::draw(1).unwrap();
        let wrap = dek.wrap_to(&PROJECT, machine.public()).unwrap();
        assert_eq!(Wrap::decode(&wrap.encode()).as_ref(), Some(&wrap));
        let opened = Candidate::unwrap(&wrap, &PROJECT, &machine).unwrap();
        assert!(opened.secret == dek.secret);

        assert!(Candidate::unwrap(&wrap, &ProjectId([2; 32]), &machine).is_none());
        assert!(Candidate::unwrap(&Wrap { epoch: 2, ..wrap.clone() }, &PROJECT, &machine).is_none());
        assert!(Candidate::unwrap(&wrap, &PROJECT, &Identity::generate().unwrap()).is_none());
        for at in (0..WRAPPED_LEN).step_by(97).chain([WRAPPED_LEN - 1]) {
            let mut altered = wrap.clone();
            altered.wrapped[at] ^= 1;
            assert!(Candidate::unwrap(&altered, &PROJECT, &machine).is_none(), "byte {at}");
        }
    }

    #[test]
    fn a_capability_opens_for_its_subject_and_data_key_only() {
        let dek = Candidate::draw(1).unwrap();
        let other = Candidate::draw(1).unwrap();
        let subject = Fingerprint([3; 32]);
        let sealed = dek.seal_capability(&PROJECT, subject, Capability::Authorise).unwrap();
        let commitment = dek.commitment(&PROJECT).unwrap();
        assert!(Candidate::draw(1).unwrap().check(&PROJECT, &commitment).unwrap().is_none());
        let committed = dek.check(&PROJECT, &commitment).unwrap().unwrap();
        assert_eq!(committed.open_capability(&PROJECT, subject, &sealed), Some(Capability::Authorise));
        assert_eq!(committed.open_capability(&PROJECT, Fingerprint([4; 32]), &sealed), None);
        assert_eq!(committed.open_capability(&ProjectId([9; 32]), subject, &sealed), None);
        let theirs = other.commitment(&PROJECT).unwrap();
        let other = other.check(&PROJECT, &theirs).unwrap().unwrap();
        assert_eq!(other.open_capability(&PROJECT, subject, &sealed), None);
        let context = capability_context(&PROJECT, subject).unwrap();
        for suite in [Suite::ChaCha20Poly1305, Suite::Authenticated] {
            let otherwise = committed.capability.seal(Params::new(suite), &context, &2_u32.to_be_bytes()).unwrap();
            assert_eq!(committed.open_capability(&PROJECT, subject, &otherwise), None, "{suite:?}");
        }
    }
}
