//! The machines of a project: asking to be let in, letting in, putting out, and what follows from it.
//!
//! Each operation that makes the trust log longer also keeps the pin, so that this machine notices an older copy of it.

use std::sync::Arc;

use bulla_backend::Timestamp;
use bulla_keyring::{
    Capability, Fingerprint, Keyring, KeyringError, Machine, MachineName, Outcome, RecoveryWords, Request, Revocation,
    RevokeOptions, Rotation, RotationEvent,
};
use bulla_seal::ProjectId;

use crate::pin::PinFile;
use crate::project::{Backend, clock, machine_name};
use crate::{BackendUrl, Error, IdentityFile, Project, Result, Settings};

impl Project {
    /// Makes this machine's request to be let in, for an authoriser of the project.
    ///
    /// The machine gets an identity, if it has none, and is called as it is in the network, if no name is given. The request is bound to the
    /// project, if the settings name one. Have its fingerprint compared over a channel that you trust.
    ///
    /// # Errors
    /// [`Error::NoIdentityPlace`], and whatever the identity file says.
    pub fn enroll(settings: &Settings, name: Option<MachineName>) -> Result<Request> {
        let identity = IdentityFile::of(settings)?.load_or_create()?;
        let name = name.unwrap_or_else(machine_name);
        Ok(Request::create(&identity, name, *settings.project().get(), now())?)
    }

    /// Lets this machine in with the project's recovery words, as an authoriser, and opens the project.
    ///
    /// The machine gets an identity, if it has none. Where it is in already and may only use the project, it is put out and let in anew. A
    /// call that was interrupted can be made again.
    ///
    /// # Errors
    /// [`Error::NoProject`]; [`KeyringError::NoGrant`] if these are not the project's words;
    /// [`KeyringError::MachineExists`] if another machine has the name; and as [`Project::open`].
    pub async fn recover(settings: Settings, words: &RecoveryWords, name: Option<MachineName>) -> Result<Self> {
        let project = settings.project_needed()?;
        let file = IdentityFile::of(&settings)?;
        let pin = PinFile::beside(file.path(), project).load()?;
        let backend = Backend::open(settings.backend().get(), false).await?;
        let recovery = Keyring::open(backend.trust.clone(), Arc::new(words.identity()?), pin, clock()).await?;
        let identity = file.load_or_create()?;
        let me = recovery.machines().remove(&identity.fingerprint());
        if me.as_ref().and_then(|me| me.capability) != Some(Capability::Authorise) {
            let name = name.or_else(|| me.as_ref().map(|me| me.name.clone())).unwrap_or_else(machine_name);
            if me.is_some() {
                let left = recovery.revoke(identity.fingerprint(), RevokeOptions::default()).await?.left_behind;
                left.map_or(Ok(()), Err)?;
            }
            let request = Request::create(&identity, name, Some(project), now())?;
            // Whose capability is recovery acts alone, so that nothing waits.
            let _ = recovery.authorise(&request, Capability::Authorise).await?;
        }
        Self::open(settings).await
    }

    /// Opens a project whose database was restored from an older copy on purpose, and lets other machines do so.
    ///
    /// # Errors
    /// [`KeyringError::NotAuthorised`] if this machine may not let others in, in the copy or when it looked last; and as [`Project::open`].
    ///
    /// # Security
    /// Who was put out since the copy was made is in again, and has to be put out again.
    pub async fn accept_rollback(settings: Settings, recovery: Option<&RecoveryWords>) -> Result<Self> {
        let project = settings.project_needed()?;
        let file = IdentityFile::of(&settings)?;
        let identity = file.load()?;
        let pin = PinFile::beside(file.path(), project).load()?;
        let backend = Backend::open(settings.backend().get(), false).await?;
        let trust = || backend.trust.clone();
        let keyring = match recovery {
            None => Keyring::accept_rollback(trust(), identity, pin, clock()).await?,
            Some(words) => {
                Keyring::accept_rollback(trust(), Arc::new(words.identity()?), pin.clone(), clock()).await?;
                Keyring::open(trust(), identity, pin, clock()).await?
            }
        };
        Self::assemble(settings, keyring, backend)
    }

