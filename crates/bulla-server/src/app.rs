//! What a server works on, and the one road that every request takes.

mod builder;
mod following;
mod guarded;
mod road;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use bulla_backend::{Clock, Timestamp};
use bytes::Bytes;
use tokio::sync::Semaphore;

pub use builder::{AppBuilder, AppError};
use following::Following;
pub use guarded::Keeper;
pub(crate) use road::{Scope, giving_away};

use crate::admission::Door;
use crate::body::BodyRules;
use crate::config::{Limits, TimeOuts};
use crate::metrics::{Exposition, Metrics};
use crate::mounts::{Mount, MountError, Mounts};
use crate::request_id::RequestIds;
use crate::system::Readiness;
use crate::table::Table;

/// What a server works on: the project, the door, the table of endpoints, and what is mounted.
pub struct App {
    project: Arc<bulla::Project>,
    door: Box<dyn Door>,
    table: Table,
    mounts: ArcSwap<Mounts>,
    mounting: Mutex<()>,
    following: Option<Following>,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    ids: RequestIds,
    limits: Limits,
    times: TimeOuts,
    bodies: Arc<BodyRules>,
    in_flight: Arc<Semaphore>,
    writes: Semaphore,
    is_draining: AtomicBool,
    metrics: Metrics,
    readiness: Readiness,
    collectors: Vec<Collector>,
    /// OpenAPI, once somebody asked for it.
    description: OnceLock<Bytes>,
}

/// Writes what another part of the program counts.
pub type Collector = Box<dyn Fn(&App, &mut Exposition) + Send + Sync>;

impl App {
    /// Begins to make one, of a project and a door.
    pub fn builder(project: Arc<bulla::Project>, door: impl Door) -> AppBuilder {
        AppBuilder::new(project, Box::new(door))
    }

    /// Returns the project.
    #[must_use]
    pub fn project(&self) -> &Arc<bulla::Project> {
        &self.project
    }

    /// Returns the session whose guard decides who is let in, unless the door is of another sort.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<bulla::Session>> {
        self.door.session()
    }

    /// Returns the table of endpoints.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns what is mounted now.
    #[must_use]
    pub fn mounts(&self) -> Arc<Mounts> {
        self.mounts.load_full()
    }

    /// Mounts something, from the next request on.
    ///
    /// # Errors
    /// [`MountError`].
    pub fn mount(&self, mount: Mount) -> Result<(), MountError> {
        // One at a time: of two that mount at one path, one is told.
        let _one = self.mounting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = Mounts::clone(&self.mounts.load());
        after.insert(&self.table, mount)?;
        self.mounts.store(Arc::new(after));
        Ok(())
    }

    /// Unmounts what is mounted at a path, and says whether there was anything.
    pub fn unmount(&self, path: &str) -> bool {
        let _one = self.mounting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = Mounts::clone(&self.mounts.load());
        let was_there = after.remove(path).is_some();
        self.mounts.store(Arc::new(after));
        was_there
    }

    /// Returns the present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns when it was made.
    #[must_use]
    pub fn started(&self) -> Timestamp {
        self.started
    }

    /// Returns its bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns its time-outs.
    #[must_use]
    pub fn times(&self) -> &TimeOuts {
        &self.times
    }

    /// Says whether the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    pub(crate) fn collectors(&self) -> &[Collector] {
        &self.collectors
    }

    pub(crate) fn description(&self) -> &OnceLock<Bytes> {
        &self.description
    }

    pub(crate) fn requests_in_flight(&self) -> u64 {
        self.limits.requests.saturating_sub(self.in_flight.available_permits()) as u64
    }

    /// Waits until no request is in flight, not even one whose client has left.
    pub(crate) async fn is_idle(&self) {
        let all = u32::try_from(self.limits.requests).unwrap_or(u32::MAX);
        drop(self.in_flight.acquire_many(all).await);
    }

    /// Has it say that it is not ready, since it is about to stop. Requests are still answered.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("project", &self.project.id()).field("mounts", &self.mounts).finish_non_exhaustive()
    }
}
