//! What is kept of a secret, and its bytes (spec, "Secrets with versions").

use std::collections::BTreeMap;
use std::convert::Infallible;

use bulla_backend::Timestamp;
use minicbor::encode::Error as EncodeError;
use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use super::custom::MAX_CUSTOM_KEYS;
use super::json::SecretJson;

/// How many versions of a secret can be kept: all are changed in one transaction, which has at most 64 writes.
pub const MAX_VERSIONS: u64 = 50;
/// How many versions are kept where nobody says.
pub const DEFAULT_VERSIONS: u64 = 10;

/// A secret: the data of its newest version, and what is known of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    /// The number of the newest version; 0 if there never was one.
    pub(crate) current: u64,
    /// The versions that are kept, the newest last; their numbers follow each other.
    pub(crate) versions: Vec<Version>,
    /// 0 if it is not set.
    pub(crate) max_versions: u64,
    pub(crate) cas_required: bool,
    /// In seconds; 0 if it is not set.
    pub(crate) delete_version_after: u64,
    pub(crate) custom: BTreeMap<String, String>,
    /// The data of the newest version, unless that is destroyed.
    pub(crate) data: Option<SecretJson>,
}

/// What is known of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) created: Timestamp,
    /// From when on it is hidden.
    pub(crate) deleted: Option<Timestamp>,
    pub(crate) destroyed: bool,
}

impl Version {
    /// Says whether its data is not to be read.
    pub(crate) fn is_hidden(&self, now: Timestamp) -> bool {
        self.destroyed || self.deleted.is_some_and(|deleted| deleted <= now)
    }
}

impl Secret {
    /// Begins a secret without versions.
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            created: now,
            updated: now,
            current: 0,
            versions: Vec::new(),
            max_versions: 0,
            cas_required: false,
            delete_version_after: 0,
            custom: BTreeMap::new(),
            data: None,
        }
    }

    /// Returns the number of the oldest version that is kept; one more than the newest if none is.
    pub(crate) fn oldest(&self) -> u64 {
        self.current + 1 - self.versions.len() as u64
    }

    /// Returns the versions that are kept, with their numbers, the oldest first.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, &Version)> {
        (self.oldest()..).zip(&self.versions)
    }

    /// Returns one version, if it is kept.
    pub(crate) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.get(self.index(number)?)
    }

    /// Returns one version to be changed, if it is kept.
    pub(crate) fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        let index = self.index(number)?;
        self.versions.get_mut(index)
    }

    fn index(&self, number: u64) -> Option<usize> {
        number.checked_sub(self.oldest()).and_then(|index| usize::try_from(index).ok())
    }

    /// Encodes the secret.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let data = self.data.as_ref().map_or(0, |data| data.expose().len());
        let custom: usize = self.custom.iter().map(|(key, value)| key.len() + value.len() + 6).sum();
        let mut out = Zeroizing::new(Vec::with_capacity(64 + 21 * self.versions.len() + custom + data));
        let written = self.write(&mut Encoder::new(&mut *out));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        out
    }

    fn write(&self, encoder: &mut Encoder<&mut Vec<u8>>) -> Result<(), EncodeError<Infallible>> {
        let optional = [
            self.max_versions > 0,
            self.cas_required,
            self.delete_version_after > 0,
            !self.custom.is_empty(),
            self.data.is_some(),
        ];
        encoder.map(4 + optional.into_iter().map(u64::from).sum::<u64>())?;
        encoder.u64(1)?.u64(self.created.0)?.u64(2)?.u64(self.updated.0)?.u64(3)?.u64(self.current)?;
        encoder.u64(4)?.array(self.versions.len() as u64)?;
        for version in &self.versions {
            let deleted = version.deleted.map_or(0, |moment| moment.0);
            encoder.array(3)?.u64(version.created.0)?.u64(deleted)?.bool(version.destroyed)?;
        }
        if self.max_versions > 0 {
            encoder.u64(5)?.u64(self.max_versions)?;
        }
        if self.cas_required {
            encoder.u64(6)?.bool(true)?;
        }
        if self.delete_version_after > 0 {
            encoder.u64(7)?.u64(self.delete_version_after)?;
        }
        if !self.custom.is_empty() {
            encoder.u64(8)?.map(self.custom.len() as u64)?;
            // Deterministic: shorter encodings of keys come first.
            let mut pairs: Vec<_> = self.custom.iter().collect();
            pairs.sort_by_key(|(key, _)| key.len());
            for (key, value) in pairs {
                encoder.str(key)?.str(value)?;
            }
        }
        if let Some(data) = &self.data {
            encoder.u64(9)?.bytes(data.expose().as_bytes())?;
        }
        Ok(())
    }

    /// Reads an encoded secret; `None` if it is not one.
    pub(crate) fn decode(mut bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        let (mut secret, data_start) = Self::read(&bytes)?;
        if let Some(start) = data_start {
            // The data is the end of the encoding, and stays in the memory that it was opened in.
            bytes.drain(..start);
            secret.data = Some(SecretJson::stored(std::mem::take(&mut *bytes))?);
        }
        Some(secret)
    }

    /// Reads all but the data, and says where that begins.
    fn read(bytes: &[u8]) -> Option<(Self, Option<usize>)> {
        let mut decoder = Decoder::new(bytes);
        let mut secret = Self::new(Timestamp(0));
        let mut data = None;
        let mut last = 0;
        for _ in 0..decoder.map().ok()?? {
            let key = decoder.u64().ok()?;
            // The first four are always there.
            let follows = if last < 4 { key == last + 1 } else { key > last };
            if !follows {
                return None;
            }
            last = key;
            match key {
                1 => secret.created = Timestamp(decoder.u64().ok()?),
                2 => secret.updated = Timestamp(decoder.u64().ok()?),
                3 => secret.current = decoder.u64().ok()?,
                4 => secret.versions = versions(&mut decoder)?,
                5 => secret.max_versions = decoder.u64().ok()?,
                6 => secret.cas_required = decoder.bool().ok()?,
                7 => secret.delete_version_after = decoder.u64().ok()?,
                8 => secret.custom = custom(&mut decoder)?,
                9 => data = Some(decoder.position() + head_len(&mut decoder)?),
                _ => return None,
            }
        }
        let newest = secret.versions.last();
        let is_sound = last >= 4
            && decoder.position() == bytes.len()
            && secret.current >= secret.versions.len() as u64
            && secret.current < u64::MAX
            && newest.is_some_and(|newest| !newest.destroyed) == data.is_some();
        is_sound.then_some((secret, data))
    }
}

