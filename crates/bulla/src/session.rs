//! The one road that every door takes: somebody is let in, acts, and is recorded.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bulla_backend::{Clock, Event, RealDisk, Recorder};
use bulla_guard::access::{Access, AccessOptions};
use bulla_guard::admission::{Admitted, Ask, Denied, Guard};
use bulla_guard::audit::{AuditError, AuditRecorder, Checkpoint, Log, LogOptions, Outcome, Reprove, Witness, publish};
use bulla_guard::limits::{GuessSettings, Quota, Quotas};
use bulla_keyring::{KeyringError, SystemKey, SystemVersion};

use crate::pin::AccessPinFile;
use crate::project::clock;
use crate::{BackendUrl, Error, IdentityFile, Project, Result, files};

/// How long after one publication of the log the next comes.
const PUBLISH: Duration = Duration::from_secs(10);

/// How often what limits remember is swept, in milliseconds.
const SWEEP: u64 = 60_000;

/// A project with its guard: who may do what, how often, and the audit log of this machine.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use bulla::guard::access::Permission;
/// use bulla::guard::admission::{Ask, Need, Presented, Record};
/// use bulla::guard::audit::{Class, Code};
/// use bulla::{Project, Session, SessionOptions};
///
/// # pollster::block_on(async {
/// # let folder = tempfile::tempdir()?;
/// let project = Arc::new(Project::in_memory().await?);
/// let options = SessionOptions::default().audit_folder(folder.path().join("audit"));
/// let session = Session::open(project, options).await?;
///
/// let orders = "keys/orders".parse()?;
/// let me = Presented::Peer { uid: bulla::this_user(), gid: 0 };
/// let ask = Ask {
///     presented: Some(me),
///     source: None,
///     action: Code::new("key.rotate"),
///     class: Class::Key,
///     subject: "keys/orders",
///     need: Need::Permission { permission: Permission::ManageKeys, resource: Some(&orders), path: None, capabilities: &[] },
///     record: Record::Change,
///     route: "",
///     request: "",
/// };
/// session.act(&ask, async |_| session.project().create_key("orders").await).await??;
/// assert_eq!(session.close().await?.size(), 2); // the intent, and how it went
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Session {
    project: Arc<Project>,
    guard: Guard,
    pin: Option<AccessPinFile>,
    folder: PathBuf,
    witnesses: Vec<Arc<dyn Witness>>,
    swept: AtomicU64,
    /// When the log was published last.
    published: Mutex<Option<Instant>>,
    /// How much of it.
    size: AtomicU64,
}

/// How a session is opened.
#[derive(Debug, Clone)]
#[must_use]
pub struct SessionOptions {
    audit_folder: Option<PathBuf>,
    quotas: Option<Quotas>,
    guesses: GuessSettings,
    reprove: Reprove,
    clock: Arc<dyn Clock>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            audit_folder: None,
            quotas: None,
            guesses: GuessSettings::default(),
            reprove: Reprove::default(),
            clock: clock(),
        }
    }
}

impl SessionOptions {
    /// Keeps the audit log in a folder of its own choice, instead of the one beside this machine's identity.
    pub fn audit_folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { audit_folder: Some(folder.into()), ..self }
    }

    /// Sets how often somebody may ask. By default, strangers may 60 times a minute, and who is known as often as they like.
    pub fn quotas(self, quotas: Quotas) -> Self {
        Self { quotas: Some(quotas), ..self }
    }

    /// Sets how long wrong secrets slow their source down.
    pub fn guesses(self, guesses: GuessSettings) -> Self {
        Self { guesses, ..self }
    }

    /// Has the guard take the time from another clock: of what ends, of quotas and delays, and of records. Keys and entries keep the project's.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Sets how much of the audit log is proven anew: everything, or only the end, for a process that lives for one command.
    pub fn reprove(self, reprove: Reprove) -> Self {
        Self { reprove, ..self }
    }
}

