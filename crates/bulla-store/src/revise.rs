//! Changing an entry by what it is (spec, "Writing").

use bulla_backend::ErrorKind;
use zeroize::Zeroizing;

use crate::entry::Entry;
use crate::namespace::Present;
use crate::settled::Settled;
use crate::{Namespace, StoreError};

/// How often a change begins again. Whenever it does, somebody else's change of the same entry succeeded, so that only very many who
/// change one entry without a pause come near it.
const MAX_REVISIONS: usize = 10_000;

/// What is to be written in place of what was found.
pub(crate) struct Revised<T> {
    pub(crate) entry: Entry,
    /// The value, if it lies in the entry.
    pub(crate) value: Zeroizing<Vec<u8>>,
    /// What the caller wants to know of it.
    pub(crate) answer: T,
}

impl Namespace {
    /// Writes what `revise` makes of what is there, expired or not; again until nobody else was faster. Returns its answer, and the version
    /// of the new entry.
    pub(crate) async fn revise<T: Send>(
        &self,
        action: &'static str,
        name: &[u8],
        mut revise: impl FnMut(&Settled, Option<Present>) -> Result<Revised<T>, StoreError> + Send,
    ) -> Result<(T, u64), StoreError> {
        let mut rooms = 0;
        let mut round = 0;
        while round < MAX_REVISIONS {
            let (version, settled) = self.sealing().await?;
            let slot = self.slot(&settled, name)?;
            let present = self.present_or_quarantine(&slot).await?;
            let standing = present.as_ref().map(Present::standing);
            let Revised { mut entry, value, answer } = revise(&settled, present)?;
            let ready = self.ready(&version, &settled, slot, standing, &mut entry, &value)?;
            let (demand, replaced) = (ready.demand, ready.replaced);
            match self.write(ready).await {
                Err(error) if error.kind() == ErrorKind::Conflict => round += 1,
                Err(error) if error.kind() == ErrorKind::Limit => {
                    self.room(&settled, demand, &[name], &mut rooms).await?;
                }
                Err(error) => return Err(error.into()),
                Ok(()) => {
                    self.wrote(action, name, replaced).await;
                    self.keep_soft_limit(&settled, demand.needed, &[name]).await;
                    return Ok((answer, entry.stat.version));
                }
            }
        }
        Err(StoreError::Conflict(self.place(name)))
    }
}
