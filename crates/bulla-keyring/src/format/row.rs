use bulla_backend::{DocumentKey, Timestamp};
use bulla_seal::KeyVersionId;

use super::MAX_KEY_ROW_LEN;
use crate::cbor::{self, Malformed, Reader};
use crate::{Algorithm, KeyName, KeyOrigin};

/// Longest row of a version, an id or a count, in bytes.
pub const MAX_ROW_LEN: usize = 4_096;

pub(super) const VERSION: u64 = 1;

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
        strictly(stored, MAX_KEY_ROW_LEN, Self::read, Self::encode)
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

/// A version of a key as it is stored: what it is, and its material sealed under a data key and bound to all the rest.
///
/// Older copies of a row verify: no state that restricts a version is kept here alone, but that its material is never handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Its number within the key.
    pub number: u64,
    /// Its name within the project.
    pub id: KeyVersionId,
    /// What its material is for.
    pub algorithm: Algorithm,
    /// Where its material comes from.
    pub origin: KeyOrigin,
    /// Whether its material is never handed out.
    pub never_exported: bool,
    /// When it was made.
    pub created: Timestamp,
    /// The epoch in which it was made: who was put out before that epoch began does not know its material.
    pub born: u64,
    /// Epoch of the data key that it is sealed under; no less than that in which it was made.
    pub epoch: u64,
    /// The material, sealed; empty once it was destroyed.
    pub sealed: Vec<u8>,
}

impl VersionRow {
    /// Reads the stored form, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        strictly(stored, MAX_ROW_LEN, Self::read, Self::encode)
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(10)?.u64(VERSION)?.u64(self.number)?.bytes(&self.id.0)?.u64(self.algorithm.number())?;
            e.u64(self.origin.number())?.u64(u64::from(self.never_exported))?.u64(self.created.0)?;
            e.u64(self.born)?.u64(self.epoch)?.bytes(&self.sealed).map(drop)
        })
    }

    fn read(stored: &[u8]) -> Result<Self, Malformed> {
        let mut r = begin(stored, 10)?;
        Ok(Self {
            number: r.uint()?,
            id: KeyVersionId(r.fixed()?),
            algorithm: Algorithm::from_number(r.uint()?).ok_or(Malformed)?,
            origin: KeyOrigin::from_number(r.uint()?).ok_or(Malformed)?,
            never_exported: r.uint()? == 1,
            created: Timestamp(r.uint()?),
            born: r.uint()?,
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
        strictly(stored, MAX_ROW_LEN, Self::read, Self::encode)
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

/// How many uses of a version were given out to processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsesRow {
    /// How many.
    pub reserved: u64,
}

impl UsesRow {
    /// Reads the stored form, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        strictly(stored, MAX_ROW_LEN, Self::read, Self::encode)
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| e.array(2)?.u64(VERSION)?.u64(self.reserved).map(drop))
    }

    fn read(stored: &[u8]) -> Result<Self, Malformed> {
        Ok(Self { reserved: begin(stored, 2)?.uint()? })
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

/// Returns key and number of the version stored there, or `None` if no version is stored under such a key.
pub(crate) fn version_place(key: &DocumentKey) -> Option<(KeyName, u64)> {
    let (name, number) = key.as_bytes().split_last_chunk()?;
    let name = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?;
    Some((name.parse().ok()?, u64::from_be_bytes(*number)))
}

/// Returns the name of the key stored there, or `None` if no key is stored under such a key.
pub(crate) fn name_from_key(key: &DocumentKey) -> Option<KeyName> {
    std::str::from_utf8(key.as_bytes()).ok()?.parse().ok()
}

pub(super) fn begin(bytes: &[u8], items: u64) -> Result<Reader<'_>, Malformed> {
    let mut r = Reader::new(bytes);
    r.array(items)?;
    if r.uint()? == VERSION { Ok(r) } else { Err(Malformed) }
}

pub(super) fn strictly<T>(
    bytes: &[u8],
    max: usize,
    read: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    encode: impl FnOnce(&T) -> Vec<u8>,
) -> Option<T> {
    if bytes.len() > max {
        return None;
    }
    read(bytes).ok().filter(|read| encode(read) == bytes)
}
