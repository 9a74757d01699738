//! A new data key.

use std::collections::BTreeSet;

use super::append::Attempts;
use super::wraps::Copies;
use crate::dek::Candidate;
use crate::format::{Act, WRAPS, wrap_key};
use crate::keyring::Keyring;
use crate::lease::Lease;
use crate::{Fingerprint, Result};

/// A data key that was drawn, and whom it was wrapped to, before the log commits to it.
struct Drawn {
    dek: Candidate,
    epoch: u64,
    commitment: [u8; 32],
    wrapped: BTreeSet<Fingerprint>,
}

impl Keyring {
    /// Begins an epoch: draws a data key, wraps it to every machine that is in, and signs its record. Returns its number.
    ///
    /// Nothing is sealed under it before the keys are written anew; what is stored stays as it is. A call that was interrupted can be made
    /// again.
    ///
    /// # Errors
    /// [`KeyringError::NotAuthorised`](crate::KeyringError::NotAuthorised), [`KeyringError::Conflict`](crate::KeyringError::Conflict), and
    /// as [`Keyring::refresh`].
    pub async fn begin_epoch(&self) -> Result<u64> {
        self.begin_epoch_under(None).await
    }

    /// Begins an epoch as a step of work that a lease is held for. Wrapping to many machines beside busy writers may outlast it.
    pub(in crate::keyring) async fn begin_epoch_under(&self, mut lease: Option<&mut Lease>) -> Result<u64> {
        let mut drawn: Option<Drawn> = None;
        let mut attempts = Attempts::default();
        loop {
            attempts.next()?;
            if let Some(lease) = &mut lease {
                lease.renew().await?;
            }
            let trusted = self.looked().await?;
            trusted.require_authoriser(self.identity.fingerprint())?;
            let epoch = trusted.deks.current() + 1;
            // One that is wrapped to a machine which was put out meanwhile must never be used.
            let usable = |drawn: &Drawn| {
                drawn.epoch == epoch && drawn.wrapped.iter().all(|machine| trusted.machines.contains_key(machine))
            };
            let mut next = match drawn.take() {
                Some(drawn) if usable(&drawn) => drawn,
                unused => {
                    if let Some(unused) = unused {
                        self.discard(unused).await;
                    }
                    let dek = Candidate::draw(epoch)?;
                    let commitment = dek.commitment(&self.project)?;
                    Drawn { dek, epoch, commitment, wrapped: BTreeSet::new() }
                }
            };
            let mut copies = Copies::new();
            for (fingerprint, machine) in &trusted.machines {
                if next.wrapped.insert(*fingerprint) {
                    let wrap = next.dek.wrap_to(&self.project, &machine.public)?;
                    copies.insert(wrap_key(*fingerprint, epoch, &next.commitment)?, wrap.encode());
                }
            }
            self.write_copies(copies).await?;
            let act = Act::Epoch { epoch, commitment: next.commitment, previous: trusted.epoch_record };
            if self.append(&trusted, act).await? {
                return Ok(epoch);
            }
            drawn = Some(next);
        }
    }

    /// Deletes the copies of a data key that will not be used. What stays behind is never read.
    async fn discard(&self, unused: Drawn) {
        for machine in unused.wrapped {
            if let Ok(place) = wrap_key(machine, unused.epoch, &unused.commitment) {
                let _ = self.trust.delete(WRAPS, &place, bulla_backend::Expected::Any).await;
            }
        }
    }
}