impl Session {
    /// Opens the guard of a project.
    ///
    /// # Errors
    /// [`Error::Access`] if who may do what cannot be read, or was put back to an older state; [`Error::Audit`] if the log of this machine is not
    /// what was signed, or cannot be opened.
    pub async fn open(project: Arc<Project>, options: SessionOptions) -> Result<Self> {
        let SessionOptions { audit_folder, quotas, guesses, reprove, clock } = options;
        let access = project.access_at(clock.clone()).await?;
        let pin = project.access_pin();
        let keyring = project.keyring();
        let folder = project.audit_folder(audit_folder)?;
        files::create_folders(&folder).map_err(|source| Error::File {
            operation: "create the folder",
            path: folder.clone(),
            source,
        })?;
        let key = audit_key(&project).await?;
        let mut log = LogOptions::new(project.id(), keyring.identity().clone(), key, clock.clone());
        log.reprove = reprove;
        log.outside = project.published_checkpoint().await?;
        let log = Arc::new(Log::open(Arc::new(RealDisk), &folder, log)?);
        project.violations.hear(&log);
        let quotas = quotas.unwrap_or_else(default_quotas);
        let guard = Guard::new(Arc::new(access), log, clock, quotas, guesses);
        let session = Self {
            project,
            guard,
            pin,
            folder,
            witnesses: Vec::new(),
            swept: AtomicU64::new(0),
            published: Mutex::new(None),
            size: AtomicU64::new(0),
        };
        session.keep_pin()?;
        Ok(session)
    }

    /// Shows checkpoints to a witness too.
    #[must_use]
    pub fn with_witness(mut self, witness: Arc<dyn Witness>) -> Self {
        self.witnesses.push(witness);
        self
    }

    /// Returns the project.
    #[must_use]
    pub fn project(&self) -> &Arc<Project> {
        &self.project
    }

    /// Returns the guard.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Returns the folder of the audit log.
    #[must_use]
    pub fn audit_folder(&self) -> &Path {
        &self.folder
    }

    /// Lets somebody in, acts, and records it: all in one. What `act` returns is returned only if it is on record.
    ///
    /// # Errors
    /// [`Denied`], and nothing was done; but for [`Denied::Unrecorded`], where it may have been. What `act` fails with is within.
    pub async fn act<T, E>(
        &self,
        ask: &Ask<'_>,
        act: impl AsyncFnOnce(&Admitted) -> std::result::Result<T, E>,
    ) -> std::result::Result<std::result::Result<T, E>, Denied> {
        let admitted = self.guard.admit(ask).await?;
        admitted.begin(&[]).await?;
        let began = Instant::now();
        let result = act(&admitted).await;
        let outcome = if result.is_ok() { Outcome::Success } else { Outcome::Failure };
        admitted.finish(outcome, None, began.elapsed()).await?;
        Ok(result)
    }

