//! The proof that somebody was let in, and the record of what they do.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::ask::{Ask, Need, Record};
use super::denied::Denied;
use crate::access::{Capability, ParameterValue, PathRequest, Permission, Principal, RequestPath, Resource};
use crate::audit::{Batch, Code, Event, Intent, Log, Outcome};
use crate::limits::Verdict;

/// The proof that somebody was let in to do one thing. Only [`Guard::admit`](super::Guard::admit) makes one.
///
/// Dropped between [`begin`](Self::begin) and [`finish`](Self::finish), it leaves in the log that how it went is unknown.
pub struct Admitted {
    principal: Option<Principal>,
    verdict: Option<Verdict>,
    log: Arc<Log>,
    event: Event,
    record: Record,
    /// What a policy has still to be asked with the parameters of the request.
    by_policy: Option<(RequestPath, Box<[Capability]>)>,
    intent: Mutex<Option<Intent>>,
    batch: OnceLock<Batch>,
    /// What the record is to name besides, and has not yet.
    about: Mutex<Vec<(Code, Vec<u8>)>>,
}

impl Admitted {
    pub(super) fn new(ask: &Ask<'_>, principal: Option<Principal>, verdict: Option<Verdict>, log: Arc<Log>) -> Self {
        let mut event = ask.event(ask.class, Outcome::Success);
        if let Some(principal) = &principal {
            event = event.principal(principal.id()).text(super::METHOD, principal.kind().name());
            if let Some(credential) = principal.credential() {
                event = event.identifier(super::CREDENTIAL, credential.as_str());
            }
        }
        let by_policy = match (&principal, ask.need) {
            (Some(principal), Need::Permission { permission, resource, path: Some(path), capabilities })
                if !granted(principal, permission, resource) =>
            {
                Some((path.clone(), capabilities.into()))
            }
            _ => None,
        };
        Self {
            principal,
            verdict,
            log,
            event,
            record: ask.record,
            by_policy,
            intent: Mutex::default(),
            batch: OnceLock::new(),
            about: Mutex::default(),
        }
    }

    /// Returns who was let in, if anybody had to be known.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// Returns what is left of their quota, if they have one.
    #[must_use]
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Says that the request stands for many items, whose digest the record has.
    pub fn set_batch(&self, batch: Batch) {
        // The first stands: a request has one batch.
        let _ = self.batch.set(batch);
    }

    /// Names in the record what it is about: the entry that is read, the role that signs in, the token that is made. Names are blinded, as all
    /// identifiers are. What is said before [`begin`](Self::begin) is in the intent already.
    pub fn add_identifier(&self, name: Code, identifier: impl AsRef<[u8]>) {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).push((name, identifier.as_ref().to_vec()));
    }

    /// Adds to an event what is to be named, once.
    fn named(&self, event: Event) -> Event {
        let about = std::mem::take(&mut *self.about.lock().unwrap_or_else(PoisonError::into_inner));
        about.into_iter().fold(event, |event, (name, identifier)| event.identifier(name, identifier))
    }

    /// Says whether they may do it in one way rather than another: to make something new, say, and not to change what is there. What a permission allows
    /// is allowed in every way.
    #[must_use]
    pub fn may(&self, capability: Capability) -> bool {
        match (&self.by_policy, &self.principal) {
            (Some((path, capabilities)), Some(principal)) => {
                capabilities.contains(&capability) && principal.rules().may_allow(capability, path)
            }
            _ => true,
        }
    }

    /// Says that it is about to be done: the request is well formed, and these are its parameters, of which policies may have something to say.
    ///
    /// # Errors
    /// [`Denied::Forbidden`] if the policies do not allow it with these parameters; [`Denied::Unrecorded`] if an intent has to be recorded and cannot be. It must not
    /// be done then.
    pub async fn begin(&self, parameters: &[(String, ParameterValue)]) -> Result<(), Denied> {
        if let (Some((path, capabilities)), Some(principal)) = (&self.by_policy, &self.principal) {
            let allows = |capability: &Capability| {
                principal.allows_path(&PathRequest { path, capability: *capability, parameters, wrapping: None })
            };
            if !capabilities.iter().any(allows) {
                let event = Event::authorization(Code::new("parameters"), Outcome::Failure).resource(path.as_str());
                self.log.note(event.principal(principal.id()));
                return Err(Denied::Forbidden);
            }
        }
        if matches!(self.record, Record::Change | Record::Administer) {
            let intent = self.log.intent(self.named(self.event.clone()).strict()).await?;
            *self.intent.lock().unwrap_or_else(PoisonError::into_inner) = Some(intent);
        }
        Ok(())
    }

    /// Says whether what is asked for has parameters that policies have something to say of. Without, [`Self::begin`] may get none.
    #[must_use]
    pub fn wants_parameters(&self) -> bool {
        match (&self.by_policy, &self.principal) {
            (Some((path, capabilities)), Some(principal)) => {
                capabilities.iter().any(|capability| principal.rules().has_parameters(*capability, path))
            }
            _ => false,
        }
    }

    /// Says how it went, before anything of it is shown.
    ///
    /// # Errors
    /// [`Denied::Unrecorded`] if that has to be recorded and cannot be; [`Denied::OutcomeUnrecorded`] if it was done already. Nothing must be shown then, but
    /// that.
    pub async fn finish(&self, outcome: Outcome, code: Option<&str>, elapsed: Duration) -> Result<(), Denied> {
        let intent = self.intent.lock().unwrap_or_else(PoisonError::into_inner).take();
        let complete = |event: Event| {
            let mut event = self.named(event);
            if let Some(batch) = self.batch.get() {
                event = event.batch(*batch);
            }
            if let Some(code) = code {
                event = event.text(Code::new("code"), code);
            }
            event.number(Code::new("duration_us"), u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
        };
        if let Some(intent) = intent {
            intent.outcome_with(outcome, complete).await.map_err(Denied::OutcomeUnrecorded)?;
            return Ok(());
        }
        let event = complete(self.event.clone().with_outcome(outcome));
        match self.record {
            Record::Nothing => {}
            // What was refused, or failed, has shown nothing.
            Record::Reveal | Record::SignIn if outcome == Outcome::Success => {
                self.log.append(event).await?;
            }
            // A change that was refused before it began.
            Record::Look | Record::Reveal | Record::SignIn | Record::Change | Record::Administer => {
                self.log.note(event);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// Says whether roles grant a permission.
pub(super) fn granted(principal: &Principal, permission: Permission, resource: Option<&Resource>) -> bool {
    match resource {
        Some(resource) => principal.allows(permission, resource),
        // A name that is none is within no pattern.
        None => principal.rules().everywhere().contains(permission),
    }
}
