//! One record more: optimistic, against whoever else writes.

use bulla_backend::{ErrorKind, Expected};

use crate::format::{Act, TRUST_LOG, position_key};
use crate::keyring::Keyring;
use crate::trust_log::Trusted;
use crate::{KeyringError, Result};

/// How often a lost race is tried again. Each one lost means that another writer got on.
const MAX_ATTEMPTS: usize = 1_000;

/// Counts how often a record was thought over.
#[derive(Debug, Default)]
pub(super) struct Attempts(usize);

impl Attempts {
    /// Counts one more, and refuses to go on for ever.
    pub(super) fn next(&mut self) -> Result<()> {
        self.0 += 1;
        if self.0 > MAX_ATTEMPTS { Err(KeyringError::Conflict("the trust log".to_owned())) } else { Ok(()) }
    }
}

impl Keyring {
    /// Appends a record behind the log that `trusted` speaks of; `false` if somebody else was faster, so that what is to be said has to be
    /// thought over.
    pub(super) async fn append(&self, trusted: &Trusted, act: Act) -> Result<bool> {
        let signed = {
            let verifier = self.log.verifier();
            if (verifier.position(), verifier.head()) != (trusted.pin.length(), trusted.pin.head()) {
                return Ok(false);
            }
            verifier.next(act, &self.identity, self.clock.now())?
        };
        let key = position_key(signed.record().position)?;
        match self.trust.put(TRUST_LOG, &key, &signed.encode(), Expected::Absent).await {
            Ok(_) => {
                // The record stands, whatever becomes of this look; if nothing, the next operation looks.
                if self.looked().await.is_err() {
                    self.doubt();
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(false),
            Err(error) => {
                self.doubt();
                Err(error.into())
            }
        }
    }
}