    /// Does what is due: signs what the log has gained, publishes it, shows it to witnesses, and forgets what is over. To be called about each second.
    ///
    /// # Errors
    /// [`Error::Audit`] if the log is not what was signed, or cannot be written; [`Error::Access`], [`Error::File`]. The next call tries again.
    pub async fn tick(&self) -> Result<()> {
        self.guard.log().tick().await?;
        self.keep_pin()?;
        let now = self.guard.now().0;
        let swept = self.swept.load(Ordering::Relaxed);
        if now.saturating_sub(swept) >= SWEEP
            && self.swept.compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.guard.sweep();
            self.guard.log().set_key(audit_key(&self.project).await?);
            self.sweep_tokens().await?;
        }
        self.publish_what_is_due().await
    }

    /// Publishes the last checkpoint on the disk, also one that another process has signed, if none was published for a while. What fails is tried again.
    async fn publish_what_is_due(&self) -> Result<()> {
        let is_due = {
            let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = published.is_none_or(|at| at.elapsed() >= PUBLISH);
            if is_due {
                *published = Some(Instant::now());
            }
            is_due
        };
        if !is_due {
            return Ok(());
        }
        let done = match self.project.read_audit_log(&self.folder).checkpoint() {
            // Nothing was logged yet.
            Err(AuditError::Missing(_)) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(checkpoint) if checkpoint.size() == self.size.load(Ordering::Relaxed) => Ok(()),
            Ok(checkpoint) => self.publish(&checkpoint).await,
        };
        if done.is_err() {
            *self.published.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        done
    }

    /// Signs and publishes what the log has, and closes it.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub async fn close(self) -> Result<Checkpoint> {
        let checkpoint = self.guard.log().checkpoint().await?;
        self.publish(&checkpoint).await?;
        self.keep_pin()?;
        Ok(checkpoint)
    }

    async fn publish(&self, checkpoint: &Checkpoint) -> Result<()> {
        let reader = self.project.read_audit_log(&self.folder);
        publish(&reader, &*self.project.states).await?;
        let mut shown = Ok(());
        for witness in &self.witnesses {
            // One that is away keeps it from no other.
            let answer = witness.publish(reader.origin(), checkpoint).await;
            shown = shown.and(answer);
        }
        shown?;
        self.size.store(checkpoint.size(), Ordering::Relaxed);
        Ok(())
    }

    /// Deletes tokens whose time is over.
    async fn sweep_tokens(&self) -> Result<()> {
        let mut after = None;
        loop {
            let swept = self.guard.access().sweep_tokens(after, 1_000).await?;
            after = swept.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn keep_pin(&self) -> Result<()> {
        let Some(file) = &self.pin else { return Ok(()) };
        file.advance(&self.guard.access().pin()).map(drop)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("project", &self.project.id())
            .field("guard", &self.guard)
            .finish_non_exhaustive()
    }
}

impl Project {
    /// Opens who may do what in the project. A [`Session`] has it already.
    ///
    /// # Errors
    /// [`Error::Access`] if it cannot be read, or was put back to an older state.
    pub async fn access(&self) -> Result<Access> {
        self.access_at(clock()).await
    }

    async fn access_at(&self, clock: Arc<dyn Clock>) -> Result<Access> {
        let known = self.access_pin().as_ref().map(AccessPinFile::load).transpose()?.flatten();
        // Whoever this process runs as has the identity, and with it everything.
        let options = AccessOptions { owner_uid: Some(this_user()) };
        Ok(Access::open(self.keyring().clone(), self.states.clone(), clock, known.as_ref(), options).await?)
    }

    fn access_pin(&self) -> Option<AccessPinFile> {
        let is_kept = self.settings().backend().get() != &BackendUrl::Memory;
        let file = IdentityFile::of(self.settings()).ok().filter(|_| is_kept)?;
        Some(AccessPinFile::beside(file.path(), self.id()))
    }
}

/// Returns the quotas where nobody says otherwise: 60 requests a minute for strangers, and for those who are known as many as there is time for.
fn default_quotas() -> Quotas {
    let second = Duration::from_secs(1);
    let principal = Quota::new(1_000_000, second, 1_000_000).unwrap_or_default();
    Quotas { principal, ..Quotas::default() }
}

/// Returns the key that identifiers are blinded with. While the data key is rotated, it may be of the epoch before: then it is renewed, for who was put
/// out would know it.
async fn audit_key(project: &Project) -> Result<SystemVersion> {
    let keyring = project.keyring();
    match keyring.system_key(&SystemKey::audit()).await {
        Err(KeyringError::OldEpoch { .. }) => {
            keyring.renew_key(SystemKey::audit().name()).await?;
            Ok(keyring.system_key(&SystemKey::audit()).await?)
        }
        key => Ok(key?),
    }
}

/// Returns the group of the operating system that this process acts for.
#[must_use]
pub fn this_group() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Returns the user of the operating system that this process acts for.
#[must_use]
pub fn this_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Tells the audit log of what the store finds that nobody honest has left there, from when there is a log.
#[derive(Debug, Default)]
pub(crate) struct Violations(Mutex<Weak<Log>>);

impl Violations {
    fn hear(&self, log: &Arc<Log>) {
        // The newest session hears; one that is closed is kept by nobody.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(log);
    }
}

impl Recorder for Violations {
    fn record(&self, event: &Event<'_>) {
        if let Event::SecurityViolation { .. } = event
            && let Some(log) = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
        {
            AuditRecorder::new(log).record(event);
        }
    }
}
