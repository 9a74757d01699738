//! What an interrupted restoring leaves behind: which backup it was, so that no other is mixed into it.
//!
//! How far it came follows from the documents that are there. The journal is rewritten with every step, expecting what its writer wrote last,
//! so that of two processes the one that took over goes on, and the other stops before its next step.

use bulla_backend::{DocumentKey, Timestamp};
use bulla_seal::{SealError, fill_random};

use super::BackupId;
use crate::Fingerprint;
use crate::cbor::{self, Malformed, Reader};

const JOB: &[u8] = b"restore";
const VERSION: u64 = 1;
const MAX_LEN: usize = 256;

/// The journal of a restoring. It is not authentic: whoever writes the database can stop the work, as they can without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Journal {
    /// Which backup is restored.
    pub(super) backup: BackupId,
    /// Random, so that no two processes write the same.
    holder: [u8; 16],
    /// The machine that restores.
    pub(super) machine: Fingerprint,
    /// When this process began.
    pub(super) begun: Timestamp,
    /// How many documents this process has written.
    pub(super) written: u64,
}

impl Journal {
    pub(super) fn begin(backup: BackupId, machine: Fingerprint, now: Timestamp) -> Result<Self, SealError> {
        let mut holder = [0; 16];
        fill_random(&mut holder)?;
        Ok(Self { backup, holder, machine, begun: now, written: 0 })
    }

    /// Returns where the journal is stored.
    pub(super) fn key() -> bulla_backend::Result<DocumentKey> {
        DocumentKey::new(JOB)
    }

    pub(super) fn decode(stored: &[u8]) -> Option<Self> {
        if stored.len() > MAX_LEN {
            return None;
        }
        Self::read(stored).ok().filter(|journal| journal.encode() == stored)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(6)?.u64(VERSION)?.bytes(&self.backup.0)?.bytes(&self.holder)?;
            e.bytes(&self.machine.0)?.u64(self.begun.0)?.u64(self.written).map(drop)
        })
    }

    fn read(stored: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(stored);
        r.array(6)?;
        if r.uint()? != VERSION {
            return Err(Malformed);
        }
        let (backup, holder) = (BackupId(r.fixed()?), r.fixed()?);
        let (machine, begun) = (Fingerprint(r.fixed()?), Timestamp(r.uint()?));
        Ok(Self { backup, holder, machine, begun, written: r.uint()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_round_trips() {
        let journal = Journal::begin(BackupId([1; 32]), Fingerprint([2; 32]), Timestamp(3)).unwrap();
        let stored = journal.encode();
        assert_eq!(Journal::decode(&stored), Some(journal));
        for end in 0..stored.len() {
            assert_eq!(Journal::decode(&stored[..end]), None, "cut at {end}");
        }
        assert_eq!(Journal::decode(&[&stored[..], &[0]].concat()), None);
        assert_eq!(Journal::decode(&[0; MAX_LEN + 1]), None);
    }
}
