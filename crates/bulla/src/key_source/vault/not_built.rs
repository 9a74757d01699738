use async_trait::async_trait;
use bulla_keyring::source::{RemoteProblem, SecretPair, Source, SourceError};

use super::VaultSpec;

/// Stands where the client would.
#[derive(Debug)]
pub(super) struct VaultSource;

impl VaultSource {
    pub(super) fn new(_: VaultSpec) -> Self {
        Self
    }
}

#[async_trait]
impl Source for VaultSource {
    async fn fetch(&self) -> Result<SecretPair, SourceError> {
        Err(SourceError::Remote {
            problem: RemoteProblem::Unavailable,
            reason: "this program was built without the feature `vault`".to_owned(),
            hint: None,
        })
    }
}
