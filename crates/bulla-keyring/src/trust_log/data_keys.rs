//! The data keys that a log commits to, as far as this machine holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulla_seal::ProjectId;

use super::members::Grant;
use super::{Capability, Problem};
use crate::dek::{Candidate, Committed};
use crate::format::RecordHash;
use crate::{KeyringError, Result};

/// Most epochs of a project.
const MAX_EPOCHS: u64 = 4_096;

/// Which data key an epoch has: its number, and the commitment of its record.
pub(crate) type EpochKey = (u64, [u8; 32]);

/// The epochs of the log, and the data keys that match their commitments.
#[derive(Debug, Clone, Default)]
pub(super) struct DataKeys {
    epochs: Vec<Epoch>,
    /// Data keys that were unwrapped, by the epoch and commitment that they match; only those that the log names are ever used.
    held: BTreeMap<EpochKey, Arc<Committed>>,
    /// Why one is not held.
    reasons: BTreeMap<EpochKey, &'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Epoch {
    record: RecordHash,
    commitment: [u8; 32],
}

impl DataKeys {
    /// Takes what a copy held, or why there is nothing.
    pub(super) fn offer(
        &mut self,
        project: &ProjectId,
        key: EpochKey,
        found: std::result::Result<Candidate, &'static str>,
    ) -> Result<()> {
        let committed = match found {
            Ok(candidate) => {
                let reason = "its copy holds another data key than the log commits to";
                candidate.check(project, &key.1)?.ok_or(reason)
            }
            Err(reason) => Err(reason),
        };
        match committed {
            Ok(committed) => {
                self.reasons.remove(&key);
                self.held.insert(key, Arc::new(committed));
            }
            Err(reason) => {
                self.reasons.insert(key, reason);
            }
        }
        Ok(())
    }

    /// Says whether this data key is held.
    pub(super) fn holds(&self, key: &EpochKey) -> bool {
        self.held.contains_key(key)
    }

    /// Forgets what was offered and is of no epoch of the log.
    pub(super) fn forget_strays(&mut self) {
        let epochs = &self.epochs;
        let known = |key: &EpochKey| {
            let at = key.0.checked_sub(1).and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| epochs.get(at)).is_some_and(|epoch| epoch.commitment == key.1)
        };
        self.held.retain(|key, _| known(key));
        self.reasons.retain(|key, _| known(key));
    }

    /// Returns the epochs of the log whose data keys are not held.
    pub(super) fn missing(&self) -> impl Iterator<Item = EpochKey> {
        self.keys().filter(|key| !self.holds(key))
    }

    /// Returns the data keys of the log that are held.
    pub(super) fn committed(&self) -> impl Iterator<Item = Arc<Committed>> {
        self.keys().filter_map(|key| self.held.get(&key).cloned())
    }

    pub(super) fn current(&self) -> u64 {
        self.epochs.len() as u64
    }

    /// Returns the record of the newest epoch.
    pub(super) fn newest_record(&self) -> RecordHash {
        self.epochs.last().map_or(RecordHash::NONE, |epoch| epoch.record)
    }

    /// Begins an epoch, if it follows from the one before.
    pub(super) fn begin(
        &mut self,
        epoch: u64,
        commitment: [u8; 32],
        previous: RecordHash,
        record: RecordHash,
    ) -> std::result::Result<(), Problem> {
        if epoch != self.current() + 1 || self.newest_record() != previous {
            return Err(Problem::Epoch);
        }
        if epoch > MAX_EPOCHS {
            return Err(Problem::TooMany);
        }
        self.epochs.push(Epoch { record, commitment });
        Ok(())
    }

    /// Takes the newest epoch back, whose author turned out to have no authority.
    pub(super) fn take_back(&mut self) {
        self.epochs.pop();
    }

    /// Opens what a grant lets its machine do.
    pub(super) fn capability(&self, project: &ProjectId, grant: &Grant) -> Result<Capability> {
        let opened = match grant.opened.get() {
            Some(opened) => *opened,
            None => {
                let committed = self.of(grant.epoch).ok_or_else(|| self.not_held(grant.epoch))?;
                *grant.opened.get_or_init(|| committed.open_capability(project, grant.subject, &grant.sealed))
            }
        };
        opened.ok_or_else(|| Problem::Capability.at(grant.position).into())
    }

    /// Says why the data key of an epoch cannot be used.
    pub(super) fn not_held(&self, epoch: u64) -> KeyringError {
        let reason = self.key(epoch).and_then(|key| self.reasons.get(&key).copied());
        KeyringError::NoDataKey { epoch, reason: reason.unwrap_or("no copy is wrapped to it") }
    }

    fn of(&self, epoch: u64) -> Option<&Committed> {
        self.held.get(&self.key(epoch)?).map(Arc::as_ref)
    }

    fn key(&self, epoch: u64) -> Option<EpochKey> {
        let at = usize::try_from(epoch.checked_sub(1)?).ok()?;
        self.epochs.get(at).map(|found| (epoch, found.commitment))
    }

    fn keys(&self) -> impl Iterator<Item = EpochKey> {
        (1..).zip(&self.epochs).map(|(epoch, found)| (epoch, found.commitment))
    }
}
