//! Letting a machine in.

use std::collections::BTreeSet;

use super::append::Attempts;
use crate::format::Act;
use crate::keyring::Keyring;
use crate::trust_log::{Capability, Machine, Trusted};
use crate::{Fingerprint, KeyringError, MachineName, PublicIdentity, Request, Result};

/// What became of something that two authorisers may be needed for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// It is in force.
    Done(T),
    /// It waits, under this position of the trust log, until another authoriser approves it.
    Waits(u64),
}

impl<T> Outcome<T> {
    /// Returns what is in force, if it is.
    #[must_use]
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(done) => Some(done),
            Self::Waits(_) => None,
        }
    }
}

impl Keyring {
    /// Lets a machine in: wraps the data keys of all epochs to it, and then signs its grant.
    ///
    /// Where two authorisers are needed, the grant only asks, and nothing is wrapped: who approves it does that.
    ///
    /// # Errors
    /// [`KeyringError::NotAuthorised`]; [`KeyringError::MachineExists`] if the machine, or another of its name, is in;
    /// [`KeyringError::RequestElsewhere`]; [`KeyringError::Conflict`]; and as [`Keyring::refresh`]. A call that was interrupted can be
    /// made again.
    ///
    /// # Security
    /// A request proves only that who made it holds the keys in it. Compare its fingerprint with what the machine itself shows, over a way
    /// that you trust: [`Request::expect_fingerprint`].
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use bulla_backend::{Clock, MemoryDocuments, SystemClock};
    /// use bulla_keyring::{Capability, Identity, Keyring, Request};
    ///
    /// # pollster::block_on(async {
    /// let (documents, clock) = (Arc::new(MemoryDocuments::new()), Arc::new(SystemClock));
    /// let laptop = Keyring::create(
    ///     documents.clone(),
    ///     Arc::new(Identity::generate()?),
    ///     &"laptop".parse()?,
    ///     clock.clone(),
    /// )
    /// .await?;
    ///
    /// // On the server: a request for its administrator, and the fingerprint to compare it with.
    /// let server = Arc::new(Identity::generate()?);
    /// let request = Request::create(&server, "server".parse()?, None, clock.now())?.to_string();
    ///
    /// // On the laptop.
    /// let request: Request = request.parse()?;
    /// request.expect_fingerprint(server.fingerprint())?;
    /// let machine = laptop.authorise(&request, Capability::Use).await?.done().expect("one authoriser is enough here");
    /// assert_eq!(machine.name.as_str(), "server");
    ///
    /// let on_server = Keyring::open(documents, server, laptop.pin(), clock).await?;
    /// assert_eq!(on_server.machines().len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn authorise(&self, request: &Request, capability: Capability) -> Result<Outcome<Machine>> {
        request.check_project(&self.project)?;
        let (public, name) = (request.public(), request.name());
        let subject = public.fingerprint();
        let mut wrapped = BTreeSet::new();
        let mut attempts = Attempts::default();
        loop {
            attempts.next()?;
            let trusted = self.looked().await?;
            trusted.require_authoriser(self.identity.fingerprint())?;
            check_new(&trusted, public, name)?;
            let waits = trusted.needs_approval(self.identity.fingerprint());
            if !waits {
                self.wrap_all(&trusted, public, &mut wrapped).await?;
            }
            let dek = trusted.deks.newest();
            let act = Act::Grant {
                machine: name.clone(),
                subject: public.clone(),
                epoch: dek.epoch(),
                capability: dek.seal_capability(&self.project, subject, capability)?,
            };
            let position = trusted.pin.length();
            if !self.append(&trusted, act).await? {
                continue;
            }
            if waits {
                return Ok(Outcome::Waits(position));
            }
            return self.admitted(public).await.map(Outcome::Done);
        }
    }

    /// Returns a machine that was let in just now.
    pub(super) async fn admitted(&self, public: &PublicIdentity) -> Result<Machine> {
        let subject = public.fingerprint();
        let returned = self.log.verifier().was_in_before(subject);
        let trusted = self.trusted().await?;
        if returned {
            // Whoever put it out may have been deleting its copies until now.
            self.wrap_all(&trusted, public, &mut BTreeSet::new()).await?;
        }
        trusted.machines.get(&subject).cloned().ok_or(KeyringError::Revoked(subject))
    }
}

/// Refuses a machine, or a name, that is in.
pub(super) fn check_new(trusted: &Trusted, public: &PublicIdentity, name: &MachineName) -> Result<()> {
    let subject = public.fingerprint();
    let same = |(fingerprint, machine): &(&Fingerprint, &Machine)| **fingerprint == subject || machine.name == *name;
    match trusted.machines.iter().find(same) {
        Some((fingerprint, machine)) => {
            Err(KeyringError::MachineExists { name: machine.name.clone(), fingerprint: *fingerprint })
        }
        None => Ok(()),
    }
}
