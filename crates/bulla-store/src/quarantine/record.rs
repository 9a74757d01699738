//! What is kept of what failed verification (spec, "Quarantine").

use std::fmt;
use std::str::FromStr;

use bulla_backend::{BlobId, Timestamp};
use bulla_seal::sha256;
use data_encoding::HEXLOWER;
use minicbor::{Decoder, Encoder};

use crate::{EntryName, MAX_NAME_LEN};

/// How much of a document is kept, in bytes. More than the longest that an honest writer leaves, and so little that the record fits in a
/// document itself.
pub const MAX_QUARANTINED_LEN: usize = 96 * 1_024;

/// Longest code of a failure, in bytes.
const MAX_CODE_LEN: usize = 64;
/// Length of each half of an id, in bytes.
const HALF: usize = 8;

/// Names a quarantine record within its namespace. As text, 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuarantineId(pub(crate) [u8; 2 * HALF]);

impl QuarantineId {
    /// Names what was found in a document: the start of a digest of the stored name, and that of one of both.
    pub(crate) fn of(stored: &[u8], document: &[u8]) -> Self {
        let mut id = [0; 2 * HALF];
        id[..HALF].copy_from_slice(&Self::start(stored));
        // A name has at most 1,024 bytes.
        let len = u16::try_from(stored.len()).unwrap_or(u16::MAX).to_be_bytes();
        id[HALF..].copy_from_slice(&sha256(&[&len, stored, document].concat())[..HALF]);
        Self(id)
    }

    /// Returns what the ids of all records of one stored name begin with.
    pub(crate) fn start(stored: &[u8]) -> [u8; HALF] {
        let mut start = [0; HALF];
        start.copy_from_slice(&sha256(stored)[..HALF]);
        start
    }
}

impl FromStr for QuarantineId {
    type Err = ParseQuarantineIdError;

    fn from_str(text: &str) -> Result<Self, ParseQuarantineIdError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseQuarantineIdError)?;
        bytes.try_into().map(Self).map_err(|_| ParseQuarantineIdError)
    }
}

impl fmt::Display for QuarantineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for QuarantineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuarantineId({self})")
    }
}

/// Text that names no quarantine record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a quarantine record is 32 digits of lowercase hex")]
pub struct ParseQuarantineIdError;

/// A quarantine record as it is sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineRecord {
    /// The name that the document lay under, as it is stored.
    pub stored: EntryName,
    /// When it was found.
    pub found: Timestamp,
    /// The stable code of what was wrong.
    pub code: String,
    /// The document as it was, at most [`MAX_QUARANTINED_LEN`] bytes of it.
    pub document: Vec<u8>,
    /// The length of the whole document, in bytes, if that was longer.
    pub cut_from: Option<u64>,
    /// The blob of the entry, if the document opened.
    pub blob: Option<BlobId>,
    /// The entry's name, if the stored one is blinded and it was known.
    pub name: Option<EntryName>,
}