    /// Lets a machine in, or asks for it where two authorisers are needed.
    ///
    /// # Errors
    /// As [`Keyring::authorise`].
    ///
    /// # Security
    /// Compare the fingerprint of the request first: [`Request::expect_fingerprint`].
    pub async fn authorise(&self, request: &Request, capability: Capability) -> Result<Outcome<Machine>> {
        self.keeping_pin(self.keyring().authorise(request, capability).await)
    }

    /// Approves what another authoriser asked for; returns the machine that was let in, if it is one.
    ///
    /// # Errors
    /// As [`Keyring::approve`].
    pub async fn approve(&self, position: u64) -> Result<Option<Machine>> {
        self.keeping_pin(self.keyring().approve(position).await)
    }

    /// Puts a machine out.
    ///
    /// # Errors
    /// As [`Keyring::revoke`].
    ///
    /// # Security
    /// Nothing is scrubbed from the machine, and nothing rotated by this call: [`Self::rotate`] does that.
    pub async fn revoke(&self, machine: Fingerprint, options: RevokeOptions) -> Result<Revocation> {
        self.keeping_pin(self.keyring().revoke(machine, options).await)
    }

    /// Rotates the data key and every key, or completes the rotation that is under way.
    ///
    /// # Errors
    /// As [`Keyring::rotate_data_key`].
    pub async fn rotate(&self, tell: &mut (dyn FnMut(RotationEvent<'_>) + Send)) -> Result<Rotation> {
        self.keeping_pin(self.keyring().rotate_data_key(tell).await)
    }

    /// Completes the rotation that is under way, if there is one; see [`Keyring::resume_rotation`].
    ///
    /// # Errors
    /// As there.
    pub async fn resume_rotation(&self, tell: &mut (dyn FnMut(RotationEvent<'_>) + Send)) -> Result<Option<Rotation>> {
        self.keeping_pin(self.keyring().resume_rotation(tell).await)
    }

    /// Says whether two authorisers are needed to let a machine in, or to change that.
    ///
    /// # Errors
    /// As [`Keyring::set_two_person`].
    pub async fn set_two_person(&self, two_person: bool) -> Result<Outcome<()>> {
        self.keeping_pin(self.keyring().set_two_person(two_person).await)
    }

    /// Lets the identity in that recovery words stand for, under a name of its own.
    ///
    /// # Errors
    /// As [`Keyring::authorise`].
    pub async fn add_recovery(&self, words: &RecoveryWords, name: MachineName) -> Result<Outcome<Machine>> {
        let request = Request::create(&words.identity()?, name, Some(self.id()), now())?;
        self.authorise(&request, Capability::Recovery).await
    }

    /// Returns what this machine's grant says.
    ///
    /// # Errors
    /// [`KeyringError::Revoked`] once it was put out; [`KeyringError::Stale`].
    pub async fn machine(&self) -> Result<Machine> {
        self.keyring().refresh().await?;
        let me = self.keyring().identity().fingerprint();
        Ok(self.keyring().machines().remove(&me).ok_or(KeyringError::NoGrant(me))?)
    }

    /// Keeps the pin whatever became of an operation: what failed may have written something first.
    fn keeping_pin<T>(&self, done: bulla_keyring::Result<T>) -> Result<T> {
        let kept = self.keep_pin();
        let done = done?;
        kept?;
        Ok(done)
    }

    /// Remembers how far this machine has seen the trust log; says whether it can.
    pub(crate) fn keep_pin(&self) -> Result<bool> {
        match (self.settings().identity().get(), self.settings().backend().get()) {
            (_, BackendUrl::Memory) | (None, _) => Ok(false),
            (Some(path), _) => PinFile::beside(path, self.id()).advance(&self.pin()),
        }
    }
}

fn now() -> Timestamp {
    clock().now()
}

impl Settings {
    fn project_needed(&self) -> Result<ProjectId> {
        self.project().get().ok_or_else(|| Error::NoProject { file: self.file().to_owned() })
    }
}
