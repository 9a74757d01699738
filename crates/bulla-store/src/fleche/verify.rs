use super::{FlecheDirectory, FlecheError, FlecheFile, FlecheName};
use crate::{Finding, Observer, WalkEvent};

/// Says under which name a payload belongs, if that can be said. Called with payloads whose signature has verified.
pub type DigestOf<'a> = dyn FnMut(&[u8]) -> Option<FlecheName> + Send + 'a;

/// What a look through a fleche directory has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FlecheCounts {
    /// Files whose signature verified, or that were read without keys.
    pub files: u64,
    /// Of those, files whose payload belongs under their name.
    pub names: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Files that are refused, and names that are no digests.
    pub refused: u64,
}

impl FlecheDirectory {
    /// Verifies every file, and says what it found. Changes nothing; every finding is told to the recorder too.
    ///
    /// # Errors
    /// Fails if the folder cannot be listed; what else goes wrong is a finding.
    pub fn verify(
        &self,
        digest: &mut DigestOf<'_>,
        observer: &mut Observer<'_, FlecheCounts>,
    ) -> Result<FlecheCounts, FlecheError> {
        let listing = self.list()?;
        let mut counts = FlecheCounts::default();
        for other in &listing.others {
            counts.refused += 1;
            observer(WalkEvent::Found(Finding::Fleche(FlecheError::NotADigest(self.root().join(other)))));
        }
        for name in &listing.names {
            match self.load_named(name, digest) {
                Ok((file, is_named)) => {
                    counts.files += 1;
                    counts.names += u64::from(is_named);
                    counts.bytes += file.payload.len() as u64;
                }
                // It was taken away meanwhile.
                Err(FlecheError::NotFound(_)) => {}
                Err(error) => {
                    counts.refused += 1;
                    observer(WalkEvent::Found(Finding::Fleche(error)));
                }
            }
            observer(WalkEvent::Progress(&counts));
        }
        Ok(counts)
    }

    /// Loads a payload, and says whether it is known to belong under its name. One that belongs under another is refused.
    pub(super) fn load_named(
        &self,
        name: &FlecheName,
        digest: &mut DigestOf<'_>,
    ) -> Result<(FlecheFile, bool), FlecheError> {
        let file = self.load(name)?;
        match digest(&file.payload) {
            Some(digest) if digest != *name => {
                Err(self.report(FlecheError::WrongDigest { path: self.path(name), digest }))
            }
            digest => Ok((file, digest.is_some())),
        }
    }
}
