//! An identity whose private keys a passphrase protects (`spec/keyring.md`, "Identity file").

use std::fmt;

use bulla_seal::{
    Context, HEADER_LEN, Params, ProjectId, SealError, SealKey, Secret, SigningKey, TAG_LEN, fill_random,
};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

use super::{Identity, MAX_IDENTITY_LEN, ParseIdentityError, text};
use crate::Fingerprint;
use crate::passphrase::{OutOfMemory, PASSPHRASE_SALT_LEN, Passphrase, PassphraseCost};

/// Both seeds, sealed.
const KEYS_LEN: usize = HEADER_LEN + 64 + TAG_LEN;
const DOMAIN: &str = "bulla/identity";

/// An identity as it is stored: ready, or protected.
#[derive(Debug)]
pub enum StoredIdentity {
    /// Not protected by anything but the access to its file.
    Plain(Identity),
    /// Protected by a passphrase.
    Locked(LockedIdentity),
}

impl StoredIdentity {
    /// Reads the text form of `spec/keyring.md`.
    ///
    /// # Errors
    /// Says which line is not as it must be, and never shows one.
    pub fn from_text(text: &str) -> Result<Self, ParseIdentityError> {
        text::parse(text)
    }

    /// Writes the text form of `spec/keyring.md`.
    ///
    /// # Security
    /// Whoever has the text of an identity that is not protected is this machine.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<String> {
        match self {
            Self::Plain(identity) => identity.expose_text(),
            Self::Locked(identity) => Zeroizing::new(identity.text()),
        }
    }

    /// Returns the fingerprint. That of a protected identity is a claim until it is unlocked.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Plain(identity) => identity.fingerprint(),
            Self::Locked(identity) => identity.fingerprint(),
        }
    }
}

/// An identity whose private keys a passphrase protects.
#[derive(Clone, PartialEq, Eq)]
pub struct LockedIdentity {
    pub(super) fingerprint: Fingerprint,
    pub(super) cost: PassphraseCost,
    pub(super) salt: [u8; PASSPHRASE_SALT_LEN],
    pub(super) keys: [u8; KEYS_LEN],
}

impl LockedIdentity {
    /// Opens the private keys. At the default cost this takes 64 MiB of memory and, on purpose, a noticeable time.
    ///
    /// # Errors
    /// [`UnlockError::Refused`] or [`UnlockError::Memory`].
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<Identity, UnlockError> {
        let derived = passphrase.derive(self.cost, &self.salt)?;
        self.open(&derived).ok_or(UnlockError::Refused)
    }

    /// Returns the fingerprint: a claim, until the identity is unlocked.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns what it costs to try a passphrase.
    #[must_use]
    pub fn cost(&self) -> PassphraseCost {
        self.cost
    }

    /// Writes the text form of `spec/keyring.md`. It is as secret as the passphrase is good.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(MAX_IDENTITY_LEN);
        text.push_str("# The identity of this machine in Bulla, protected by a passphrase.\n");
        text::push_head(&mut text, text::PASSPHRASE, self.fingerprint);
        let cost = self.cost;
        text.push_str(&format!("argon2id: {} {} {}\n", cost.memory_kib(), cost.passes(), cost.lanes()));
        text.push_str(&format!("salt: {}\n", HEXLOWER.encode(&self.salt)));
        text.push_str(&format!("keys: {}\n", HEXLOWER.encode(&self.keys)));
        text
    }

    fn open(&self, derived: &Secret<32>) -> Option<Identity> {
        let key = SealKey::with_derived_id(derived.expose()).ok()?;
        let context = context(self.fingerprint, self.cost, &self.salt).ok()?;
        let seeds = Zeroizing::new(key.open(&context, &self.keys).ok()?);
        let (seed, signing) = seeds.split_at_checked(32)?;
        let signing = SigningKey::from_seed(Secret::from_slice(signing)?).ok()?;
        let identity = Identity::from_seeds(Secret::from_slice(seed)?, signing).ok()?;
        (identity.fingerprint() == self.fingerprint).then_some(identity)
    }
}

impl fmt::Debug for LockedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockedIdentity({})", self.fingerprint)
    }
}

impl Identity {
    /// Protects the private keys by a passphrase. This identity stays as it is.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes; [`UnlockError::Memory`].
    pub fn protect(&self, passphrase: &Passphrase, cost: PassphraseCost) -> Result<LockedIdentity, UnlockError> {
        let mut salt = [0; PASSPHRASE_SALT_LEN];
        fill_random(&mut salt)?;
        let derived = passphrase.derive(cost, &salt)?;
        let fingerprint = self.fingerprint();
        let context = context(fingerprint, cost, &salt)?;
        let seeds = Secret::<64>::build(|out| {
            out[..32].copy_from_slice(self.seed().expose());
            out[32..].copy_from_slice(self.signing().seed().expose());
        });
        let key = SealKey::with_derived_id(derived.expose())?;
        let sealed = key.seal(Params::default(), &context, seeds.expose())?;
        let keys = sealed.try_into().map_err(|_| SealError::Library)?;
        Ok(LockedIdentity { fingerprint, cost, salt, keys })
    }
}