impl QuarantineRecord {
    /// Encodes the record.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.document.len() + 2 * MAX_NAME_LEN);
        let written = self.write(&mut Encoder::new(&mut encoded));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
        encoded
    }

    fn write(
        &self,
        encoder: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
        let optional = [self.cut_from.is_some(), self.blob.is_some(), self.name.is_some()];
        encoder.map(4 + optional.into_iter().map(u64::from).sum::<u64>())?;
        encoder.u8(1)?.bytes(self.stored.as_bytes())?;
        encoder.u8(2)?.u64(self.found.0)?;
        encoder.u8(3)?.str(&self.code)?;
        encoder.u8(4)?.bytes(&self.document)?;
        if let Some(len) = self.cut_from {
            encoder.u8(5)?.u64(len)?;
        }
        if let Some(blob) = &self.blob {
            encoder.u8(6)?.bytes(&blob.0)?;
        }
        if let Some(name) = &self.name {
            encoder.u8(7)?.bytes(name.as_bytes())?;
        }
        Ok(())
    }

    /// Reads an encoded record, in its one encoding; `None` if it is none.
    #[must_use]
    pub fn parse(encoded: &[u8]) -> Option<Self> {
        let record = Self::decode(encoded).ok().flatten()?;
        (record.is_within_bounds() && record.encode() == encoded).then_some(record)
    }

    fn is_within_bounds(&self) -> bool {
        let is_code = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        (1..=MAX_CODE_LEN).contains(&self.code.len())
            && is_code(&self.code)
            && self.document.len() <= MAX_QUARANTINED_LEN
            && self
                .cut_from
                .is_none_or(|len| self.document.len() == MAX_QUARANTINED_LEN && len > MAX_QUARANTINED_LEN as u64)
    }

    fn decode(encoded: &[u8]) -> Result<Option<Self>, minicbor::decode::Error> {
        let mut decoder = Decoder::new(encoded);
        let (mut stored, mut found, mut code, mut document) = (None, None, None, None);
        let (mut cut_from, mut blob, mut name) = (None, None, None);
        let Some(fields) = decoder.map()? else { return Ok(None) };
        for _ in 0..fields {
            match decoder.u64()? {
                1 => stored = EntryName::new(decoder.bytes()?).ok(),
                2 => found = Some(Timestamp(decoder.u64()?)),
                3 => code = Some(decoder.str()?.to_owned()),
                4 => document = Some(decoder.bytes()?.to_vec()),
                5 => cut_from = Some(decoder.u64()?),
                6 => blob = decoder.bytes()?.try_into().ok().map(BlobId),
                7 => name = EntryName::new(decoder.bytes()?).ok(),
                _ => return Ok(None),
            }
        }
        let (Some(stored), Some(found), Some(code), Some(document)) = (stored, found, code, document) else {
            return Ok(None);
        };
        Ok(Some(Self { stored, found, code, document, cut_from, blob, name }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> QuarantineRecord {
        QuarantineRecord {
            stored: EntryName::known(&[7; 32]),
            found: Timestamp(1_000),
            code: "cannot_open".to_owned(),
            document: vec![9; MAX_QUARANTINED_LEN],
            cut_from: Some(MAX_QUARANTINED_LEN as u64 + 1),
            blob: Some(BlobId([1; 32])),
            name: Some(EntryName::known(b"a/b")),
        }
    }

    fn plain() -> QuarantineRecord {
        QuarantineRecord { document: b"doc".to_vec(), cut_from: None, blob: None, name: None, ..full() }
    }

    #[test]
    fn records_come_back_as_they_were_and_fit_in_a_document() {
        for record in [full(), plain()] {
            assert_eq!(QuarantineRecord::parse(&record.encode()), Some(record));
        }
        let name = EntryName::known(&[0; MAX_NAME_LEN]);
        let longest =
            QuarantineRecord { stored: name.clone(), name: Some(name), code: "x".repeat(MAX_CODE_LEN), ..full() };
        assert!(longest.encode().len() + 1_024 < bulla_backend::MAX_DOCUMENT_LEN);
    }

    #[test]
    fn only_one_encoding_is_read() {
        let good = plain().encode();
        for end in 0..good.len() {
            assert_eq!(QuarantineRecord::parse(&good[..end]), None, "cut at {end}");
        }
        assert_eq!(QuarantineRecord::parse(&[&good[..], b"\0"].concat()), None);
        for bad in [
            QuarantineRecord { code: String::new(), ..plain() },
            QuarantineRecord { code: "Not a code".to_owned(), ..plain() },
            QuarantineRecord { cut_from: Some(3), ..plain() },
            QuarantineRecord { document: vec![0; MAX_QUARANTINED_LEN + 1], ..plain() },
        ] {
            assert_eq!(QuarantineRecord::parse(&bad.encode()), None, "{:?}", bad.code);
        }
    }

    #[test]
    fn ids_differ_by_name_and_by_document() {
        let id = QuarantineId::of(b"n", b"doc");
        assert_eq!(id, QuarantineId::of(b"n", b"doc"));
        let others = [QuarantineId::of(b"n", b"dod"), QuarantineId::of(b"nd", b"oc"), QuarantineId::of(b"m", b"doc")];
        assert!(others.iter().all(|other| *other != id && other.0[HALF..] != id.0[HALF..]));
        assert_eq!(others[0].0[..HALF], id.0[..HALF]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "00", &id.to_string().to_uppercase(), &format!("{id}0")] {
            assert_eq!(bad.parse::<QuarantineId>(), Err(ParseQuarantineIdError), "{bad}");
        }
    }
}
