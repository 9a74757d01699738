//! The trust log as this process reads it: verified as it comes, and never twice.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulla_backend::{Documents, ErrorKind, ListQuery};
use bulla_seal::ProjectId;

use crate::dek::Candidate;
use crate::format::{RecordHash, SignedRecord, TRUST_LOG, WRAPS, Wrap, position_key, wrap_key};
use crate::trust_log::{Claims, EpochKey, TrustPin, Verifier};
use crate::{Identity, KeyringError, Result};

/// How often a reading is begun anew because another thread has replaced what it was to go on from.
const MAX_ATTEMPTS: usize = 16;

/// The log, and how far it was verified. The lock is never held while something is waited for.
#[derive(Debug)]
pub(super) struct Log {
    trust: Arc<dyn Documents>,
    identity: Arc<Identity>,
    project: ProjectId,
    verifier: Mutex<Verifier>,
}

/// What became of a reading.
enum Reading {
    Done,
    /// The log does not hold the records any more that were verified before.
    Rewritten,
    /// Another thread has replaced what was verified.
    Overtaken,
}

impl Log {
    pub(super) fn new(trust: Arc<dyn Documents>, identity: Arc<Identity>, pin: TrustPin) -> Self {
        let project = pin.project();
        Self { trust, identity, project, verifier: Mutex::new(Verifier::new(pin)) }
    }

    pub(super) fn verifier(&self) -> MutexGuard<'_, Verifier> {
        // A verifier that refuses a record stays as it was, so that what a panicking thread left behind is whole.
        self.verifier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and verifies what stands behind the verified records, and whether these still stand.
    pub(super) async fn read_on(&self) -> Result<()> {
        for _ in 0..MAX_ATTEMPTS {
            match self.read(&self.verifier).await {
                Ok(Reading::Done) => return Ok(()),
                Ok(Reading::Rewritten) => return self.read_anew().await,
                Ok(Reading::Overtaken) => {}
                Err(error) => return Err(self.explain(error).await),
            }
        }
        Err(KeyringError::Conflict("the trust log".to_owned()))
    }

    /// Reads the whole log, which must be what was seen before and more, or a copy whose restoring was accepted.
    async fn read_anew(&self) -> Result<()> {
        let anew = Mutex::new(Verifier::new(self.verifier().pinned()));
        match self.read(&anew).await {
            Ok(Reading::Done) => {}
            Ok(_) => return Err(KeyringError::Conflict("the trust log".to_owned())),
            Err(error) => return Err(error),
        }
        let anew = anew.into_inner().unwrap_or_else(PoisonError::into_inner);
        anew.check_pin()?;
        *self.verifier() = anew;
        Ok(())
    }

    async fn read(&self, verifier: &Mutex<Verifier>) -> Result<Reading> {
        let lock = || verifier.lock().unwrap_or_else(PoisonError::into_inner);
        let (length, head) = {
            let verifier = lock();
            (verifier.position(), verifier.head())
        };
        // The last verified record comes first: it must be there still.
        let after = length.checked_sub(2).map(position_key).transpose()?;
        let mut query = ListQuery { after, ..ListQuery::default() };
        let mut first = true;
        loop {
            let page = self.trust.list(TRUST_LOG, &query).await?;
            if std::mem::take(&mut first) {
                let begins = |position: u64| {
                    let found = page.documents.first();
                    found.filter(|document| document.key.as_bytes() == position.to_be_bytes())
                };
                match length.checked_sub(1) {
                    None => drop(begins(0).ok_or(KeyringError::NoProject)?),
                    Some(last) if begins(last).is_some_and(|found| RecordHash::of(&found.value) == head) => {}
                    Some(_) => return Ok(Reading::Rewritten),
                }
            }
            let wanted = lock().wanted(page.documents.iter().map(|document| document.value.as_slice()));
            for key in wanted {
                let found = self.unwrap(key).await?;
                lock().offer(key, found)?;
            }
            let mut verifier = lock();
            if verifier.position() < length {
                return Ok(Reading::Overtaken);
            }
            let taken =
                page.documents.iter().try_for_each(|document| verifier.document(&document.key, &document.value));
            verifier.forget_strays();
            taken?;
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(Reading::Done),
            }
        }
    }

    /// Unwraps this machine's copy of a data key, or says why it cannot.
    async fn unwrap(&self, key: EpochKey) -> Result<std::result::Result<Candidate, &'static str>> {
        let (machine, (epoch, commitment)) = (self.identity.fingerprint(), key);
        let malformed = "its copy is not well-formed";
        let document = match self.trust.get(WRAPS, &wrap_key(machine, epoch, &commitment)?).await {
            Ok(Some(document)) => document,
            Ok(None) => return Ok(Err("no copy is wrapped to it")),
            Err(error) if error.kind() == ErrorKind::Corrupt => return Ok(Err(malformed)),
            Err(error) => return Err(error.into()),
        };
        let Some(wrap) = Wrap::decode(&document.value) else {
            return Ok(Err(malformed));
        };
        let foreign = "its copy was made for another machine, project or epoch";
        let unwrapped = Candidate::unwrap(&wrap, &self.project, &self.identity);
        Ok(unwrapped.filter(|_| (wrap.machine, wrap.epoch) == (machine, epoch)).ok_or(foreign))
    }

    /// Says it plainly where a data key is missing because this machine was put out, or never let in.
    async fn explain(&self, error: KeyringError) -> KeyringError {
        let machine = self.identity.fingerprint();
        if !matches!(error, KeyringError::NoDataKey { .. }) {
            return error;
        }
        {
            let verifier = self.verifier();
            if verifier.was_put_out(machine) {
                return KeyringError::Revoked(machine);
            }
            if !verifier.holds_nothing() {
                return error;
            }
        }
        let mut claims = Claims::default();
        let mut query = ListQuery::default();
        loop {
            let Ok(page) = self.trust.list(TRUST_LOG, &query).await else {
                return error;
            };
            for signed in page.documents.iter().filter_map(|document| SignedRecord::decode(&document.value)) {
                claims.record(signed.record(), machine);
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return claims.refusal(machine, error),
            }
        }
    }
}
