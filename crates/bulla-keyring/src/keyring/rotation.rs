//! Rotation of the data key: a new epoch, and everything under it, as a job that any process can take up.
//!
//! What is to be done is read from the log and the rows each time; `spec/jobs.md` states the phases, the lease and the journal, which say who
//! works and how far the work is.

mod journal;

use std::sync::Arc;

use bulla_backend::{DocumentKey, Timestamp};

use super::Keyring;
use super::renew::Renewed;
use crate::lease::Lease;
use crate::{KeyName, KeyringError, Result};

pub(crate) use journal::JOBS;

const JOB: &str = "rotation";

/// How many documents are looked at before the journal is written, and the lease renewed.
const PAGE_LEN: usize = 64;

/// Which part of a rotation is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RotationPhase {
    /// A machine was put out, and the new epoch is owed.
    Owed,
    /// Each key is written anew and gets a new version.
    Keys,
    /// Versions of older epochs are wrapped anew.
    Versions,
    /// What machines that were put out had is deleted.
    Wraps,
    /// Nothing is left to do.
    Done,
}

impl RotationPhase {
    /// Returns the name that the command line and the journal's readers use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owed => "owed",
            Self::Keys => "keys",
            Self::Versions => "versions",
            Self::Wraps => "wraps",
            Self::Done => "done",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Owed => Self::Keys,
            Self::Keys => Self::Versions,
            Self::Versions => Self::Wraps,
            Self::Wraps | Self::Done => Self::Done,
        }
    }
}

impl std::fmt::Display for RotationPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a rotation is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The epoch that it leads to.
    pub epoch: u64,
    /// The part that is under way.
    pub phase: RotationPhase,
    /// How many keys were renewed.
    pub keys: u64,
    /// How many versions were wrapped anew.
    pub versions: u64,
    /// How many rows could not be read or renewed; they are as they were.
    pub damaged: u64,
    /// How many keys have material that only its source can rotate.
    pub external: u64,
    /// When it began.
    pub started: Timestamp,
    /// When it was last heard of.
    pub changed: Timestamp,
    /// Key of the last document that the phase has done.
    cursor: Vec<u8>,
}

impl Rotation {
    fn begin(epoch: u64, phase: RotationPhase, now: Timestamp) -> Self {
        let (keys, versions, damaged, external) = (0, 0, 0, 0);
        Self { epoch, phase, keys, versions, damaged, external, started: now, changed: now, cursor: Vec::new() }
    }

    /// Says whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == RotationPhase::Done
    }
}

