use bulla_backend::{DocumentKey, Timestamp};
use bulla_seal::KeyVersionId;

use crate::cbor::{self, Malformed, Reader};
use crate::{Algorithm, KeyName, UseCase, VersionState};

/// Longest row of a key, a version or an id, in bytes.
pub const MAX_ROW_LEN: usize = 4_096;

/// Length of generated key material, in bytes.
pub(crate) const MATERIAL_LEN: usize = 32;

const VERSION: u64 = 1;

/// A named key as it is stored: its description, authenticated under a data key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// Epoch of the data key.
    pub epoch: u64,
    /// The description, as a sealed value that hides nothing.
    pub sealed: Vec<u8>,
}

impl KeyRow {
    /// Reads the stored form, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        strictly(stored, Self::read, Self::encode)
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| e.array(3)?.u64(VERSION)?.u64(self.epoch)?.bytes(&self.sealed).map(drop))
    }

    fn read(stored: &[u8]) -> Result<Self, Malformed> {
        let mut r = begin(stored, 3)?;
        Ok(Self { epoch: r.uint()?, sealed: r.bytes()?.to_vec() })
    }
}

/// The description of a named key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyBody {
    pub(crate) algorithm: Algorithm,
    pub(crate) created: Timestamp,
    pub(crate) first: u64,
    pub(crate) newest: u64,
    /// Tells the newest version from another of the same number, made after an older copy of the database was restored.
    pub(crate) newest_id: KeyVersionId,
}

impl KeyBody {
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        strictly(body, Self::read, Self::encode).filter(|body| (1..=body.newest).contains(&body.first))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(8)?.u64(VERSION)?.u64(use_case_number(self.algorithm.use_case()))?;
            e.u64(algorithm_number(self.algorithm))?.u64(self.created.0)?.u64(self.first)?.u64(self.newest)?;
            e.bytes(&self.newest_id.0)?.map(0).map(drop)
        })
    }

    fn read(body: &[u8]) -> Result<Self, Malformed> {
        let mut r = begin(body, 8)?;
        // The algorithm implies the use case; encoding again shows whether they agree.
        r.uint()?;
        let algorithm = algorithm(r.uint()?)?;
        let (created, first, newest) = (Timestamp(r.uint()?), r.uint()?, r.uint()?);
        let read = Self { algorithm, created, first, newest, newest_id: KeyVersionId(r.fixed()?) };
        r.no_entries()?;
        Ok(read)
    }
}

/// A version of a key as it is stored: what it is, and its material sealed under a data key and bound to all the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Its number within the key.
    pub number: u64,
    /// Its name within the project.
    pub id: KeyVersionId,
    /// What it may be used for, as it was made. Older copies of a row verify: no state that restricts a version is kept here alone.
    pub state: VersionState,
    /// What its material is for.
    pub algorithm: Algorithm,
    /// When it was made.
    pub created: Timestamp,
    /// Epoch of the data key.
    pub epoch: u64,
    /// The material, sealed.
    pub sealed: Vec<u8>,
}

impl VersionRow {
    /// Reads the stored form, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        strictly(stored, Self::read, Self::encode)
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(8)?.u64(VERSION)?.u64(self.number)?.bytes(&self.id.0)?.u64(self.state_number())?;
            e.u64(self.algorithm_number())?.u64(self.created.0)?.u64(self.epoch)?.bytes(&self.sealed).map(drop)
        })
    }

    pub(crate) fn state_number(&self) -> u64 {
        match self.state {
            VersionState::Enabled => 1,
        }
    }

    pub(crate) fn algorithm_number(&self) -> u64 {
        algorithm_number(self.algorithm)
    }

    fn read(stored: &[u8]) -> Result<Self, Malformed> {
        let mut r = begin(stored, 8)?;
        let number = r.uint()?;
        let id = KeyVersionId(r.fixed()?);
        let state = match r.uint()? {
            1 => VersionState::Enabled,
            _ => return Err(Malformed),
        };
        let algorithm = algorithm(r.uint()?)?;
        Ok(Self {
            number,
            id,
            state,
            algorithm,
            created: Timestamp(r.uint()?),
            epoch: r.uint()?,
            sealed: r.bytes()?.to_vec(),
        })
    }
}

/// Where a version lies, found by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdRow {
    /// Name of its key.
    pub name: KeyName,
    /// Its number within the key.
    pub number: u64,
}

impl IdRow {
    /// Reads the stored form, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        strictly(stored, Self::read, Self::encode)
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| e.array(3)?.u64(VERSION)?.str(self.name.as_str())?.u64(self.number).map(drop))
    }

    fn read(stored: &[u8]) -> Result<Self, Malformed> {
        let mut r = begin(stored, 3)?;
        Ok(Self { name: r.text()?.parse().map_err(|_| Malformed)?, number: r.uint()? })
    }
}

/// Returns what the keys of all versions of a key begin with. No name contains the zero byte.
pub(crate) fn version_prefix(name: &KeyName) -> Vec<u8> {
    [name.as_str().as_bytes(), &[0]].concat()
}

/// Returns where a version is stored.
pub(crate) fn version_key(name: &KeyName, number: u64) -> bulla_backend::Result<DocumentKey> {
    DocumentKey::new([&version_prefix(name)[..], &number.to_be_bytes()].concat())
}

/// Returns the number of the version stored there, or `None` if no version is stored under such a key.
pub(crate) fn version_number(name: &KeyName, key: &DocumentKey) -> Option<u64> {
    let number = key.as_bytes().strip_prefix(&version_prefix(name)[..])?;
    number.try_into().ok().map(u64::from_be_bytes)
}

/// Returns the name of the key stored there, or `None` if no key is stored under such a key.
pub(crate) fn name_from_key(key: &DocumentKey) -> Option<KeyName> {
    std::str::from_utf8(key.as_bytes()).ok()?.parse().ok()
}

fn algorithm_number(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Aes256Gcm => 1,
        Algorithm::ChaCha20Poly1305 => 2,
        Algorithm::Aes256Deterministic => 3,
    }
}

fn algorithm(number: u64) -> Result<Algorithm, Malformed> {
    match number {
        1 => Ok(Algorithm::Aes256Gcm),
        2 => Ok(Algorithm::ChaCha20Poly1305),
        3 => Ok(Algorithm::Aes256Deterministic),
        _ => Err(Malformed),
    }
}

fn use_case_number(use_case: UseCase) -> u64 {
    match use_case {
        UseCase::RoundTrip => 1,
    }
}

fn begin(bytes: &[u8], items: u64) -> Result<Reader<'_>, Malformed> {
    let mut r = Reader::new(bytes);
    r.array(items)?;
    if r.uint()? == VERSION { Ok(r) } else { Err(Malformed) }
}

fn strictly<T>(
    bytes: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    encode: impl FnOnce(&T) -> Vec<u8>,
) -> Option<T> {
    if bytes.len() > MAX_ROW_LEN {
        return None;
    }
    read(bytes).ok().filter(|read| encode(read) == bytes)
}
