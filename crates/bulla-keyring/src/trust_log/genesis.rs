//! Creation of a project: four documents, written at once where the backend can, and resumable after any of them where it cannot.

#[cfg(test)]
mod tests;

use bulla_backend::{BackendError, Documents, ErrorKind, Expected, Timestamp, Write};
use bulla_seal::{ProjectId, SealError, fill_random};

use super::{Capability, Problem};
use crate::dek::Candidate;
use crate::format::{Act, Record, RecordHash, SignedRecord, TRUST_LOG, WRAPS, Wrap, position_key, wrap_key};
use crate::{Identity, KeyringError, MachineName, Result};

const FIRST_EPOCH: u64 = 1;

/// How often a lost race is tried again. Only the same identity, used twice at once, or a hostile writer can win one.
const MAX_ATTEMPTS: usize = 16;

/// Writes root, wrap, first grant and first epoch, or those of them that an interrupted call has left out.
///
/// The root claims the database. The first grant decides on the data key: whoever resumes goes on with the one that seals the
/// capability of that grant, and with no other, for a wrap alone does not say who made it.
pub(crate) async fn create(
    trust: &dyn Documents,
    identity: &Identity,
    machine: &MachineName,
    now: Timestamp,
) -> Result<ProjectId> {
    if stored(trust, 0).await?.is_none() {
        let mut nonce = [0; 32];
        fill_random(&mut nonce)?;
        let nowhere = Beginning { trust, identity, machine, project: ProjectId(RecordHash::NONE.0), now };
        let root = nowhere.sign(0, RecordHash::NONE, Act::Root { author: identity.public().clone(), nonce })?;
        let begin = Beginning { project: ProjectId(root.hash().0), ..nowhere };
        if trust.capabilities().commit {
            if begin.write_at_once(&root).await? {
                return Ok(begin.project);
            }
        } else {
            begin.write(&root).await?;
        }
    }
    let root = stored(trust, 0).await?.ok_or_else(|| Problem::Missing.at(0))?;
    let root = SignedRecord::decode(&root).ok_or_else(|| Problem::Malformed.at(0))?;
    let project = ProjectId(root.hash().0);
    let ours = root.record().author == identity.fingerprint() && root.verifies(&identity.signing().verifying_key());
    if !ours || stored(trust, 2).await?.is_some() {
        return Err(KeyringError::ProjectExists { project, ours });
    }
    Beginning { trust, identity, machine, project, now }.complete(&root).await?;
    Ok(project)
}

struct Beginning<'a> {
    trust: &'a dyn Documents,
    identity: &'a Identity,
    machine: &'a MachineName,
    project: ProjectId,
    now: Timestamp,
}

