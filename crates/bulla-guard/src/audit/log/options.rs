//! How a log is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bulla_backend::Clock;
use bulla_keyring::{Identity, SystemVersion};
use bulla_seal::ProjectId;

use crate::audit::note::Checkpoint;

/// What a log is opened with.
#[derive(Clone)]
#[non_exhaustive]
pub struct LogOptions {
    /// The project that the machine logs for.
    pub project: ProjectId,
    /// Who signs checkpoints.
    pub identity: Arc<Identity>,
    /// The key that identifiers are blinded with: the newest version of [`SystemKey::audit`](bulla_keyring::SystemKey::audit).
    pub key: SystemVersion,
    /// Where the times of events come from.
    pub clock: Arc<dyn Clock>,
    /// How long a segment gets, in bytes: 16 MiB.
    pub segment_len: u64,
    /// After how many events a checkpoint is made: 1,000.
    pub checkpoint_events: u64,
    /// How old events get before [`Log::tick`](super::Log::tick) makes one: 10 s.
    pub checkpoint_period: Duration,
    /// How much is read again: everything.
    pub reprove: Reprove,
    /// A checkpoint from outside, which the log has to fit: what was published last, or a witness has seen.
    pub outside: Option<Checkpoint>,
}

/// How much of a log is read again when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reprove {
    /// Every event.
    #[default]
    All,
    /// The last segment, if the checkpoints to fit lie in it: for a process that logs one command. What was altered before, only `verify` finds.
    LastSegment,
}

impl LogOptions {
    /// Takes what there is no default for.
    #[must_use]
    pub fn new(project: ProjectId, identity: Arc<Identity>, key: SystemVersion, clock: Arc<dyn Clock>) -> Self {
        Self {
            project,
            identity,
            key,
            clock,
            segment_len: 16 * 1024 * 1024,
            checkpoint_events: 1_000,
            checkpoint_period: Duration::from_secs(10),
            reprove: Reprove::All,
            outside: None,
        }
    }
}

impl fmt::Debug for LogOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogOptions")
            .field("project", &self.project)
            .field("reprove", &self.reprove)
            .finish_non_exhaustive()
    }
}
