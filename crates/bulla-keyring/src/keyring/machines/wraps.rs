//! Copies of data keys: written before the record that makes them due, deleted after the one that ends it.

use std::collections::{BTreeMap, BTreeSet};

use bulla_backend::{DocumentKey, ErrorKind, Expected, ListQuery, MAX_COMMIT_WRITES, Write};

use crate::format::{WRAPS, wrap_key, wrap_prefix};
use crate::keyring::Keyring;
use crate::keyring::rows::dek;
use crate::trust_log::Trusted;
use crate::{Fingerprint, PublicIdentity, Result};

/// Copies to be written, by their places.
pub(super) type Copies = BTreeMap<DocumentKey, Vec<u8>>;

impl Keyring {
    /// Wraps the data key of every epoch but those in `done` to a machine, and notes them there. Fails if this machine lacks one.
    pub(super) async fn wrap_all(
        &self,
        trusted: &Trusted,
        machine: &PublicIdentity,
        done: &mut BTreeSet<u64>,
    ) -> Result<()> {
        let mut copies = Copies::new();
        // Without any of them, who comes could neither open everything nor verify the log.
        let held: Vec<_> = (1..=trusted.deks.current()).map(|epoch| dek(trusted, epoch)).collect::<Result<_>>()?;
        for dek in held.into_iter().filter(|dek| !done.contains(&dek.epoch())) {
            let place = wrap_key(machine.fingerprint(), dek.epoch(), dek.commitment())?;
            copies.insert(place, dek.wrap_to(&self.project, machine)?.encode());
        }
        self.write_copies(copies).await?;
        done.extend(trusted.deks.all().map(crate::dek::Dek::epoch));
        Ok(())
    }

    /// Writes copies, many at once where the backend can. Two copies in one place hold the same data key, so that it does not matter whose
    /// stays.
    pub(super) async fn write_copies(&self, copies: Copies) -> Result<()> {
        let put = |(key, value)| Write::Put { collection: WRAPS, key, value, expected: Expected::Any };
        let writes: Vec<Write> = copies.into_iter().map(put).collect();
        if self.trust.capabilities().commit {
            for some in writes.chunks(MAX_COMMIT_WRITES) {
                self.trust.commit(some).await?;
            }
            return Ok(());
        }
        for write in &writes {
            if let Write::Put { key, value, .. } = write {
                self.trust.put(WRAPS, key, value, Expected::Any).await?;
            }
        }
        Ok(())
    }

    /// Deletes the copies of data keys that belong to machines which were put out; returns how many.
    ///
    /// This is bookkeeping: such a machine may have kept what it could unwrap. Copies of machines that were never in are left alone, for
    /// somebody may be about to let them in.
    ///
    /// # Errors
    /// [`KeyringError::Backend`](crate::KeyringError::Backend), and as [`Keyring::refresh`].
    pub async fn delete_foreign_wraps(&self) -> Result<u64> {
        let trusted = self.looked().await?;
        let out = |fingerprint: &Fingerprint| !trusted.machines.contains_key(fingerprint);
        let past = self.log.verifier().history().into_iter().map(|membership| membership.fingerprint);
        let past: BTreeSet<_> = past.filter(out).collect();
        let mut deleted = 0;
        for machine in past {
            deleted += self.delete_wraps_of(machine).await?;
        }
        Ok(deleted)
    }

    /// Deletes the copies of a machine that is not in; returns how many.
    ///
    /// Somebody may be letting it in again meanwhile. They write its copies, then its grant, then its copies once more: those that are
    /// found before the log is looked at, and found without a grant, are either the old ones or will be written again.
    pub(super) async fn delete_wraps_of(&self, machine: Fingerprint) -> Result<u64> {
        let mut query = ListQuery { prefix: wrap_prefix(machine), ..ListQuery::default() };
        let mut deleted = 0;
        loop {
            let page = self.trust.list(WRAPS, &query).await?;
            if page.documents.is_empty() || self.looked().await?.machines.contains_key(&machine) {
                return Ok(deleted);
            }
            for document in page.documents {
                match self.trust.delete(WRAPS, &document.key, Expected::Revision(document.revision)).await {
                    Ok(was_there) => deleted += u64::from(was_there),
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) => return Err(error.into()),
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(deleted),
            }
        }
    }
}
