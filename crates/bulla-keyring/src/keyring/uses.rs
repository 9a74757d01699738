//! How often a version is used: counted for keys that have a maximum, by blocks that processes reserve.
//!
//! A process that dies takes with it what it had reserved and not used; never is more than the maximum given out.

use bulla_backend::{DocumentKey, ErrorKind, Expected, Revision};
use bulla_seal::KeyVersionId;

use super::rows::id_place;
use super::{Keyring, MAX_ATTEMPTS};
use crate::cache::Allowance;
use crate::format::{KEY_USES, KeyBody, UsesRow};
use crate::{KeyringError, Result};

/// A process reserves at most this many uses at a time, and at most this part of the maximum.
const MAX_BLOCK: u64 = 4_096;
const BLOCKS: u64 = 64;

impl Keyring {
    /// Takes at most `wanted` uses of a version; 0 if there are none left.
    pub(super) async fn take_uses(
        &self,
        id: KeyVersionId,
        allowance: &Allowance,
        maximum: u64,
        wanted: u64,
    ) -> Result<u64> {
        let took = allowance.take(wanted);
        if took > 0 {
            return Ok(took);
        }
        for _ in 0..MAX_ATTEMPTS {
            let (reserved, expected) = match self.read_uses(id).await? {
                None => (0, Expected::Absent),
                Some((reserved, revision)) => (reserved, Expected::Revision(revision)),
            };
            let block = (maximum / BLOCKS).clamp(1, MAX_BLOCK).max(wanted).min(maximum.saturating_sub(reserved));
            if block == 0 {
                return Ok(0);
            }
            let row = UsesRow { reserved: reserved + block };
            match self.trust.put(KEY_USES, &id_place(id)?, &row.encode(), expected).await {
                Ok(_) => {
                    let took = block.min(wanted);
                    allowance.add(block - took);
                    return Ok(took);
                }
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict(format!("the uses of key version {id}")))
    }

    /// Says whether all uses of the newest version were given out.
    pub(super) async fn is_used_up(&self, body: &KeyBody) -> Result<bool> {
        let Some(maximum) = body.settings.max_uses else { return Ok(false) };
        Ok(self.read_uses(body.newest_id).await?.is_some_and(|(reserved, _)| reserved >= maximum))
    }

    /// Forgets how often a version was used.
    pub(super) async fn forget_uses(&self, id: KeyVersionId) -> Result<()> {
        let place: DocumentKey = id_place(id)?;
        self.trust.delete(KEY_USES, &place, Expected::Any).await?;
        Ok(())
    }

    async fn read_uses(&self, id: KeyVersionId) -> Result<Option<(u64, Revision)>> {
        let Some(document) = self.trust.get(KEY_USES, &id_place(id)?).await? else { return Ok(None) };
        let corrupt = || KeyringError::corrupt(format!("the uses of key version {id}"), "they are not well-formed");
        let row = UsesRow::decode(&document.value).ok_or_else(corrupt)?;
        Ok(Some((row.reserved, document.revision)))
    }
}
