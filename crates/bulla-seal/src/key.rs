use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

use crate::primitive::{Prk, expand, extract};
use crate::{SealError, Secret, fill_random};

/// Shortest key material, in bytes.
pub const MIN_MATERIAL_LEN: usize = 16;
/// Longest key material, in bytes.
pub const MAX_MATERIAL_LEN: usize = 1_024;

const SALT: &[u8] = b"bulla/seal/v1";

/// A key version, prepared for sealing and opening: HKDF-Extract is done, once.
///
/// Cheap to share between threads behind an `Arc`; what it keeps lies in locked memory and is wiped on drop.
pub struct SealKey {
    id: KeyVersionId,
    prk: Prk,
}

impl SealKey {
    /// Prepares key material under the id that the project gave it.
    ///
    /// # Errors
    /// [`SealError::MaterialLength`] unless the material has [`MIN_MATERIAL_LEN`] to [`MAX_MATERIAL_LEN`] bytes.
    ///
    /// # Security
    /// The material must be random, or have at least 128 bits of entropy; a password is neither.
    pub fn new(id: KeyVersionId, material: &[u8]) -> Result<Self, SealError> {
        check_material(material)?;
        Ok(Self { id, prk: extract(SALT, material) })
    }

    /// Prepares key material that comes from outside of the project. Its id is derived from it, so that processes agree on
    /// one without speaking to each other.
    ///
    /// # Errors
    /// As [`SealKey::new`].
    pub fn with_derived_id(material: &[u8]) -> Result<Self, SealError> {
        check_material(material)?;
        let prk = extract(SALT, material);
        let mut id = [0; 8];
        expand(&prk, &[b"bulla/seal/v1/key-version"], &mut id)?;
        Ok(Self { id: KeyVersionId(id), prk })
    }

    /// Returns the key-version id that this key writes into what it seals.
    #[must_use]
    pub fn id(&self) -> KeyVersionId {
        self.id
    }

    pub(crate) fn prk(&self) -> &Prk {
        &self.prk
    }

    /// Derives the key of the deterministic salt (suite 4).
    pub(crate) fn deterministic(&self) -> Result<Secret<32>, SealError> {
        let mut result = Ok(());
        let key = Secret::build(|out| result = expand(&self.prk, &[b"bulla/seal/v1/deterministic"], out));
        result.map(|()| key)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id)
    }
}

/// Refuses key material outside of the stated bounds.
pub(crate) fn check_material(material: &[u8]) -> Result<(), SealError> {
    if (MIN_MATERIAL_LEN..=MAX_MATERIAL_LEN).contains(&material.len()) {
        Ok(())
    } else {
        Err(SealError::MaterialLength(material.len()))
    }
}

/// Public name of a key version, unique within its project. Written as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyVersionId(pub [u8; 8]);

impl KeyVersionId {
    /// Draws an id for generated material.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn random() -> Result<Self, SealError> {
        let mut id = [0; 8];
        fill_random(&mut id)?;
        Ok(Self(id))
    }
}

impl fmt::Display for KeyVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyVersionId({self})")
    }
}

/// The text was not 16 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key-version id is 16 lower-case hex digits")]
pub struct ParseKeyVersionIdError;

impl FromStr for KeyVersionId {
    type Err = ParseKeyVersionIdError;

    fn from_str(text: &str) -> Result<Self, ParseKeyVersionIdError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseKeyVersionIdError)?;
        bytes.try_into().map(Self).map_err(|_| ParseKeyVersionIdError)
    }
}
