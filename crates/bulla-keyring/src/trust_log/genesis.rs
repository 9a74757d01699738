//! Creation of a project: four documents, written at once where the backend can, and resumable after any of them where it cannot.

#[cfg(test)]
mod tests;

use bulla_backend::{BackendError, Documents, ErrorKind, Expected, ListQuery, MAX_PAGE_DOCUMENTS, Timestamp, Write};
use bulla_seal::{ProjectId, SealError, fill_random};

use super::{Capability, Problem};
use crate::dek::Candidate;
use crate::format::{
    Act, Record, RecordHash, SignedRecord, TRUST_LOG, WRAPS, Wrap, position_key, wrap_key, wrap_prefix,
};
use crate::{Identity, KeyringError, MachineName, Result};

const FIRST_EPOCH: u64 = 1;

/// Most copies that are tried: whoever resumes finds one for each time that the creation was begun, and those that others have planted.
const MAX_COPIES: usize = 4_096;

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
            key: self.place(&dek)?,
            value: dek.wrap_to(&self.project, self.identity.public())?.encode(),
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
        if stored(self.trust, 1).await?.is_none() {
            let dek = Candidate::draw(FIRST_EPOCH)?;
            let wrap = dek.wrap_to(&self.project, self.identity.public())?.encode();
            self.trust.put(WRAPS, &self.place(&dek)?, &wrap, Expected::Any).await?;
            self.write(&self.grant(root, &dek)?).await?;
        }
        // Where the same identity is used twice at once, the grant that stands may be the other's.
        let grant = stored(self.trust, 1).await?.ok_or_else(|| Problem::Missing.at(1))?;
        let grant = SignedRecord::decode(&grant).ok_or_else(|| Problem::Malformed.at(1))?;
        let dek = self.granted(root, &grant).await?;
        self.write(&self.epoch(&grant, &dek)?).await
    }

    /// Returns the data key that seals the capability of the first grant. It is among the copies that are wrapped to this machine.
    async fn granted(&self, root: &SignedRecord, grant: &SignedRecord) -> Result<Candidate> {
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
        let prefix = [&wrap_prefix(me)[..], &FIRST_EPOCH.to_be_bytes()].concat();
        let mut query = ListQuery { prefix, ..ListQuery::default() };
        for _ in 0..MAX_COPIES / MAX_PAGE_DOCUMENTS + 1 {
            let page = self.trust.list(WRAPS, &query).await?;
            for document in &page.documents {
                let wrap = Wrap::decode(&document.value).filter(|wrap| wrap.epoch == FIRST_EPOCH);
                let Some(dek) = wrap.and_then(|wrap| Candidate::unwrap(&wrap, &self.project, self.identity)) else {
                    continue;
                };
                let in_place = self.place(&dek)? == document.key;
                if in_place && dek.open_capability(&self.project, me, sealed)? == Some(Capability::Authorise) {
                    return Ok(dek);
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let reason = "its copy was lost before the project was complete; create the project again in an empty database";
        Err(KeyringError::NoDataKey { epoch: FIRST_EPOCH, reason })
    }

    fn place(&self, dek: &Candidate) -> Result<bulla_backend::DocumentKey> {
        Ok(wrap_key(self.identity.fingerprint(), FIRST_EPOCH, &dek.commitment(&self.project)?)?)
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