/// What a rotation tells while it runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum RotationEvent<'a> {
    /// It has gone on.
    Progress(&'a Rotation),
    /// A row could not be read or renewed. It is passed over, and stays as it was.
    Damaged(&'a KeyringError),
    /// A key whose material comes from outside: what sealed under it so far stays open to those who had it until its source gives
    /// another.
    OnlySource(&'a KeyName),
}

impl Keyring {
    /// Rotates the data key: begins an epoch, makes a new version of every key, and wraps all older ones anew.
    ///
    /// Where an epoch is owed, it is that one. What an earlier rotation has left undone is done by the way. Stopped anywhere, it goes on with
    /// [`Keyring::resume_rotation`], on any machine that may authorise; meanwhile everything opens, and what was not renewed yet does not
    /// seal.
    ///
    /// # Errors
    /// [`KeyringError::Busy`] if another process is at it; [`KeyringError::LeaseLost`]; [`KeyringError::NotAuthorised`] if this machine
    /// may not authorise; [`KeyringError::Backend`]. Damaged rows are told as events and counted.
    ///
    /// # Security
    /// A machine that was put out before keeps what it had read or could have read until now, and opens nothing that is sealed after.
    pub async fn rotate_data_key(&self, tell: &mut (dyn FnMut(RotationEvent<'_>) + Send)) -> Result<Rotation> {
        let mut lease = self.rotation_lease().await?;
        let rotated = self.rotate_under(&mut lease, tell).await;
        lease.give_back().await;
        rotated
    }

    /// Completes the rotation that is under way, if there is one.
    ///
    /// # Errors
    /// As [`Keyring::rotate_data_key`].
    pub async fn resume_rotation(&self, tell: &mut (dyn FnMut(RotationEvent<'_>) + Send)) -> Result<Option<Rotation>> {
        if self.rotation().await?.is_none_or(|rotation| rotation.is_done()) {
            return Ok(None);
        }
        let mut lease = self.rotation_lease().await?;
        let rotated = self.go_on(&mut lease, tell).await;
        lease.give_back().await;
        rotated.map(Some)
    }

    /// Says how far the rotation to the current epoch is, or the one that is owed; `None` where the data key was never rotated.
    ///
    /// # Errors
    /// [`KeyringError::Backend`].
    pub async fn rotation(&self) -> Result<Option<Rotation>> {
        let trusted = self.looked().await?;
        let current = trusted.deks.current();
        if trusted.epoch_owed() {
            return Ok(Some(Rotation::begin(current + 1, RotationPhase::Owed, self.clock.now())));
        }
        if current == 1 {
            return Ok(None);
        }
        let (journal, _) = self.read_journal(&trusted).await?;
        Ok(Some(journal.unwrap_or_else(|| Rotation::begin(current, RotationPhase::Keys, self.clock.now()))))
    }

    async fn rotation_lease(&self) -> Result<Lease> {
        Lease::take(Arc::clone(&self.trust), Arc::clone(&self.clock), JOB, self.identity.fingerprint()).await
    }

    /// Begins an epoch in any case. That a rotation seems to be under way, by a journal that somebody may have put back or deleted, must not
    /// keep an authoriser from it.
    async fn rotate_under(
        &self,
        lease: &mut Lease,
        tell: &mut (dyn FnMut(RotationEvent<'_>) + Send),
    ) -> Result<Rotation> {
        if !self.looked().await?.epoch_owed() {
            self.begin_epoch_under(Some(lease)).await?;
        }
        self.go_on(lease, tell).await
    }

    async fn go_on(&self, lease: &mut Lease, tell: &mut (dyn FnMut(RotationEvent<'_>) + Send)) -> Result<Rotation> {
        if self.looked().await?.epoch_owed() {
            self.begin_epoch_under(Some(lease)).await?;
        }
        let trusted = self.looked().await?;
        trusted.require_authoriser(self.identity.fingerprint())?;
        let (mut rotation, mut revision) = match self.read_journal(&trusted).await? {
            (Some(rotation), revision) => (rotation, revision),
            (None, revision) => {
                let began = self.clock.now();
                (Rotation::begin(trusted.deks.current(), RotationPhase::Keys, began), revision)
            }
        };
        while !rotation.is_done() {
            lease.renew().await?;
            let next = self.step(&mut rotation, lease, tell).await?;
            match next {
                Some(cursor) => rotation.cursor = cursor.as_bytes().to_vec(),
                None => {
                    rotation.cursor.clear();
                    rotation.phase = rotation.phase.next();
                }
            }
            rotation.changed = self.clock.now();
            revision = Some(self.write_journal(&trusted, &rotation, revision).await?);
            tell(RotationEvent::Progress(&rotation));
        }
        Ok(rotation)
    }

    /// Does the next piece of a phase; returns behind which document the one after it begins, or `None` if the phase is over.
    async fn step(
        &self,
        rotation: &mut Rotation,
        lease: &mut Lease,
        tell: &mut (dyn FnMut(RotationEvent<'_>) + Send),
    ) -> Result<Option<DocumentKey>> {
        let after = (!rotation.cursor.is_empty()).then(|| DocumentKey::new(rotation.cursor.clone())).transpose()?;
        match rotation.phase {
            RotationPhase::Keys => {
                let page = self.keys_of_older_epochs(after, PAGE_LEN).await?;
                for name in page.found {
                    lease.renew().await?;
                    match passed_over(self.renew_key(&name).await)? {
                        Ok(Renewed::Rotated(_)) => rotation.keys += 1,
                        Ok(Renewed::OnlySource) => {
                            rotation.external += 1;
                            tell(RotationEvent::OnlySource(&name));
                        }
                        Ok(Renewed::Already) => {}
                        Err(error) => {
                            rotation.damaged += 1;
                            tell(RotationEvent::Damaged(&error));
                        }
                    }
                }
                Ok(page.next)
            }
            RotationPhase::Versions => {
                let page = self.versions_of_older_epochs(after, PAGE_LEN).await?;
                for (name, number) in page.found {
                    lease.renew().await?;
                    match passed_over(self.rewrap_version(&name, number).await)? {
                        Ok(done) => rotation.versions += u64::from(done),
                        Err(error) => {
                            rotation.damaged += 1;
                            tell(RotationEvent::Damaged(&error));
                        }
                    }
                }
                Ok(page.next)
            }
            RotationPhase::Wraps => self.delete_foreign_wraps().await.map(|_| None),
            RotationPhase::Owed | RotationPhase::Done => Ok(None),
        }
    }
}

/// Tells what is wrong with one document, which is passed over, from what stops the work.
fn passed_over<T>(result: Result<T>) -> Result<Result<T>> {
    match result {
        Err(
            error @ (KeyringError::Corrupt { .. }
            // An epoch that the log does not have; one that this machine lacks stops it.
            | KeyringError::NoDataKey { epoch: 0, .. }
            | KeyringError::KeyRollback { .. }
            | KeyringError::KeyForked { .. }),
        ) => Ok(Err(error)),
        Err(error) => Err(error),
        Ok(done) => Ok(Ok(done)),
    }
}
