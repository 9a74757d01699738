//! How what is mounted follows the table of engines, which servers on one storage share.
//!
//! A table counts for [`FRESH`]. From [`DUE`] on one request reads it anew, and the others go on with the one there is. After [`FRESH`] all wait for it,
//! but not for ever: if the storage cannot be read, the last table counts for [`OLDEST`], and then nothing is answered that needs one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::App;
use crate::engines::{EngineTable, Engines};
use crate::mounts::{Mount, MountError, Mounts};
use crate::transit::TransitOptions;
use crate::{ApiError, engines};

/// When a table is read anew, in milliseconds after it was read.
const DUE: u64 = 500;
/// How old a table may be while the storage can be read, in milliseconds.
const FRESH: u64 = 1_000;
/// How old a table may be while it cannot. It is less than [`engines::GRACE`], after which secrets of disabled engines are removed.
const OLDEST: u64 = 30_000;
/// How long a request waits for a table.
const PATIENCE: Duration = Duration::from_secs(2);

const _: () = assert!(OLDEST <= engines::GRACE / 2, "a sweep waits until no server goes by an older table");

/// Which table the mounts follow, and how far they have.
#[derive(Debug)]
pub(crate) struct Following {
    engines: Engines,
    transit: TransitOptions,
    /// When it began. Times are counted from then, in milliseconds, so that no clock that is set is trusted.
    began: Instant,
    /// When the last table began to be read; 0 for never.
    seen: AtomicU64,
    /// When it was last tried in vain.
    failed: AtomicU64,
    /// The last table. Whoever holds it reads the next.
    table: Mutex<Option<EngineTable>>,
}

impl Following {
    pub(super) fn new(engines: Engines, transit: TransitOptions) -> Self {
        let began = Instant::now();
        Self { engines, transit, began, seen: AtomicU64::new(0), failed: AtomicU64::new(0), table: Mutex::new(None) }
    }

    /// Returns the time, which is never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Returns how old the last table is.
    fn age(&self) -> u64 {
        match self.seen.load(Ordering::Acquire) {
            0 => u64::MAX,
            seen => self.now().saturating_sub(seen),
        }
    }

    /// Says whether it was tried in vain just now, so that nobody waits for it again.
    fn has_just_failed(&self) -> bool {
        match self.failed.load(Ordering::Relaxed) {
            0 => false,
            failed => self.now().saturating_sub(failed) < FRESH,
        }
    }

    fn fail(&self) {
        self.failed.store(self.now(), Ordering::Relaxed);
    }
}

impl App {
    /// Returns what is mounted, as it was at most a second ago.
    pub(super) async fn routes(&self) -> Result<Arc<Mounts>, ApiError> {
        let Some(following) = &self.following else { return Ok(self.mounts.load_full()) };
        let age = following.age();
        if age >= FRESH {
            if !following.has_just_failed() {
                self.read_engines(following, FRESH).await;
            }
        } else if age >= DUE
            && let Ok(mut table) = following.table.try_lock()
        {
            self.read_engines_into(following, &mut table).await;
        }
        if following.age() > OLDEST {
            let message = "the storage does not say what is mounted where";
            return Err(ApiError::busy("mounts_unknown", message, 1));
        }
        Ok(self.mounts.load_full())
    }

    /// Has the mounts follow the table of engines at once: after a change, or before the first request.
    ///
    /// If it cannot be read, it is tried again by the requests that follow.
    pub async fn catch_up(&self) {
        if let Some(following) = &self.following {
            self.read_engines(following, 0).await;
        }
    }

    /// Checks that an engine could be mounted at a path, as far as this server's own endpoints and mounts are concerned.
    pub(crate) fn may_mount(&self, path: &str) -> Result<(), MountError> {
        let path = path.strip_suffix('/').unwrap_or(path);
        self.mounts.load().without_engines().check(&self.table, path)
    }

    /// Waits for whoever reads the table, and reads it too if it is that old then.
    async fn read_engines(&self, following: &Following, age: u64) {
        let reading = async {
            let mut table = following.table.lock().await;
            // Whoever was before may have read it, or have failed to.
            let is_settled = following.age() < age || (age > 0 && following.has_just_failed());
            if !is_settled {
                self.read_engines_into(following, &mut table).await;
            }
        };
        if timeout(PATIENCE, reading).await.is_err() {
            tracing::warn!("the table of engines cannot be read in time");
            following.fail();
        }
    }

    async fn read_engines_into(&self, following: &Following, last: &mut Option<EngineTable>) {
        let began = following.now();
        match timeout(PATIENCE, following.engines.table()).await {
            Ok(Ok(table)) => {
                if last.as_ref() != Some(&table) {
                    self.mount_engines(&table, following.transit);
                    *last = Some(table);
                }
                following.seen.store(began, Ordering::Release);
            }
            Ok(Err(error)) => {
                tracing::warn!(code = error.code(), "the table of engines cannot be read");
                following.fail();
            }
            Err(_) => {
                tracing::warn!("the table of engines cannot be read in time");
                following.fail();
            }
        }
    }

    /// Mounts the engines of a table in place of those that were.
    fn mount_engines(&self, table: &EngineTable, transit: TransitOptions) {
        let _one = self.mounting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = self.mounts.load().without_engines();
        for engine in table.engines() {
            let mount = Mount::of_engine(engine.clone()).with_options(transit);
            if let Err(error) = after.insert(&self.table, mount) {
                tracing::warn!(%error, "an engine is not mounted");
            }
        }
        self.mounts.store(Arc::new(after));
    }
}
