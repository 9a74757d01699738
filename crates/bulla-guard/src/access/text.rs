//! The text of secrets that are shown once: an id, a secret and a checksum, in letters and digits.

use std::fmt;

use bulla_seal::{MAC_LEN, SealError, SecretVec, fill_random};
use zeroize::Zeroizing;

/// Length of an id: 95 random bits.
pub(crate) const ID_LEN: usize = 16;
/// Length of a secret: 256 random bits.
const SECRET_LEN: usize = 43;
/// Length of a checksum: CRC-32 has 32 bits.
const CHECKSUM_LEN: usize = 6;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Longest environment of an API key.
pub const MAX_ENVIRONMENT_LEN: usize = 16;
/// Longest text of a credential: what is longer is none, and is not read.
pub const MAX_CREDENTIAL_LEN: usize = 128;

/// What a text of a secret stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CredentialKind {
    /// An API key, `bulla_<environment>_…`.
    ApiKey {
        /// Which environment it says it is for.
        environment: String,
    },
    /// A token, `bvs.…`.
    Token,
    /// The secret of an `AppRole`, `bas.…`.
    AppRoleSecret,
}

/// Names an API key, a token or a secret of an `AppRole`: 16 letters and digits. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CredentialId([u8; ID_LEN]);

impl CredentialId {
    pub(crate) fn random() -> Result<Self, SealError> {
        let mut id = [0; ID_LEN];
        fill_digits(&mut id)?;
        Ok(Self(id))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Every byte is one of `DIGITS`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::str::FromStr for CredentialId {
    type Err = ParseCredentialError;

    fn from_str(text: &str) -> Result<Self, ParseCredentialError> {
        let id: [u8; ID_LEN] = text.as_bytes().try_into().map_err(|_| ParseCredentialError)?;
        if id.iter().all(u8::is_ascii_alphanumeric) { Ok(Self(id)) } else { Err(ParseCredentialError) }
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialId({self})")
    }
}

/// The text is no credential of ours. Which part of it is wrong is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no credential of this project, or it was not copied whole")]
pub struct ParseCredentialError;

/// An API key, a token or a secret of an `AppRole` as its holder presents it. Silent in `Debug`, and wiped on drop.
///
/// # Examples
/// ```
/// use bulla_guard::access::SecretText;
///
/// assert!(SecretText::parse("bulla_live_not-a-key").is_err());
/// ```
pub struct SecretText {
    kind: CredentialKind,
    id: CredentialId,
    text: Zeroizing<String>,
}

impl SecretText {
    /// Reads a credential. The checksum is verified before anything is looked up: what was mistyped, or cut when it was copied, costs nothing.
    ///
    /// # Errors
    /// [`ParseCredentialError`] for whatever is not exactly of the form of `spec/access.md`.
    pub fn parse(text: &str) -> Result<Self, ParseCredentialError> {
        if text.len() > MAX_CREDENTIAL_LEN || !text.is_ascii() {
            return Err(ParseCredentialError);
        }
        let (kind, rest) = split_kind(text)?;
        let (id, rest) = rest.split_at_checked(ID_LEN).ok_or(ParseCredentialError)?;
        let rest = strip(rest, &kind)?;
        let (secret, rest) = rest.split_at_checked(SECRET_LEN).ok_or(ParseCredentialError)?;
        let checksum = strip(rest, &kind)?;
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if checksum.len() != CHECKSUM_LEN || !is_digits(secret) {
            return Err(ParseCredentialError);
        }
        let id = id.parse()?;
        let checked = text.len() - CHECKSUM_LEN;
        if checksum.as_bytes() != checksum_of(&text.as_bytes()[..checked]) {
            return Err(ParseCredentialError);
        }
        Ok(Self { kind, id, text: Zeroizing::new(text.to_owned()) })
    }

    /// Draws a credential.
    pub(crate) fn draw(kind: CredentialKind) -> Result<Self, SealError> {
        let id = CredentialId::random()?;
        let mut secret = Zeroizing::new([0; SECRET_LEN]);
        fill_digits(&mut *secret)?;
        // Reserved at once, so that no copy is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(MAX_CREDENTIAL_LEN));
        let between = separator(&kind);
        match &kind {
            CredentialKind::ApiKey { environment } => {
                text.push_str(API_KEY);
                text.push_str(environment);
                text.push('_');
            }
            CredentialKind::Token => text.push_str(TOKEN),
            CredentialKind::AppRoleSecret => text.push_str(APPROLE_SECRET),
        }
        text.push_str(id.as_str());
        text.push_str(between);
        secret.iter().for_each(|digit| text.push(char::from(*digit)));
        text.push_str(between);
        let checksum = checksum_of(text.as_bytes());
        checksum.iter().for_each(|digit| text.push(char::from(*digit)));
        Ok(Self { kind, id, text })
    }

    /// Returns what the text stands for.
    #[must_use]
    pub fn kind(&self) -> &CredentialKind {
        &self.kind
    }

    /// Returns the id that it begins with.
    #[must_use]
    pub fn id(&self) -> CredentialId {
        self.id
    }

    /// Returns the whole text: what the holder keeps and presents.
    ///
    /// # Security
    /// Whoever has this text is let in. Show it once, and keep it nowhere.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Returns the message whose HMAC is stored (spec, "Credentials").
    pub(crate) fn message(&self) -> SecretVec {
        let checked = self.text.len() - CHECKSUM_LEN;
        SecretVec::new([b"bulla/access/credential/v1\0", &self.text.as_bytes()[..checked]].concat())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({}, ..)", self.id)
    }
}

/// Shows the id, and that there is more.
impl fmt::Display for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.id)
    }
}