impl Beginning<'_> {
    /// Writes everything in one commit, in which nobody can put a wrap of their own; says whether nobody else had begun.
    async fn write_at_once(&self, root: &SignedRecord) -> Result<bool> {
        let dek = Candidate::draw(FIRST_EPOCH)?;
        let grant = self.grant(root, &dek)?;
        let epoch = self.epoch(&grant, &dek)?;
        let mut writes = Vec::new();
        for record in [root, &grant, &epoch] {
            writes.push(Write::Put {
                collection: TRUST_LOG,
                key: position_key(record.record().position)?,
                value: record.encode(),
                expected: Expected::Absent,
            });
        }
        writes.push(Write::Put {
            collection: WRAPS,
            key: wrap_key(self.identity.fingerprint(), FIRST_EPOCH)?,
            value: dek.wrap(&self.project, self.identity.public())?.encode(),
            // Whatever lies here belongs to no project: there was no root.
            expected: Expected::Any,
        });
        match self.trust.commit(&writes).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what is missing behind a root of ours, one document at a time.
    async fn complete(&self, root: &SignedRecord) -> Result<()> {
        let mut known = Vec::new();
        for _ in 0..MAX_ATTEMPTS {
            let Some(grant) = stored(self.trust, 1).await? else {
                let dek = Candidate::draw(FIRST_EPOCH)?;
                // Where the same identity is used twice at once, what is replaced may be what the other is about to grant under.
                known.extend(self.keep_wrap(&dek).await?);
                self.write(&self.grant(root, &dek)?).await?;
                known.push(dek);
                continue;
            };
            let grant = SignedRecord::decode(&grant).ok_or_else(|| Problem::Malformed.at(1))?;
            let dek = self.granted(root, &grant, known).await?;
            self.keep_wrap(&dek).await?;
            return self.write(&self.epoch(&grant, &dek)?).await;
        }
        Err(KeyringError::Conflict("the first grant".to_owned()))
    }

    /// Returns the data key that seals the capability of the first grant: one that this call knows, or the wrapped one.
    async fn granted(&self, root: &SignedRecord, grant: &SignedRecord, mut known: Vec<Candidate>) -> Result<Candidate> {
        let (me, record) = (self.identity.fingerprint(), grant.record());
        let in_place = record.position == 1 && record.previous == root.hash() && record.project == self.project;
        let ours = record.author == me && grant.verifies(&self.identity.signing().verifying_key());
        let sealed = match &record.act {
            Act::Grant { subject, epoch: FIRST_EPOCH, capability, .. } if subject == self.identity.public() => {
                capability
            }
            _ => return Err(Problem::Beginning.at(1).into()),
        };
        if !in_place || !ours {
            return Err(Problem::Beginning.at(1).into());
        }
        let raced = !known.is_empty();
        let found = self.trust.get(WRAPS, &wrap_key(me, FIRST_EPOCH)?).await?;
        known.extend(found.and_then(|document| self.unwrap(&document.value)));
        for dek in known {
            if dek.open_capability(&self.project, me, sealed)? == Some(Capability::Authorise) {
                return Ok(dek);
            }
        }
        if raced {
            return Err(KeyringError::Conflict("the first data key".to_owned()));
        }
        let reason =
            "its copy was replaced before the project was complete; create the project again in an empty database";
        Err(KeyringError::NoDataKey { epoch: FIRST_EPOCH, reason })
    }

    /// Makes sure that this data key, and no other, is wrapped to this machine; returns the one that was replaced.
    async fn keep_wrap(&self, dek: &Candidate) -> Result<Option<Candidate>> {
        let key = wrap_key(self.identity.fingerprint(), FIRST_EPOCH)?;
        for _ in 0..MAX_ATTEMPTS {
            let found = self.trust.get(WRAPS, &key).await?;
            let wrapped = found.as_ref().and_then(|document| self.unwrap(&document.value));
            if wrapped.as_ref().is_some_and(|wrapped| wrapped.is(dek)) {
                return Ok(None);
            }
            let expected = found.map_or(Expected::Absent, |document| Expected::Revision(document.revision));
            let wrap = dek.wrap(&self.project, self.identity.public())?;
            match self.trust.put(WRAPS, &key, &wrap.encode(), expected).await {
                Ok(_) => return Ok(wrapped),
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict("the first data key".to_owned()))
    }

    fn unwrap(&self, stored: &[u8]) -> Option<Candidate> {
        let wrap = Wrap::decode(stored).filter(|wrap| wrap.epoch == FIRST_EPOCH)?;
        Candidate::unwrap(&wrap, &self.project, self.identity)
    }

    fn grant(&self, root: &SignedRecord, dek: &Candidate) -> Result<SignedRecord> {
        let act = Act::Grant {
            machine: self.machine.clone(),
            subject: self.identity.public().clone(),
            epoch: FIRST_EPOCH,
            capability: dek.seal_capability(&self.project, self.identity.fingerprint(), Capability::Authorise)?,
        };
        Ok(self.sign(1, root.hash(), act)?)
    }

    fn epoch(&self, grant: &SignedRecord, dek: &Candidate) -> Result<SignedRecord> {
        let commitment = dek.commitment(&self.project)?;
        let act = Act::Epoch { epoch: FIRST_EPOCH, commitment, previous: RecordHash::NONE };
        Ok(self.sign(2, grant.hash(), act)?)
    }

    fn sign(&self, position: u64, previous: RecordHash, act: Act) -> std::result::Result<SignedRecord, SealError> {
        let (project, author, time) = (self.project, self.identity.fingerprint(), self.now);
        Record { position, previous, project, author, time, act }.sign(self.identity.signing())
    }

    /// Writes a record unless one is there; what stands decides, and is read again.
    async fn write(&self, record: &SignedRecord) -> Result<()> {
        let key = position_key(record.record().position)?;
        match self.trust.put(TRUST_LOG, &key, &record.encode(), Expected::Absent).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

async fn stored(trust: &dyn Documents, position: u64) -> std::result::Result<Option<Vec<u8>>, BackendError> {
    Ok(trust.get(TRUST_LOG, &position_key(position)?).await?.map(|document| document.value))
}
