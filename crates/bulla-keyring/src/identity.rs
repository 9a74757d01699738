//! The identity of a machine: its two private keys.

mod file;
mod locked;
mod text;

use std::fmt;

use bulla_seal::{SealError, Secret, SigningKey};
use data_encoding::HEXLOWER;
use hpke::{Deserializable, Kem, Serializable, kem::XWing};
use zeroize::Zeroizing;

use crate::{Fingerprint, PublicIdentity};

pub use file::IdentityError;
pub use locked::{LockedIdentity, StoredIdentity, UnlockError};
pub use text::ParseIdentityError;

/// Longest identity file, in bytes.
pub const MAX_IDENTITY_LEN: usize = 4_096;

/// A machine's private keys: X-Wing to unwrap data keys, Ed25519 to sign records. They never leave the machine.
pub struct Identity {
    seed: Secret<32>,
    signing: SigningKey,
    public: PublicIdentity,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Draws a new identity.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, SealError> {
        Self::from_seeds(Secret::random()?, SigningKey::generate()?)
    }

    /// Reads the text form of `spec/keyring.md`; [`StoredIdentity::from_text`] also reads protected ones.
    ///
    /// # Errors
    /// Says which line is not as it must be, and never shows one; [`ParseIdentityError::Locked`] if a passphrase protects it.
    pub fn from_text(text: &str) -> Result<Self, ParseIdentityError> {
        match StoredIdentity::from_text(text)? {
            StoredIdentity::Plain(identity) => Ok(identity),
            StoredIdentity::Locked(_) => Err(ParseIdentityError::Locked),
        }
    }

    /// Writes the text form of `spec/keyring.md`.
    ///
    /// # Security
    /// Whoever has this text is this machine.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<String> {
        // Reserved at once, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(MAX_IDENTITY_LEN));
        text.push_str(
            "# The identity of this machine in Bulla. Whoever has this file is this machine: keep it secret.\n",
        );
        text::push_head(&mut text, text::PLAIN, self.fingerprint);
        for (name, value) in [("encryption: ", &self.seed), ("signing: ", self.signing.seed())] {
            text.push_str(name);
            HEXLOWER.encode_append(value.expose(), &mut text);
            text.push('\n');
        }
        text
    }

    /// Returns the public keys.
    #[must_use]
    pub fn public(&self) -> &PublicIdentity {
        &self.public
    }

    /// Returns the fingerprint of the public keys.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns the key that signs this machine's records.
    #[must_use]
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// Returns the 32-byte X-Wing private key.
    pub(crate) fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// Takes both private keys.
    pub(crate) fn from_seeds(seed: Secret<32>, signing: SigningKey) -> Result<Self, SealError> {
        let private = <XWing as Kem>::PrivateKey::from_bytes(seed.expose()).map_err(|_| SealError::Library)?;
        let encryption = XWing::sk_to_pk(&private).to_bytes();
        let public = PublicIdentity::new(&encryption, signing.verifying_key()).ok_or(SealError::Library)?;
        let fingerprint = public.fingerprint();
        Ok(Self { seed, signing, public, fingerprint })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_round_trips() {
        let identity = Identity::generate().unwrap();
        let copy = Identity::from_text(&identity.expose_text()).unwrap();
        assert_eq!(copy.public(), identity.public());
        assert_eq!(copy.expose_text(), identity.expose_text());
    }

    #[test]
    fn debug_shows_no_secret() {
        let identity = Identity::generate().unwrap();
        let shown = format!("{identity:?}");
        assert_eq!(shown, format!("Identity({})", identity.fingerprint()));
        assert!(!shown.contains(&HEXLOWER.encode(identity.seed.expose())));
    }

    #[test]
    fn every_altered_line_is_refused() {
        let identity = Identity::generate().unwrap();
        let other = Identity::generate().unwrap();
        let text = identity.expose_text();
        let lines: Vec<&str> = text.lines().collect();
        let with = |at: usize, line: &str| {
            let mut lines = lines.clone();
            lines[at] = line;
            Identity::from_text(&(lines.join("\n") + "\n")).map(|_| ())
        };
        let theirs = other.expose_text();
        let theirs: Vec<&str> = theirs.lines().collect();
        assert_eq!(with(1, "bulla identity v2"), Err(ParseIdentityError::NotAnIdentity));
        assert_eq!(with(2, "kind: sealed"), Err(ParseIdentityError::UnknownKind));
        assert_eq!(with(2, "sort: plain"), Err(ParseIdentityError::Field("kind")));
        for (at, line) in theirs.iter().enumerate().skip(3) {
            assert_eq!(with(at, line), Err(ParseIdentityError::Fingerprint), "line {at}");
        }
        assert_eq!(with(4, &lines[4].to_uppercase()), Err(ParseIdentityError::Field("encryption")));
        assert_eq!(with(4, &lines[4][..60]), Err(ParseIdentityError::Field("encryption")));
        assert_eq!(with(5, "signing: "), Err(ParseIdentityError::Field("signing")));
        for end in 0..text.len() {
            assert!(Identity::from_text(&text[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(Identity::from_text(&(text.to_string() + "\n")).err(), Some(ParseIdentityError::End));
        assert_eq!(Identity::from_text(&"#\n".repeat(4_000)).err(), Some(ParseIdentityError::TooLong));
    }
}