/// What is stored of a secret: an HMAC under a version of the pepper.
pub(crate) type SecretMac = [u8; MAC_LEN];

const API_KEY: &str = "bulla_";
const TOKEN: &str = "bvs.";
const APPROLE_SECRET: &str = "bas.";

fn separator(kind: &CredentialKind) -> &'static str {
    if matches!(kind, CredentialKind::ApiKey { .. }) { "_" } else { "" }
}

fn strip<'a>(text: &'a str, kind: &CredentialKind) -> Result<&'a str, ParseCredentialError> {
    text.strip_prefix(separator(kind)).ok_or(ParseCredentialError)
}

fn split_kind(text: &str) -> Result<(CredentialKind, &str), ParseCredentialError> {
    if let Some(rest) = text.strip_prefix(TOKEN) {
        return Ok((CredentialKind::Token, rest));
    }
    if let Some(rest) = text.strip_prefix(APPROLE_SECRET) {
        return Ok((CredentialKind::AppRoleSecret, rest));
    }
    let rest = text.strip_prefix(API_KEY).ok_or(ParseCredentialError)?;
    let (environment, rest) = rest.split_once('_').ok_or(ParseCredentialError)?;
    if !is_environment(environment) {
        return Err(ParseCredentialError);
    }
    Ok((CredentialKind::ApiKey { environment: environment.to_owned() }, rest))
}

/// Says whether a text can be the environment of an API key.
pub(crate) fn is_environment(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=MAX_ENVIRONMENT_LEN).contains(&text.len()) && text.bytes().all(known)
}

/// Fills a buffer with random digits, each as likely as any other: bytes from 248 on are thrown away.
fn fill_digits(out: &mut [u8]) -> Result<(), SealError> {
    let mut random = Zeroizing::new([0_u8; 64]);
    let mut filled = 0;
    while filled < out.len() {
        fill_random(&mut *random)?;
        for byte in random.iter().filter(|byte| **byte < 248) {
            let Some(place) = out.get_mut(filled) else { break };
            *place = DIGITS[usize::from(*byte % 62)];
            filled += 1;
        }
    }
    Ok(())
}

fn checksum_of(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32(bytes);
    let mut digits = [b'0'; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// CRC-32 as of ISO 3309, which gzip uses too. A hundred bytes at most, so that no table is worth its room.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(&checksum_of(b""), b"000000");
    }

    #[test]
    fn digits_are_evenly_drawn() {
        let mut drawn = vec![0; 62_000];
        fill_digits(&mut drawn).unwrap();
        for digit in DIGITS {
            let count = drawn.iter().filter(|byte| *byte == digit).count();
            assert!((750..1_250).contains(&count), "{}: {count}", char::from(*digit));
        }
    }
}
