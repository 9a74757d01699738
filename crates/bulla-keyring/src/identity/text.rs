//! The lines of an identity file (`spec/keyring.md`, "Identity file").

use bulla_seal::{Secret, SigningKey};
use data_encoding::HEXLOWER;

use super::{Identity, LockedIdentity, MAX_IDENTITY_LEN, StoredIdentity};
use crate::Fingerprint;
use crate::passphrase::PassphraseCost;

pub(super) const PLAIN: &str = "plain";
pub(super) const PASSPHRASE: &str = "passphrase";

const FIRST_LINE: &str = "bulla identity v1";

/// Why a text is no identity. The text itself is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdentityError {
    /// Longer than any identity.
    #[error("an identity file has at most {MAX_IDENTITY_LEN} bytes")]
    TooLong,
    /// Something else, or a format of the future.
    #[error("it does not begin with the line `{FIRST_LINE}`")]
    NotAnIdentity,
    /// Protected in a way that this program does not know.
    #[error("its `kind` is unknown; a newer version of this program may read it")]
    UnknownKind,
    /// Protected by a passphrase, where one that is not was asked for.
    #[error("it is protected by a passphrase")]
    Locked,
    /// A line is missing or malformed.
    #[error("its line `{0}` is missing or malformed")]
    Field(&'static str),
    /// Cut off, or followed by something.
    #[error("it does not end as it should; it may be cut off")]
    End,
    /// The keys are not those that the fingerprint names.
    #[error("its keys do not match its fingerprint; it was altered")]
    Fingerprint,
}

/// Writes the lines that every kind begins with.
pub(super) fn push_head(text: &mut String, kind: &str, fingerprint: Fingerprint) {
    for (name, value) in [("", FIRST_LINE), ("kind: ", kind), ("fingerprint: ", &fingerprint.to_string())] {
        text.push_str(name);
        text.push_str(value);
        text.push('\n');
    }
}

pub(super) fn parse(text: &str) -> Result<StoredIdentity, ParseIdentityError> {
    if text.len() > MAX_IDENTITY_LEN {
        return Err(ParseIdentityError::TooLong);
    }
    let mut lines = text.strip_suffix('\n').ok_or(ParseIdentityError::End)?.split('\n').peekable();
    while lines.next_if(|line| line.starts_with('#')).is_some() {}
    if lines.next() != Some(FIRST_LINE) {
        return Err(ParseIdentityError::NotAnIdentity);
    }
    let stored = match field(&mut lines, "kind")? {
        PLAIN => StoredIdentity::Plain(plain(&mut lines)?),
        PASSPHRASE => StoredIdentity::Locked(locked(&mut lines)?),
        _ => return Err(ParseIdentityError::UnknownKind),
    };
    if lines.next().is_some() { Err(ParseIdentityError::End) } else { Ok(stored) }
}

fn plain<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Identity, ParseIdentityError> {
    let fingerprint = field(lines, "fingerprint")?;
    let seed = secret(field(lines, "encryption")?).ok_or(ParseIdentityError::Field("encryption"))?;
    let signing = secret(field(lines, "signing")?).ok_or(ParseIdentityError::Field("signing"))?;
    let identity = SigningKey::from_seed(signing)
        .and_then(|signing| Identity::from_seeds(seed, signing))
        .map_err(|_| ParseIdentityError::Field("signing"))?;
    if fingerprint.parse() == Ok(identity.fingerprint()) { Ok(identity) } else { Err(ParseIdentityError::Fingerprint) }
}

fn locked<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<LockedIdentity, ParseIdentityError> {
    let fingerprint = field(lines, "fingerprint")?.parse().map_err(|_| ParseIdentityError::Field("fingerprint"))?;
    let cost = cost(field(lines, "argon2id")?).ok_or(ParseIdentityError::Field("argon2id"))?;
    let salt = public(field(lines, "salt")?).ok_or(ParseIdentityError::Field("salt"))?;
    let keys = public(field(lines, "keys")?).ok_or(ParseIdentityError::Field("keys"))?;
    Ok(LockedIdentity { fingerprint, cost, salt, keys })
}

fn field<'a>(lines: &mut impl Iterator<Item = &'a str>, name: &'static str) -> Result<&'a str, ParseIdentityError> {
    let line = lines.next().ok_or(ParseIdentityError::Field(name))?;
    line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).ok_or(ParseIdentityError::Field(name))
}

/// Reads three decimal numbers, each in its one form.
fn cost(text: &str) -> Option<PassphraseCost> {
    let mut numbers = text.split(' ').map(|text| text.parse().ok().filter(|number: &u32| number.to_string() == text));
    let mut next = || numbers.next().flatten();
    let cost = PassphraseCost::new(next()?, next()?, next()?)?;
    numbers.next().is_none().then_some(cost)
}

/// Decodes 64 hex digits to where the secret stays.
fn secret(digits: &str) -> Option<Secret<32>> {
    if digits.len() != 64 {
        return None;
    }
    let mut decoded = false;
    let secret = Secret::build(|out| decoded = HEXLOWER.decode_mut(digits.as_bytes(), out).is_ok());
    decoded.then_some(secret)
}

/// Decodes hex digits that are no secret.
fn public<const N: usize>(digits: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()
}
