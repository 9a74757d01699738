//! The rule of two.

use super::append::Attempts;
use super::authorise::Outcome;
use crate::format::Act;
use crate::keyring::Keyring;
use crate::{KeyringError, Result};

impl Keyring {
    /// Says whether grants, and changes of this rule, need a second authoriser from now on. A machine for recovery acts alone.
    ///
    /// Keep a machine for recovery before turning it on: of two authorisers the second may be lost.
    ///
    /// # Errors
    /// [`KeyringError::TooFewAuthorisers`] where there is only one; [`KeyringError::NotAuthorised`]; [`KeyringError::Conflict`]; and as
    /// [`Keyring::refresh`].
    pub async fn set_two_person(&self, two_person: bool) -> Result<Outcome<()>> {
        let me = self.identity.fingerprint();
        let mut attempts = Attempts::default();
        loop {
            attempts.next()?;
            let trusted = self.looked().await?;
            trusted.require_authoriser(me)?;
            if trusted.two_person() == two_person {
                return Ok(Outcome::Done(()));
            }
            if two_person && trusted.pin.authorisers().len() < 2 {
                return Err(KeyringError::TooFewAuthorisers);
            }
            let (waits, position) = (trusted.needs_approval(me), trusted.pin.length());
            if self.append(&trusted, Act::Policy { two_person }).await? {
                return Ok(if waits { Outcome::Waits(position) } else { Outcome::Done(()) });
            }
        }
    }
}
