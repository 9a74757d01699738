//! Random material.

use async_trait::async_trait;
use bulla_seal::fill_random;

use super::{SecretPair, Source, SourceError};

const MATERIAL_LEN: usize = 32;

/// Draws 32 random bytes at each fetch.
///
/// As the source of a flow it gives each forward path a key of its own; what remembers it is the cache, and the state of a stateful key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Generate;

#[async_trait]
impl Source for Generate {
    async fn fetch(&self) -> Result<SecretPair, SourceError> {
        let mut material = vec![0; MATERIAL_LEN];
        fill_random(&mut material)?;
        Ok(SecretPair::from(material))
    }
}
