//! The audit logs of a project, to read: this machine's own, and what all machines have published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_backend::RealDisk;
use bulla_guard::audit::{
    Checkpoint, DocumentWitness, Identifier, LogReader, Origin, PublishedLog, Value, Verdict, verify_machines,
};
use bulla_keyring::{Fingerprint, SystemKey};

use crate::{IdentityFile, Project, Result, files};

impl Project {
    /// Opens this machine's audit log for reading, from the folder that `None` stands for: `audit` and the project's id, beside the identity.
    ///
    /// # Errors
    /// [`Error::NoIdentityPlace`](crate::Error::NoIdentityPlace) if no setting names an identity.
    pub fn audit_log(&self, folder: Option<PathBuf>) -> Result<LogReader> {
        Ok(self.read_audit_log(&self.audit_folder(folder)?))
    }

    /// Returns the last checkpoint that this machine has published in the backend.
    ///
    /// # Errors
    /// [`Error::Audit`](crate::Error::Audit) if it is not signed by this machine, or the backend fails.
    pub async fn published_checkpoint(&self) -> Result<Option<Checkpoint>> {
        Ok(PublishedLog::new(&*self.states, &self.audit_origin()).checkpoint().await?)
    }

    /// Verifies what all machines that were ever in have published of their audit logs.
    ///
    /// # Errors
    /// Fails if the trust log cannot be read. What is found of each log is in its verdict.
    pub async fn verify_published_logs(&self) -> Result<Vec<(Fingerprint, Verdict)>> {
        let machines = self.keyring().history().await?;
        let machines: Vec<_> = machines.iter().map(|one| one.machine.public.clone()).collect();
        Ok(verify_machines(&*self.states, &self.id(), &machines).await)
    }

    /// Returns a witness that keeps checkpoints in this project's backend: for the logs of another project.
    #[must_use]
    pub fn audit_witness(&self) -> DocumentWitness {
        DocumentWitness::new(self.states.clone())
    }

    /// Returns what stands for a name in a log, blinded with each version of the key that its events were blinded with.
    ///
    /// # Errors
    /// [`Error::Audit`](crate::Error::Audit) if the log cannot be read. A version that was destroyed is passed over: what it has blinded is nobody's any more.
    pub async fn audit_identifiers(&self, log: &LogReader, name: &str) -> Result<Vec<Identifier>> {
        let mut found = BTreeMap::new();
        for stored in log.events(0)? {
            let Ok(event) = stored?.event() else { continue };
            let of_fields = event.fields.iter().filter_map(|(_, value)| match value {
                Value::Identifier(identifier) => Some(*identifier),
                _ => None,
            });
            for identifier in event.principal.into_iter().chain(event.address).chain(of_fields) {
                if found.contains_key(&identifier.version) {
                    continue;
                }
                let version = self.keyring().system_version(&SystemKey::audit(), identifier.version).await;
                found.insert(identifier.version, version.ok().map(|key| Identifier::blind(&key, name.as_bytes())));
            }
        }
        Ok(found.into_values().flatten().collect())
    }

    pub(crate) fn audit_origin(&self) -> Origin {
        Origin::of(&self.id(), self.keyring().identity().public())
    }

    pub(crate) fn read_audit_log(&self, folder: &Path) -> LogReader {
        LogReader::new(Arc::new(RealDisk), folder, self.audit_origin())
    }

    pub(crate) fn audit_folder(&self, folder: Option<PathBuf>) -> Result<PathBuf> {
        if let Some(folder) = folder {
            return Ok(folder);
        }
        let file = IdentityFile::of(self.settings())?;
        Ok(files::folder(file.path()).join("audit").join(self.id().to_string()))
    }
}