/// Passes over a byte string, and returns how long its head is.
fn head_len(decoder: &mut Decoder<'_>) -> Option<usize> {
    let before = decoder.position();
    let len = decoder.bytes().ok()?.len();
    Some(decoder.position() - before - len)
}

fn versions(decoder: &mut Decoder<'_>) -> Option<Vec<Version>> {
    let count = decoder.array().ok()?.filter(|count| *count <= MAX_VERSIONS)?;
    (0..count)
        .map(|_| {
            decoder.array().ok()?.filter(|fields| *fields == 3)?;
            let created = Timestamp(decoder.u64().ok()?);
            let deleted = Some(decoder.u64().ok()?).filter(|deleted| *deleted > 0).map(Timestamp);
            Some(Version { created, deleted, destroyed: decoder.bool().ok()? })
        })
        .collect()
}

fn custom(decoder: &mut Decoder<'_>) -> Option<BTreeMap<String, String>> {
    let count = decoder.map().ok()?.filter(|count| *count <= MAX_CUSTOM_KEYS as u64)?;
    (0..count).map(|_| Some((decoder.str().ok()?.to_owned(), decoder.str().ok()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Secret {
        let version = |deleted, destroyed| Version { created: Timestamp(9), deleted, destroyed };
        Secret {
            created: Timestamp(1),
            updated: Timestamp(2),
            current: 7,
            versions: vec![version(None, true), version(Some(Timestamp(3)), false), version(None, false)],
            max_versions: 3,
            cas_required: true,
            delete_version_after: 60,
            custom: BTreeMap::from([("owner".to_owned(), "me".to_owned()), ("z".to_owned(), "ü".to_owned())]),
            data: Some(SecretJson::parse(r#"{"a":1}"#).unwrap()),
        }
    }

    #[test]
    fn secrets_come_back_as_they_were() {
        let bare = Secret::new(Timestamp(5));
        for secret in [full(), bare] {
            assert_eq!(Secret::decode(secret.encode()), Some(secret));
        }
    }

    #[test]
    fn versions_are_found_by_their_numbers() {
        let secret = full();
        assert_eq!(secret.oldest(), 5);
        assert!(secret.version(5).is_some_and(|version| version.destroyed));
        assert!(secret.version(4).is_none() && secret.version(8).is_none() && secret.version(0).is_none());
        assert_eq!(secret.numbered().map(|(number, _)| number).collect::<Vec<_>>(), [5, 6, 7]);
        assert_eq!(Secret::new(Timestamp(0)).oldest(), 1);
    }

    #[test]
    fn other_bytes_are_no_secret() {
        let encoded = full().encode();
        for len in 0..encoded.len() {
            assert_eq!(Secret::decode(Zeroizing::new(encoded[..len].to_vec())), None);
        }
        for at in 0..encoded.len() {
            for bit in 0..8 {
                let mut flipped = encoded.clone();
                flipped[at] ^= 1 << bit;
                // It may be another secret; it must not be a panic.
                let _ = Secret::decode(flipped);
            }
        }
        // More versions than there were, and a newest version that is neither there nor destroyed.
        let mut wrong = full();
        wrong.current = 2;
        let mut hollow = full();
        hollow.data = None;
        for secret in [wrong, hollow] {
            let mut bytes = Zeroizing::new(Vec::new());
            secret.write(&mut Encoder::new(&mut *bytes)).unwrap();
            assert_eq!(Secret::decode(bytes), None);
        }
    }
}
