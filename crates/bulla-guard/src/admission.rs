//! The one road in: who asks, how often, whether they may; and the record of it, before and after.
//!
//! Every door takes it: the server, the command line, a program that hands its own callers through. A door says what is asked for ([`Ask`]), and
//! gets an [`Admitted`] or a [`Denied`]. Before it acts it calls [`Admitted::begin`], and behind it [`Admitted::finish`]; what needs a record does not happen,
//! or is not shown, unless the record is durable.
//!
//! | record | before | behind | if the log cannot be written |
//! |---|---|---|---|
//! | [`Record::Nothing`] | | | |
//! | [`Record::Look`] | | an event that nobody waits for | it goes on; the loss is counted |
//! | [`Record::Reveal`] | | an event, durable before anything is shown | nothing is shown |
//! | [`Record::SignIn`] | | the same if it succeeds | nobody is signed in |
//! | [`Record::Change`], [`Record::Administer`] | an intent, durable before anything is done | its outcome, durable before the answer | nothing is done |

mod admitted;
mod ask;
mod denied;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bulla_backend::{Clock, Timestamp};

use crate::access::{Access, CredentialId, IssuedToken, PeerInfo, Principal, Refused, RefusedReason, SecretText};
use crate::audit::{Class, Code, Event, Log, Outcome, Severity};
use crate::limits::{GuessAlert, GuessSettings, Guesses, Limiter, Peer, Quota, Quotas, Verdict, Verified};

use admitted::granted;

pub use admitted::Admitted;
pub use ask::{Ask, Need, Presented, Record};
pub use denied::Denied;

const MINUTE: Duration = Duration::from_secs(60);

/// What stands at the door of a project: who may do what, how often, and the log.
pub struct Guard {
    access: Arc<Access>,
    log: Arc<Log>,
    clock: Arc<dyn Clock>,
    limiter: Limiter,
    guesses: Guesses,
    /// How many were refused since the log was told, for asking too often or too soon: each for itself would fill it.
    refused: AtomicU64,
    quotas: RwLock<Arc<Quotas>>,
}

