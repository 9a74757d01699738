//! The journal of a rotation: a document under the data key that the rotation leads to.

use bulla_backend::{Collection, DocumentKey, Durability, ErrorKind, Expected, Revision, Timestamp};
use bulla_seal::{Context, Params, Suite};

use super::{JOB, Rotation, RotationPhase};
use crate::cbor::{self, Malformed, Reader};
use crate::format::MAX_ROW_LEN;
use crate::keyring::Keyring;
use crate::keyring::rows::open_as;
use crate::trust_log::Trusted;
use crate::{KeyringError, Result};

/// How far each job is; key: the name of the job.
pub(crate) const JOBS: Collection = Collection::new("jobs", Durability::Durable);

const VERSION: u64 = 1;
const DOMAIN: &str = "bulla/keyring/job";

impl Keyring {
    /// Reads the journal of the rotation to the current epoch, and which write of the document it is. One that does not verify, or is of
    /// another epoch, is none.
    pub(super) async fn read_journal(&self, trusted: &Trusted) -> Result<(Option<Rotation>, Option<Revision>)> {
        let Some(document) = self.trust.get(JOBS, &place()?).await? else { return Ok((None, None)) };
        let context = self.journal_context()?;
        let current = trusted.deks.current();
        let row = JournalRow::decode(&document.value).filter(|row| row.epoch == current);
        let params = Params::new(Suite::Authenticated);
        let state = row.and_then(|row| open_as(trusted.deks.of(current)?.wrap(), params, &context, &row.sealed));
        Ok((state.and_then(|state| decode_state(current, &state)), Some(document.revision)))
    }

    /// Writes the journal in place of the one that was read.
    pub(super) async fn write_journal(
        &self,
        trusted: &Trusted,
        rotation: &Rotation,
        replaced: Option<Revision>,
    ) -> Result<Revision> {
        let dek = trusted.deks.of(rotation.epoch).ok_or(KeyringError::LeaseLost)?;
        let state = encode_state(rotation);
        let sealed = dek.wrap().seal(Params::new(Suite::Authenticated), &self.journal_context()?, &state)?;
        let row = JournalRow { epoch: rotation.epoch, sealed };
        let expected = replaced.map_or(Expected::Absent, Expected::Revision);
        match self.trust.put(JOBS, &place()?, &row.encode(), expected).await {
            Ok(revision) => Ok(revision),
            Err(error) if error.kind() == ErrorKind::Conflict => Err(KeyringError::LeaseLost),
            Err(error) => Err(error.into()),
        }
    }

    fn journal_context(&self) -> Result<Context> {
        Ok(Context::in_domain(DOMAIN, &self.project()).text("job", JOB).build()?)
    }
}

fn place() -> Result<DocumentKey> {
    Ok(DocumentKey::new(JOB.as_bytes())?)
}

struct JournalRow {
    epoch: u64,
    sealed: Vec<u8>,
}

impl JournalRow {
    fn decode(stored: &[u8]) -> Option<Self> {
        if stored.len() > MAX_ROW_LEN {
            return None;
        }
        Self::read(stored).ok().filter(|row| row.encode() == stored)
    }

    fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| e.array(3)?.u64(VERSION)?.u64(self.epoch)?.bytes(&self.sealed).map(drop))
    }

    fn read(stored: &[u8]) -> std::result::Result<Self, Malformed> {
        let mut r = Reader::new(stored);
        r.array(3)?;
        if r.uint()? != VERSION {
            return Err(Malformed);
        }
        Ok(Self { epoch: r.uint()?, sealed: r.bytes()?.to_vec() })
    }
}

fn encode_state(rotation: &Rotation) -> Vec<u8> {
    cbor::encode(|e| {
        e.array(9)?.u64(VERSION)?.u64(phase_number(rotation.phase))?.bytes(&rotation.cursor)?;
        e.u64(rotation.keys)?.u64(rotation.versions)?.u64(rotation.damaged)?.u64(rotation.external)?;
        e.u64(rotation.started.0)?.u64(rotation.changed.0).map(drop)
    })
}

fn decode_state(epoch: u64, state: &[u8]) -> Option<Rotation> {
    read_state(epoch, state).ok().filter(|rotation| encode_state(rotation) == state)
}

fn read_state(epoch: u64, state: &[u8]) -> std::result::Result<Rotation, Malformed> {
    let mut r = Reader::new(state);
    r.array(9)?;
    if r.uint()? != VERSION {
        return Err(Malformed);
    }
    let phase = match r.uint()? {
        4 => RotationPhase::Keys,
        5 => RotationPhase::Versions,
        6 => RotationPhase::Wraps,
        7 => RotationPhase::Done,
        _ => return Err(Malformed),
    };
    let cursor = r.bytes()?.to_vec();
    let (keys, versions, damaged, external) = (r.uint()?, r.uint()?, r.uint()?, r.uint()?);
    let (started, changed) = (Timestamp(r.uint()?), Timestamp(r.uint()?));
    Ok(Rotation { epoch, phase, keys, versions, damaged, external, started, changed, cursor })
}

fn phase_number(phase: RotationPhase) -> u64 {
    match phase {
        RotationPhase::Owed => 1,
        RotationPhase::Keys => 4,
        RotationPhase::Versions => 5,
        RotationPhase::Wraps => 6,
        RotationPhase::Done => 7,
    }
}
