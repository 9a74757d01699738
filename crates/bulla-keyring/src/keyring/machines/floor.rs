//! How far back the description of a key may go.

use super::append::Attempts;
use crate::format::Act;
use crate::keyring::Keyring;
use crate::{KeyName, Result};

impl Keyring {
    /// Voids the descriptions of a key that are older than this serial number. Does nothing where they are void already.
    pub(crate) async fn raise_floor(&self, name: &KeyName, serial: u64) -> Result<()> {
        let mut attempts = Attempts::default();
        loop {
            attempts.next()?;
            let trusted = self.looked().await?;
            if trusted.floors.get(name).is_some_and(|floor| *floor >= serial) {
                return Ok(());
            }
            trusted.require_authoriser(self.identity.fingerprint())?;
            if self.append(&trusted, Act::Floor { key: name.clone(), serial }).await? {
                return Ok(());
            }
        }
    }
}
