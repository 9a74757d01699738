use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::ArcSwap;
use bulla_backend::{Clock, SystemClock};
use tokio::sync::Semaphore;

use super::following::Following;
use super::{App, Collector};
use crate::admission::Door;
use crate::body::BodyRules;
use crate::config::{Limits, TimeOuts};
use crate::cubbyhole::{self, CUBBYHOLE};
use crate::engines::{self, Engines};
use crate::kv::{self, KV1, KV2};
use crate::metrics::{Exposition, Metrics};
use crate::mounts::{Mount, MountError, Mounts};
use crate::request_id::RequestIds;
use crate::system::{self, Check, Readiness};
use crate::table::{Endpoint, Kind, Table, TableError};
use crate::transit::{self, TRANSIT, TransitOptions};

/// Makes an [`App`].
#[must_use]
pub struct AppBuilder {
    project: Arc<bulla::Project>,
    door: Box<dyn Door>,
    fixed: Vec<Endpoint>,
    kinds: Vec<(Kind, Vec<Endpoint>)>,
    mounts: Vec<Mount>,
    following: Option<Following>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    times: TimeOuts,
    checks: Vec<Box<dyn Check>>,
    collectors: Vec<Collector>,
}

/// Why an [`App`] was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The table of endpoints contradicts itself.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Something cannot be mounted where it should be.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
}

impl AppBuilder {
    pub(super) fn new(project: Arc<bulla::Project>, door: Box<dyn Door>) -> Self {
        Self {
            project,
            door,
            fixed: Vec::new(),
            kinds: Vec::new(),
            mounts: Vec::new(),
            following: None,
            clock: Arc::new(SystemClock),
            limits: Limits::default(),
            times: TimeOuts::default(),
            checks: Vec::new(),
            collectors: Vec::new(),
        }
    }

    /// Adds endpoints whose paths begin at `/`.
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.fixed.extend(endpoints);
        self
    }

    /// Adds the endpoints of a kind of mount.
    pub fn kind(mut self, kind: Kind, endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        self.kinds.push((kind, endpoints.into_iter().collect()));
        self
    }

    /// Mounts something.
    pub fn mount(mut self, mount: Mount) -> Self {
        self.mounts.push(mount);
        self
    }

    /// Mounts the engines that the project's table says, now and whenever it changes, and adds the endpoints to enable, tune and disable them.
    ///
    /// This brings the kinds `kv1`, `kv2`, `cubbyhole` and `transit`. `transit` says what mounts of that kind are to know.
    pub fn engines(mut self, transit: TransitOptions) -> Self {
        let engines = Engines::new(self.project.entries().clone());
        self.fixed.extend(engines::endpoints(&engines));
        self.following = Some(Following::new(engines, transit));
        self.kind(KV1, kv::v1_endpoints())
            .kind(KV2, kv::endpoints())
            .kind(CUBBYHOLE, cubbyhole::endpoints())
            .kind(TRANSIT, transit::endpoints())
    }

    /// Takes the time from another clock.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sets bounds.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Sets time-outs.
    pub fn times(self, times: TimeOuts) -> Self {
        Self { times, ..self }
    }

    /// Adds something without which the server is not ready.
    pub fn check(mut self, check: impl Check) -> Self {
        self.checks.push(Box::new(check));
        self
    }

    /// Adds what another part of the program counts.
    pub fn collector(mut self, collect: impl Fn(&App, &mut Exposition) + Send + Sync + 'static) -> Self {
        self.collectors.push(Box::new(collect));
        self
    }

    /// Makes it.
    ///
    /// # Errors
    /// [`AppError`].
    pub fn build(self) -> Result<Arc<App>, AppError> {
        let mut table = Table::new();
        table.add(system::endpoints())?;
        table.add(self.fixed)?;
        for (kind, endpoints) in self.kinds {
            table.add_kind(kind, endpoints)?;
        }
        let mut mounts = Mounts::default();
        for mount in self.mounts {
            mounts.insert(&table, mount)?;
        }
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| AppError::NoRandomness)?;
        let Limits { requests, writes, body_memory, .. } = self.limits;
        Ok(Arc::new(App {
            project: self.project,
            door: self.door,
            metrics: Metrics::new(&table),
            readiness: Readiness::new(self.checks),
            collectors: self.collectors,
            description: OnceLock::new(),
            table,
            mounts: ArcSwap::from_pointee(mounts),
            mounting: Mutex::new(()),
            following: self.following,
            started: self.clock.now(),
            clock: self.clock,
            ids: RequestIds::new(random),
            bodies: Arc::new(BodyRules::new(self.times.body_grace, self.limits.body_rate, body_memory)),
            in_flight: Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))),
            writes: Semaphore::new(writes.clamp(1, Semaphore::MAX_PERMITS)),
            limits: self.limits,
            times: self.times,
            is_draining: AtomicBool::new(false),
        }))
    }
}

impl fmt::Debug for AppBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppBuilder").field("mounts", &self.mounts).finish_non_exhaustive()
    }
}
