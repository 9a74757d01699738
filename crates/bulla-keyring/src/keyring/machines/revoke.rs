//! Putting a machine out.

use std::collections::BTreeMap;

use super::append::Attempts;
use crate::format::Act;
use crate::keyring::Keyring;
use crate::trust_log::{Capability, Machine, PendingAct, Trusted};
use crate::{Fingerprint, KeyringError, Result};

/// How far a revocation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RevokeOptions {
    /// Those that it let in go too, and those that they let in; but not the machine that revokes, nor who came through it.
    pub cascade: bool,
    /// A new epoch is owed from here on. Without it nothing is rotated: the machine may have kept the data key.
    pub rotate: bool,
}

/// What a revocation has done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Revocation {
    /// The machines that were put out; none where a grant was withdrawn that waited.
    pub machines: BTreeMap<Fingerprint, Machine>,
    /// Whether a new epoch is owed now.
    pub rotation_owed: bool,
    /// Why copies of data keys were left behind, if they were. [`Keyring::delete_foreign_wraps`] tries again; the machine is out either way.
    pub left_behind: Option<KeyringError>,
}

impl Keyring {
    /// Puts a machine out, from this record of the log on, and deletes its copies of the data keys. A grant that waits for approval is
    /// withdrawn.
    ///
    /// # Errors
    /// [`KeyringError::NoMachine`]; [`KeyringError::LastAuthoriser`]; [`KeyringError::NotAuthorised`]; [`KeyringError::Conflict`]; and as
    /// [`Keyring::refresh`].
    ///
    /// # Security
    /// Nothing is scrubbed from the machine: it keeps what it has read, and may have kept the data key. Only a new epoch
    /// ([`RevokeOptions::rotate`]) keeps it from reading what is sealed from then on.
    pub async fn revoke(&self, machine: Fingerprint, options: RevokeOptions) -> Result<Revocation> {
        let me = self.identity.fingerprint();
        let mut attempts = Attempts::default();
        let (trusted, machines) = loop {
            attempts.next()?;
            let trusted = self.looked().await?;
            trusted.require_authoriser(me)?;
            let machines = leaving(&trusted, machine, options.cascade, me)?;
            let RevokeOptions { cascade, rotate } = options;
            if self.append(&trusted, Act::Revocation { machine, cascade, rotate }).await? {
                break (trusted, machines);
            }
        };
        let mut left_behind = None;
        for fingerprint in machines.keys() {
            if let Err(error) = self.delete_wraps_of(*fingerprint).await {
                left_behind = Some(error);
            }
        }
        Ok(Revocation { machines, rotation_owed: options.rotate || trusted.epoch_owed(), left_behind })
    }
}

/// Returns whom the revocation puts out, if there is somebody and the project can go on.
fn leaving(
    trusted: &Trusted,
    subject: Fingerprint,
    cascade: bool,
    author: Fingerprint,
) -> Result<BTreeMap<Fingerprint, Machine>> {
    let leaving = trusted.leaving(subject, cascade, author);
    let waits = trusted
        .pending
        .iter()
        .any(|pending| matches!(&pending.act, PendingAct::Grant { public, .. } if public.fingerprint() == subject));
    if leaving.is_empty() && !waits {
        return Err(KeyringError::NoMachine(subject.to_string()));
    }
    let stays = |(fingerprint, machine): (&Fingerprint, &Machine)| {
        machine.capability == Some(Capability::Authorise) && !leaving.contains(fingerprint)
    };
    if !trusted.machines.iter().any(stays) {
        return Err(KeyringError::LastAuthoriser);
    }
    let machine =
        |fingerprint: &Fingerprint| trusted.machines.get(fingerprint).cloned().map(|found| (*fingerprint, found));
    Ok(leaving.iter().filter_map(machine).collect())
}