impl Guard {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        access: Arc<Access>,
        log: Arc<Log>,
        clock: Arc<dyn Clock>,
        quotas: Quotas,
        guesses: GuessSettings,
    ) -> Self {
        let quotas = RwLock::new(Arc::new(quotas));
        Self {
            access,
            log,
            clock,
            limiter: Limiter::default(),
            guesses: Guesses::new(guesses),
            refused: AtomicU64::new(0),
            quotas,
        }
    }

    /// Returns who may do what.
    #[must_use]
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Returns the log.
    #[must_use]
    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    /// Puts other quotas in force, from the next request on.
    pub fn set_quotas(&self, quotas: Quotas) {
        *self.quotas.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(quotas);
    }

    /// Forgets what a source guessed wrong, for an administrator. Says whether there was anything.
    pub fn forgive(&self, source: Peer) -> bool {
        self.guesses.reset(source)
    }

    /// Counts the sources whose wrong secrets are remembered.
    #[must_use]
    pub fn slowed_sources(&self) -> usize {
        self.guesses.sources()
    }

    /// Drops what limits remember of those who were quiet for long. Call it about once a minute.
    pub fn sweep(&self) {
        let now = self.clock.now();
        self.limiter.sweep(now);
        self.guesses.sweep(now);
        let refused = self.refused.swap(0, Ordering::Relaxed);
        if refused > 0 {
            let event = Event::authorization(Code::new("too_many"), Outcome::Failure);
            self.log.note(event.number(Code::new("count"), refused));
        }
    }

    /// Lets somebody in to do something, or not.
    ///
    /// # Errors
    /// [`Denied`]. What is denied is in the log, as far as that can be written.
    pub async fn admit(&self, ask: &Ask<'_>) -> Result<Admitted, Denied> {
        let principal = match ask.need {
            // Who presents something where nothing is needed is not looked at: it would be work for nothing.
            Need::Nothing => None,
            Need::Credential | Need::Permission { .. } => Some(self.identify(ask).await?),
        };
        let verdict = self.limit(ask, principal.as_ref())?;
        if let (Some(principal), Need::Permission { permission, resource, path, capabilities }) = (&principal, ask.need)
            && !granted(principal, permission, resource)
            // Where a policy asks for parameters, this is the answer as far as it can be given without them; `begin` gives the rest.
            && !path.is_some_and(|path| {
                capabilities.iter().any(|capability| principal.rules().may_allow(*capability, path))
            })
        {
            self.log.note(ask.event(Class::Authorization, Outcome::Failure).principal(principal.id()));
            return Err(Denied::Forbidden);
        }
        Ok(Admitted::new(ask, principal, verdict, Arc::clone(&self.log)))
    }

    /// Logs a program in by the id and a secret of its `AppRole`, for an ask that needs nothing.
    ///
    /// # Errors
    /// [`Denied`], as [`Self::admit`].
    pub async fn login_approle(&self, ask: &Ask<'_>, role: &str, secret: &str) -> Result<IssuedToken, Denied> {
        let attempt = self.attempt(ask)?;
        let peer = PeerInfo { address: ask.source };
        let answer = self.access.login_approle(role, secret, &peer).await;
        self.judge(ask, "approle", attempt, answer)
    }

    async fn identify(&self, ask: &Ask<'_>) -> Result<Principal, Denied> {
        let Some(presented) = &ask.presented else {
            self.count_stranger(ask)?;
            self.log.note(ask.event(Class::Authentication, Outcome::Failure).text(METHOD, "none"));
            return Err(Denied::NoCredential);
        };
        let peer = PeerInfo { address: ask.source };
        let text = match presented.credential() {
            Ok(credential) => {
                let answer = self.access.authenticate(&credential, &peer).await;
                return self.judge(ask, presented.method(), None, answer);
            }
            Err(text) => text,
        };
        let attempt = self.attempt(ask)?;
        let answer = match SecretText::parse(text) {
            Ok(secret) => self.access.authenticate(&crate::access::Credential::Bearer(&secret), &peer).await,
            Err(error) => Err(Refused::from(error)),
        };
        self.judge(ask, presented.method(), attempt, answer)
    }

    /// Lets a source present a secret. Who is on this machine, or has been let in to its socket, guesses no faster than any source does.
    fn attempt(&self, ask: &Ask<'_>) -> Result<Option<crate::limits::Attempt<'_>>, Denied> {
        let Some(source) = ask.source else { return Ok(None) };
        match self.guesses.begin(source.into(), self.clock.now()) {
            Ok(attempt) => Ok(Some(attempt)),
            Err(wait) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Denied::TooSoon(wait.wait))
            }
        }
    }

    /// Counts what somebody presented as right or wrong.
    fn judge<T>(
        &self,
        ask: &Ask<'_>,
        method: &'static str,
        attempt: Option<crate::limits::Attempt<'_>>,
        answer: Result<T, Refused>,
    ) -> Result<T, Denied> {
        let refused = match answer {
            Ok(principal) => {
                if let Some(attempt) = attempt {
                    attempt.right();
                }
                return Ok(principal);
            }
            Err(refused) => refused,
        };
        if refused.is_unavailable() {
            return Err(Denied::Unavailable(refused.to_string()));
        }
        // Only another secret for an id that there is is a guess. Who shows what has expired, or was revoked and is gone, slows nobody else down who
        // comes from there; their requests are counted.
        if let Some(attempt) = attempt
            && matches!(refused.reason(), RefusedReason::WrongSecret)
        {
            let id = refused.credential();
            let wrong = attempt.wrong(id.as_ref().map(CredentialId::as_str), self.clock.now());
            if let Some(alert) = wrong.alert {
                self.log.note(self.guessed(&alert));
            }
        }
        self.count_stranger(ask)?;
        let mut event = ask.event(Class::Authentication, Outcome::Failure);
        event = event.text(METHOD, method).text(REASON, refused.reason().name());
        if let Some(credential) = refused.credential() {
            event = event.identifier(CREDENTIAL, credential.as_str());
        }
        self.log.note(event);
        Err(Denied::BadCredential)
    }

    fn limit(&self, ask: &Ask<'_>, principal: Option<&Principal>) -> Result<Option<Verdict>, Denied> {
        let Some(principal) = principal else {
            // Probes are asked for all the time, and cost next to nothing.
            return if ask.record == Record::Nothing { Ok(None) } else { self.count_stranger(ask) };
        };
        let quotas = Arc::clone(&self.quotas.read().unwrap_or_else(PoisonError::into_inner));
        let verdict = self.limiter.check(&quotas.principal(principal, ask.route), self.clock.now());
        self.decide(verdict).map(Some)
    }

    /// Counts a request of somebody who is not known, by where it comes from.
    fn count_stranger(&self, ask: &Ask<'_>) -> Result<Option<Verdict>, Denied> {
        let Some(source) = ask.source else { return Ok(None) };
        let quotas = Arc::clone(&self.quotas.read().unwrap_or_else(PoisonError::into_inner));
        let verdict = self.limiter.check(&quotas.peer(source.into(), ask.route), self.clock.now());
        self.decide(verdict).map(Some)
    }

    fn decide(&self, verdict: Verdict) -> Result<Verdict, Denied> {
        if verdict.admitted {
            return Ok(verdict);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Denied::TooMany(verdict))
    }

    fn guessed(&self, alert: &GuessAlert) -> Event {
        Event::security_violation(Code::new("secret_guessed"), Severity::High)
            .identifier(CREDENTIAL, &alert.key_id)
            .address(alert.last_source.to_string())
            .number(Code::new("count"), alert.wrong.into())
            .number(Code::new("within_ms"), u64::try_from(alert.within.as_millis()).unwrap_or(u64::MAX))
    }

    /// Returns the present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("log", &self.log).finish_non_exhaustive()
    }
}

/// Two owners of one name share their buckets: a user's keys are counted together, and tokens each for itself.
impl Verified for Principal {
    fn limit_id(&self) -> &str {
        self.id()
    }

    fn limit_quota(&self) -> Option<Quota> {
        let count = self.requests_per_minute()?;
        // None at all is a quota that nobody has; one a minute is the least there is.
        Quota::new(count.max(1), MINUTE, count.max(1)).ok()
    }

    fn limit_roles(&self) -> impl Iterator<Item = &str> {
        self.roles().iter().map(crate::access::RoleName::as_str)
    }
}

const METHOD: Code = Code::new("method");
const REASON: Code = Code::new("reason");
const CREDENTIAL: Code = Code::new("credential");