/// Why an identity was not unlocked, or not protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnlockError {
    /// The passphrase is wrong, or the file was altered; which of the two is not said.
    #[error("the passphrase does not unlock this identity")]
    Refused,
    /// The system did not give the memory that trying a passphrase takes.
    #[error("trying the passphrase takes {0} KiB of memory, which the system did not give")]
    Memory(u32),
    /// Sealing the private keys failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<OutOfMemory> for UnlockError {
    fn from(error: OutOfMemory) -> Self {
        Self::Memory(error.memory_kib)
    }
}

/// Binds the private keys to everything that the file says beside them.
fn context(
    fingerprint: Fingerprint,
    cost: PassphraseCost,
    salt: &[u8; PASSPHRASE_SALT_LEN],
) -> Result<Context, SealError> {
    // An identity belongs to no project.
    Context::in_domain(DOMAIN, &ProjectId([0; 32]))
        .bytes("fingerprint", &fingerprint.0)
        .uint("memory", cost.memory_kib().into())
        .uint("passes", cost.passes().into())
        .uint("lanes", cost.lanes().into())
        .bytes("salt", salt)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.as_bytes().to_vec()).unwrap()
    }

    fn cheap() -> PassphraseCost {
        PassphraseCost::new(8, 1, 1).unwrap()
    }

    #[test]
    fn only_the_passphrase_unlocks() {
        let identity = Identity::generate().unwrap();
        let locked = identity.protect(&passphrase("correct horse"), PassphraseCost::default()).unwrap();
        assert_eq!(locked.cost(), PassphraseCost::default());
        let stored = StoredIdentity::from_text(&locked.text()).unwrap();
        assert_eq!(stored.fingerprint(), identity.fingerprint());
        assert_eq!(*stored.expose_text(), locked.text());
        let StoredIdentity::Locked(read) = stored else { unreachable!("it is protected") };
        assert_eq!(read, locked);
        let unlocked = read.unlock(&passphrase("correct horse")).unwrap();
        assert_eq!(unlocked.expose_text(), identity.expose_text());
        assert_eq!(read.unlock(&passphrase("correct house")).unwrap_err(), UnlockError::Refused);
        assert_eq!(Identity::from_text(&locked.text()).unwrap_err(), ParseIdentityError::Locked);
    }

    #[test]
    fn the_text_holds_no_secret() {
        let identity = Identity::generate().unwrap();
        let locked = identity.protect(&passphrase("correct horse"), cheap()).unwrap();
        let shown = format!("{}{locked:?}", locked.text());
        for secret in [identity.seed(), identity.signing().seed()] {
            assert!(!shown.contains(&HEXLOWER.encode(secret.expose())));
        }
        assert!(!shown.contains("horse"));
        let again = identity.protect(&passphrase("correct horse"), cheap()).unwrap();
        assert_ne!(again.salt, locked.salt);
        assert_ne!(again.keys, locked.keys);
    }

    #[test]
    fn everything_beside_the_keys_is_bound_to_them() {
        let identity = Identity::generate().unwrap();
        let word = passphrase("correct horse");
        let locked = identity.protect(&word, cheap()).unwrap();
        let refused = |altered: LockedIdentity| assert_eq!(altered.unlock(&word).unwrap_err(), UnlockError::Refused);
        refused(LockedIdentity { fingerprint: Fingerprint([1; 32]), ..locked.clone() });
        refused(LockedIdentity { cost: PassphraseCost::new(16, 1, 1).unwrap(), ..locked.clone() });
        refused(LockedIdentity { salt: [1; 16], ..locked.clone() });
        for at in 0..KEYS_LEN {
            let mut keys = locked.keys;
            keys[at] ^= 1;
            refused(LockedIdentity { keys, ..locked.clone() });
        }
    }

    #[test]
    fn every_altered_line_is_refused() {
        let locked = Identity::generate().unwrap().protect(&passphrase("correct horse"), cheap()).unwrap();
        let text = locked.text();
        let lines: Vec<&str> = text.lines().collect();
        let with = |at: usize, line: &str| {
            let mut lines = lines.clone();
            lines[at] = line;
            StoredIdentity::from_text(&(lines.join("\n") + "\n")).map(drop)
        };
        assert_eq!(with(3, "fingerprint: 00"), Err(ParseIdentityError::Field("fingerprint")));
        // What a hostile file asks for is bounded before anything is tried.
        for cost in [
            "1048577 3 4",
            "65536 11 4",
            "65536 3 17",
            "65536 0 4",
            "31 3 4",
            "065536 3 4",
            "65536 3",
            "8 1 1 1",
            "8  1 1",
            "+8 1 1",
        ] {
            assert_eq!(with(4, &format!("argon2id: {cost}")), Err(ParseIdentityError::Field("argon2id")), "{cost}");
        }
        assert_eq!(with(5, &format!("salt: {}", "AB".repeat(16))), Err(ParseIdentityError::Field("salt")));
        assert_eq!(with(5, &lines[5][..36]), Err(ParseIdentityError::Field("salt")));
        assert_eq!(with(6, &lines[6][..lines[6].len() - 2]), Err(ParseIdentityError::Field("keys")));
        assert_eq!(with(6, &format!("{}00", lines[6])), Err(ParseIdentityError::Field("keys")));
        assert_eq!(with(2, "kind: plain"), Err(ParseIdentityError::Field("encryption")));
        for end in 0..text.len() {
            assert!(StoredIdentity::from_text(&text[..end]).is_err(), "cut at {end}");
        }
        assert_eq!(StoredIdentity::from_text(&format!("{text}\n")).unwrap_err(), ParseIdentityError::End);
    }
}
