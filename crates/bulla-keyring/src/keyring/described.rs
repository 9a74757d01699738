//! Descriptions of keys for use: how fresh one must be to seal under its key, and to open.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{ChangeMark, Timestamp};

use super::Keyring;
use super::floors::is_above_floor;
use super::rows::check_seen;
use crate::cache::{Described, Seen};
use crate::format::{KEYS, KeyBody};
use crate::key::Version;
use crate::trust_log::Trusted;
use crate::{KeyName, KeyringError, Result};

/// How old the description may be by which a version opens. What another process disables stops to open within this time.
const FRESH: Duration = Duration::from_secs(1);
/// How long an older description serves while the backend does not answer.
const STALE: Duration = Duration::from_secs(5);

impl Keyring {
    /// Returns the newest version of a key, with how often it may be used now: at least once, at most as often as wanted.
    ///
    /// Makes a new version first, where one is due.
    pub(super) async fn newest(&self, name: &KeyName, wanted: u64) -> Result<(Arc<Version>, u64)> {
        for _ in 0..super::MAX_ATTEMPTS {
            let described = self.described_now(name).await?;
            let body = &described.body;
            if body.period_is_over(|| self.clock.now()) {
                self.rotate_from(&mut self.trusted().await?, name, body.newest).await?;
                continue;
            }
            let version = match described.newest() {
                Some(version) => version,
                None => {
                    body.check_open(name, body.newest, self.clock.now())?;
                    let version = self.read_newest(&mut self.trusted().await?, name, body).await?;
                    self.cache.keep_version(Arc::clone(&version));
                    described.set_newest(version)
                }
            };
            let (Some(maximum), Some(allowance)) = (body.settings.max_uses, described.allowance()) else {
                return Ok((Arc::clone(version), wanted));
            };
            match self.take_uses(version.id, allowance, maximum, wanted).await? {
                0 if body.is_external() => {
                    return Err(KeyringError::UsedUp { name: name.clone(), number: body.newest });
                }
                0 => {
                    self.rotate_from(&mut self.trusted().await?, name, body.newest).await?;
                }
                uses => return Ok((Arc::clone(version), uses)),
            }
        }
        Err(KeyringError::Conflict(format!("key `{name}`")))
    }

    /// Returns the description of a key as it is now.
    ///
    /// Where the backend marks changes, it is read again once the mark of the collection differs from the one of the last look;
    /// elsewhere it is read each time.
    pub(super) async fn described_now(&self, name: &KeyName) -> Result<Arc<Described>> {
        let mut trusted = self.trusted().await?;
        // The mark comes first: what changes between the two looks is noticed by the next caller.
        let mark = self.trust.change_mark(KEYS).await?;
        if let Some(known) = self.cache.described(name)
            && mark.is_some()
            && known.mark == mark
            && known.epoch == trusted.deks.current()
            && is_above_floor(&trusted, name, &known.body)
        {
            return Ok(known);
        }
        let looked = self.clock.now();
        let found = self.read_key_to_seal(&mut trusted, name).await?;
        found.body.check_alive(name)?;
        Ok(self.keep_described(name, found.body, found.epoch, mark, looked))
    }

    /// Returns the description of a key as it was within the last second: what opening goes by.
    pub(super) async fn described_lately(&self, trusted: &mut Arc<Trusted>, name: &KeyName) -> Result<Arc<Described>> {
        let now = self.clock.now();
        let known = self.cache.described(name);
        if let Some(known) = &known
            && known.is_fresh(now)
        {
            return Ok(Arc::clone(known));
        }
        match self.look_again(trusted, name, known.as_ref()).await {
            Err(KeyringError::Backend(error)) => {
                known.filter(|known| known.is_within(STALE, now)).ok_or(KeyringError::Backend(error))
            }
            looked => looked,
        }
    }

    /// Reads the description of a key, unless the mark says that it stands. It may be of an older epoch: what was sealed opens all the same.
    pub(super) async fn look_again(
        &self,
        trusted: &mut Arc<Trusted>,
        name: &KeyName,
        known: Option<&Arc<Described>>,
    ) -> Result<Arc<Described>> {
        let now = self.clock.now();
        let mark = self.trust.change_mark(KEYS).await?;
        if let Some(known) = known
            && mark.is_some()
            && known.mark == mark
            && is_above_floor(trusted, name, &known.body)
        {
            known.stands(now);
            return Ok(Arc::clone(known));
        }
        let found = self.find_key(trusted, name).await?;
        if check_seen(self.cache.seen(name), name, &found.body).is_err() {
            // It opens by what is there. Nothing is to be sealed by it, and so it is not kept.
            return Ok(Arc::new(Described::new(found.body, found.epoch, None, now, None)));
        }
        if found.epoch == trusted.deks.current() {
            self.cache.saw(name, Seen::of(&found.body));
        }
        Ok(self.keep_described(name, found.body, found.epoch, mark, now))
    }

    fn keep_described(
        &self,
        name: &KeyName,
        body: KeyBody,
        epoch: u64,
        mark: Option<ChangeMark>,
        looked: Timestamp,
    ) -> Arc<Described> {
        let allowance = body.settings.max_uses.map(|_| self.cache.allowance(body.newest_id));
        let described = Arc::new(Described::new(body, epoch, mark, looked, allowance));
        self.cache.keep_described(name, &described);
        described
    }
}

impl Described {
    /// Says whether a version may open by it without another look.
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        self.is_within(FRESH, now)
    }
}
