//! What a machine remembers of who may do what.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

use super::error::{AccessError, Result};
use super::snapshot::Snapshot;

/// What a machine remembers of users, roles and keys: how many changes there were, and what they came to.
///
/// A database that says less, or something else of the same change, is refused, unless an authoriser has accepted a restore of the project
/// since ([`Keyring::accept_rollback`](bulla_keyring::Keyring::accept_rollback)). The text form is the generation, the digest of the head, the
/// number of the key's version that sealed it and the number of the last restore, separated by spaces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessPin {
    generation: u64,
    digest: [u8; 32],
    key_number: u64,
    pub(crate) restores: u64,
}

impl AccessPin {
    pub(crate) fn of(snapshot: &Snapshot, restores: u64) -> Self {
        let (digest, key_number) =
            snapshot.head.map_or_else(Default::default, |head| (head.row.digest, head.key_number));
        Self { generation: snapshot.generation(), digest, key_number, restores }
    }

    /// Returns how many changes there were.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Says whether it came after another: behind a restore that was accepted, or a change.
    #[must_use]
    pub fn is_after(&self, other: &Self) -> bool {
        let order = |pin: &Self| (pin.restores, pin.generation, pin.key_number);
        order(self) > order(other)
    }

    /// Requires that what was found is this, or came after it.
    pub(crate) fn check(&self, found: &Self) -> Result<()> {
        if found.generation < self.generation {
            return Err(AccessError::Rollback { seen: self.generation, found: found.generation });
        }
        let head = || "the head of users, roles and keys";
        if found.generation == self.generation && found.digest != self.digest {
            return Err(AccessError::corrupt(head(), "it says something else than was seen before of the same change"));
        }
        if found.key_number < self.key_number {
            return Err(AccessError::corrupt(head(), "it is sealed under an older key than was seen before"));
        }
        Ok(())
    }
}

impl fmt::Display for AccessPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, digest, key_number, restores } = self;
        write!(f, "{generation} {} {key_number} {restores}", HEXLOWER.encode(digest))
    }
}

impl FromStr for AccessPin {
    type Err = ParseAccessPinError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseAccessPinError> {
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or(ParseAccessPinError);
        let number = |text: &str| text.parse::<u64>().map_err(|_| ParseAccessPinError);
        let generation = number(next()?)?;
        let digest = HEXLOWER.decode(next()?.as_bytes()).ok().and_then(|digest| digest.try_into().ok());
        let digest = digest.ok_or(ParseAccessPinError)?;
        let (key_number, restores) = (number(next()?)?, number(next()?)?);
        let pin = Self { generation, digest, key_number, restores };
        // What is not written as we write it is refused.
        if pin.to_string() == text { Ok(pin) } else { Err(ParseAccessPinError) }
    }
}

/// The text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an access pin is a generation, a digest, the number of a key and of a restore, separated by spaces")]
pub struct ParseAccessPinError;
