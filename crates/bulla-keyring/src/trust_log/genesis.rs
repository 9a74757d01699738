//! Creation of a project: four documents, resumable after any of them.

use bulla_backend::{BackendError, Documents, ErrorKind, Expected, Timestamp};
use bulla_seal::{ProjectId, SealError, fill_random};

use super::{Capability, Problem};
use crate::dek::Candidate;
use crate::format::{Act, Record, RecordHash, SignedRecord, TRUST_LOG, WRAPS, Wrap, position_key, wrap_key};
use crate::{Identity, KeyringError, MachineName, Result};

const FIRST_EPOCH: u64 = 1;

/// How often a lost race is tried again. Only the same identity, used twice at once, can lose one.
const MAX_ATTEMPTS: usize = 16;

/// Writes root, wrap, first grant and first epoch, or those of them that an interrupted call has left out.
///
/// The root claims the database. Everything behind it is made by the same identity under the data key that was wrapped first, so
/// that whoever resumes goes on where the other stopped.
pub(crate) async fn create(
    trust: &dyn Documents,
    identity: &Identity,
    machine: &MachineName,
    now: Timestamp,
) -> Result<ProjectId> {
    if stored(trust, 0).await?.is_none() {
        let mut nonce = [0; 32];
        fill_random(&mut nonce)?;
        let act = Act::Root { author: identity.public().clone(), nonce };
        let begin = Beginning { trust, identity, project: ProjectId(RecordHash::NONE.0), now };
        begin.append(0, RecordHash::NONE, act).await?;
    }
    let root = stored(trust, 0).await?.ok_or_else(|| Problem::Missing.at(0))?;
    let root = SignedRecord::decode(&root).ok_or_else(|| Problem::Malformed.at(0))?;
    let project = ProjectId(root.hash().0);
    let ours = root.record().author == identity.fingerprint() && root.verifies(&identity.signing().verifying_key());
    if !ours || stored(trust, 2).await?.is_some() {
        return Err(KeyringError::ProjectExists { project, ours });
    }
    Beginning { trust, identity, project, now }.complete(&root, machine).await?;
    Ok(project)
}

struct Beginning<'a> {
    trust: &'a dyn Documents,
    identity: &'a Identity,
    project: ProjectId,
    now: Timestamp,
}

impl Beginning<'_> {
    async fn complete(&self, root: &SignedRecord, machine: &MachineName) -> Result<()> {
        let dek = self.first_dek().await?;
        let me = self.identity.fingerprint();
        let grant = Act::Grant {
            machine: machine.clone(),
            subject: self.identity.public().clone(),
            epoch: FIRST_EPOCH,
            capability: dek.seal_capability(&self.project, me, Capability::Authorise)?,
        };
        self.append(1, root.hash(), grant).await?;
        let grant = stored(self.trust, 1).await?.ok_or_else(|| Problem::Missing.at(1))?;
        let grant = SignedRecord::decode(&grant).ok_or_else(|| Problem::Malformed.at(1))?;
        let commitment = dek.commitment(&self.project)?;
        let epoch = Act::Epoch { epoch: FIRST_EPOCH, commitment, previous: RecordHash::NONE };
        self.append(2, grant.hash(), epoch).await
    }

    /// Returns the data key that is wrapped to this machine already, or draws and wraps one.
    async fn first_dek(&self) -> Result<Candidate> {
        let key = wrap_key(self.identity.fingerprint(), FIRST_EPOCH)?;
        for _ in 0..MAX_ATTEMPTS {
            let found = self.trust.get(WRAPS, &key).await?;
            let wrap = found.as_ref().and_then(|document| Wrap::decode(&document.value));
            if let Some(dek) = wrap.and_then(|wrap| Candidate::unwrap(&wrap, &self.project, self.identity)) {
                return Ok(dek);
            }
            // What is there was made for another project, one whose root was never written.
            let expected = found.map_or(Expected::Absent, |document| Expected::Revision(document.revision));
            let dek = Candidate::draw(FIRST_EPOCH)?;
            let wrap = dek.wrap(&self.project, self.identity.public())?;
            match self.trust.put(WRAPS, &key, &wrap.encode(), expected).await {
                Ok(_) => return Ok(dek),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict("the first data key".to_owned()))
    }

    /// Writes a record unless one is there; which of two writers was first does not matter to either.
    async fn append(&self, position: u64, previous: RecordHash, act: Act) -> Result<()> {
        let (project, author, time) = (self.project, self.identity.fingerprint(), self.now);
        let record = Record { position, previous, project, author, time, act };
        let signed: std::result::Result<_, SealError> = record.sign(self.identity.signing());
        let written = self.trust.put(TRUST_LOG, &position_key(position)?, &signed?.encode(), Expected::Absent).await;
        match written {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

async fn stored(trust: &dyn Documents, position: u64) -> std::result::Result<Option<Vec<u8>>, BackendError> {
    Ok(trust.get(TRUST_LOG, &position_key(position)?).await?.map(|document| document.value))
}
