//! The entry: what is sealed in a document (spec, "Entry").

use std::time::Duration;

use bulla_backend::{BlobId, Timestamp};
use bulla_seal::{MAX_MESSAGE_LEN, Secret};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::EntryName;

/// Largest value that lies in its entry, in bytes. Larger ones lie in blobs.
pub const MAX_INLINE_LEN: usize = 64 * 1_024;
/// Longest media type, in characters.
pub const MAX_MEDIA_TYPE_LEN: usize = 255;
/// Most tags of an entry.
pub const MAX_TAGS: usize = 32;
/// Longest tag, in bytes.
pub const MAX_TAG_LEN: usize = 128;

/// Room for everything in an entry but media type, tags and value.
const FIXED_LEN: usize = 128;

/// What an entry says about its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryStat {
    /// 1 for the first entry of its name, one more with each that replaces another.
    pub version: u64,
    /// When it was put.
    pub created: Timestamp,
    /// From when on it reads as absent.
    pub expires: Option<Timestamp>,
    /// What the value is, as its writer said.
    pub media_type: Option<String>,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// How long it took to compute the value, in whole milliseconds, as its writer said.
    pub compute_time: Option<Duration>,
    /// Whether the value is kept from memory tiers, and encrypted in whatever mode the namespace is.
    pub sensitive: bool,
    /// Length of the value, in bytes.
    pub len: u64,
}

impl EntryStat {
    /// Says whether the entry reads as absent at the moment `now`.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// An entry as it is sealed, less a value that lies in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it says about its value.
    pub stat: EntryStat,
    /// Its name, where the document's key does not show it.
    pub name: Option<EntryName>,
    /// Where a large value lies; `None` if the value lies in the entry.
    pub blob: Option<BlobRef>,
}

/// Where a large value lies, and what opens it.
#[derive(Debug, PartialEq, Eq)]
pub struct BlobRef {
    /// Which blob.
    pub id: BlobId,
    /// The material that the blob is sealed under.
    pub key: Secret<32>,
}

impl Entry {
    /// Reads an encoded entry, and returns it with the value that lies in it (empty for an entry with a blob), which is
    /// the end of `encoded`.
    ///
    /// # Errors
    /// [`BadEntry`] if it is not exactly as the specification says.
    pub fn parse(encoded: &[u8]) -> Result<(Self, &[u8]), BadEntry> {
        let (entry, value) = Self::decode(encoded)?;
        entry.check()?;
        // One encoding only (spec, "Conventions"): what precedes the value must be what would be written.
        let head_len = encoded.len() - value.len();
        if encoded[..head_len] != *entry.encode_head() {
            return Err(BadEntry::NotCanonical);
        }
        Ok((entry, value))
    }

    /// Encodes the entry with the value that lies in it (empty for an entry with a blob), leaving room for `spare` more
    /// bytes.
    ///
    /// # Security
    /// An entry with a blob contains the blob's key: seal the bytes, or wipe them.
    #[must_use]
    pub fn encode(&self, value: &[u8], spare: usize) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.head_capacity() + value.len() + spare);
        self.write_head(&mut encoded);
        encoded.extend_from_slice(value);
        encoded
    }

    /// Checks what has bounds.
    ///
    /// # Errors
    /// Names the first field that is out of its bounds.
    pub fn check(&self) -> Result<(), BadEntry> {
        let Self { stat, blob, .. } = self;
        let most = if blob.is_some() { MAX_MESSAGE_LEN } else { MAX_INLINE_LEN as u64 };
        let bounds = [
            (stat.version >= 1, BadEntry::Version),
            (stat.media_type.as_deref().is_none_or(is_media_type), BadEntry::MediaType),
            (stat.tags.len() <= MAX_TAGS, BadEntry::Tags),
            (stat.tags.iter().all(|tag| (1..=MAX_TAG_LEN).contains(&tag.len())), BadEntry::Tags),
            (stat.tags.windows(2).all(|pair| pair[0] < pair[1]), BadEntry::Tags),
            (stat.len <= most, BadEntry::ValueLength),
        ];
        bounds.into_iter().find(|(held, _)| !held).map_or(Ok(()), |(_, error)| Err(error))
    }

    fn decode(encoded: &[u8]) -> Result<(Self, &[u8]), BadEntry> {
        let mut decoder = Decoder::new(encoded);
        let mut version = None;
        let mut created = None;
        let mut expires = None;
        let mut media_type = None;
        let mut tags = Vec::new();
        let mut name = None;
        let mut compute_time = None;
        let mut sensitive = false;
        let mut value: Option<&[u8]> = None;
        let mut blob = None;
        let fields = decoder.map()?.ok_or(BadEntry::NotCanonical)?;
        for _ in 0..fields {
            match decoder.u64()? {
                1 => version = Some(decoder.u64()?),
                2 => created = Some(Timestamp(decoder.u64()?)),
                3 => expires = Some(Timestamp(decoder.u64()?)),
                4 => media_type = Some(decoder.str()?.to_owned()),
                5 => tags = decode_tags(&mut decoder)?,
                6 => name = Some(EntryName::new(decoder.bytes()?).map_err(|_| BadEntry::Name)?),
                7 => compute_time = Some(Duration::from_millis(decoder.u64()?)),
                8 => sensitive = decoder.bool()?,
                22 if decoder.datatype()? == Type::Bytes => value = Some(decoder.bytes()?),
                22 => return Err(BadEntry::NotCanonical),
                23 => blob = Some(decode_blob(&mut decoder)?),
                other => return Err(BadEntry::UnknownField(other)),
            }
        }
        if decoder.position() != encoded.len() {
            return Err(BadEntry::NotCanonical);
        }
        let (value, len, blob) = match (value, blob) {
            (Some(value), None) => (value, value.len() as u64, None),
            (None, Some((blob, len))) => (&[][..], len, Some(blob)),
            (None, None) | (Some(_), Some(_)) => return Err(BadEntry::ValueAndBlob),
        };
        // The value is the end of the encoding: keys ascend, or the head will not compare.
        let (Some(version), Some(created)) = (version, created) else { return Err(BadEntry::MissingField) };
        let stat = EntryStat { version, created, expires, media_type, tags, compute_time, sensitive, len };
        Ok((Self { stat, name, blob }, value))
    }

    /// Encodes everything before the value.
    fn encode_head(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let mut head = zeroize::Zeroizing::new(Vec::with_capacity(self.head_capacity()));
        self.write_head(&mut head);
        head
    }

    fn head_capacity(&self) -> usize {
        let texts = self.stat.tags.iter().chain(&self.stat.media_type);
        let name_len = self.name.as_ref().map_or(0, |name| name.as_bytes().len());
        FIXED_LEN + name_len + texts.map(|text| text.len() + 3).sum::<usize>()
    }

    fn write_head(&self, out: &mut Vec<u8>) {
        let written = self.try_write_head(&mut Encoder::new(out));
        debug_assert!(written.is_ok(), "encoding to memory does not fail");
    }

    fn try_write_head(
        &self,
        encoder: &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
        let stat = &self.stat;
        let optional = [
            stat.expires.is_some(),
            stat.media_type.is_some(),
            !stat.tags.is_empty(),
            self.name.is_some(),
            stat.compute_time.is_some(),
            stat.sensitive,
        ];
        encoder.map(3 + optional.into_iter().map(u64::from).sum::<u64>())?;
        encoder.u64(1)?.u64(stat.version)?.u64(2)?.u64(stat.created.0)?;
        if let Some(expires) = stat.expires {
            encoder.u64(3)?.u64(expires.0)?;
        }
        if let Some(media_type) = &stat.media_type {
            encoder.u64(4)?.str(media_type)?;
        }
        if !stat.tags.is_empty() {
            encoder.u64(5)?.array(stat.tags.len() as u64)?;
            for tag in &stat.tags {
                encoder.str(tag)?;
            }
        }
        if let Some(name) = &self.name {
            encoder.u64(6)?.bytes(name.as_bytes())?;
        }
        if let Some(time) = stat.compute_time {
            encoder.u64(7)?.u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))?;
        }
        if stat.sensitive {
            encoder.u64(8)?.bool(true)?;
        }
        match &self.blob {
            None => encoder.u64(22)?.bytes_len(stat.len)?,
            Some(blob) => encoder.u64(23)?.array(3)?.bytes(&blob.id.0)?.bytes(blob.key.expose())?.u64(stat.len)?,
        };
        Ok(())
    }
}

fn decode_tags(decoder: &mut Decoder<'_>) -> Result<Vec<String>, BadEntry> {
    let count = decoder.array()?.ok_or(BadEntry::NotCanonical)?;
    if count > MAX_TAGS as u64 {
        return Err(BadEntry::Tags);
    }
    (0..count).map(|_| Ok(decoder.str()?.to_owned())).collect()
}

fn decode_blob(decoder: &mut Decoder<'_>) -> Result<(BlobRef, u64), BadEntry> {
    if decoder.array()? != Some(3) {
        return Err(BadEntry::NotCanonical);
    }
    let id = decoder.bytes()?.try_into().map(BlobId).map_err(|_| BadEntry::Blob)?;
    let key = Secret::from_slice(decoder.bytes()?).ok_or(BadEntry::Blob)?;
    Ok((BlobRef { id, key }, decoder.u64()?))
}

fn is_media_type(text: &str) -> bool {
    (1..=MAX_MEDIA_TYPE_LEN).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim_matches(' ') == text
}

/// Why bytes are not an entry. The bytes are never shown: they may hold a value or a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadEntry {
    /// Not CBOR, or not of the right types.
    #[error("it is not encoded as an entry is")]
    NotCbor,
    /// Another encoding than the one that is allowed.
    #[error("it is not in the one encoding that is allowed")]
    NotCanonical,
    /// A field of the future.
    #[error("it has the unknown field {0}: a newer program wrote it, update this one")]
    UnknownField(u64),
    /// Version or time of creation missing.
    #[error("its version or its time of creation is missing")]
    MissingField,
    /// Neither a value nor a blob, or both.
    #[error("it must have either a value or a blob")]
    ValueAndBlob,
    /// A version of 0.
    #[error("its version is 0; versions begin with 1")]
    Version,
    /// A media type out of bounds.
    #[error("a media type has 1 to {MAX_MEDIA_TYPE_LEN} printable ASCII characters, and no space at either end")]
    MediaType,
    /// Tags out of bounds.
    #[error("an entry has at most {MAX_TAGS} tags of 1 to {MAX_TAG_LEN} bytes each, in order and each once")]
    Tags,
    /// A name that no entry can have, or not the one that its place stands for.
    #[error("its name is not the one that it lies under")]
    Name,
    /// What must be encrypted is not.
    #[error("it refers to a blob and is not encrypted: whoever reads the blob's key could write another value")]
    Exposed,
    /// A blob id or blob key of the wrong length.
    #[error("a blob id and a blob key have 32 bytes each")]
    Blob,
    /// A value too long.
    #[error("its value is too long to lie where it says")]
    ValueLength,
}

impl From<minicbor::decode::Error> for BadEntry {
    fn from(_: minicbor::decode::Error) -> Self {
        Self::NotCbor
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inline(len: u64) -> Entry {
        Entry {
            stat: EntryStat {
                version: 7,
                created: Timestamp(1_000),
                expires: Some(Timestamp(u64::MAX)),
                media_type: Some("text/plain; charset=utf-8".to_owned()),
                tags: vec!["a".to_owned(), "ä".to_owned()],
                compute_time: Some(Duration::from_millis(12)),
                sensitive: true,
                len,
            },
            name: Some(EntryName::known(b"a/b")),
            blob: None,
        }
    }

    fn plain(len: u64) -> Entry {
        let stat = EntryStat {
            expires: None,
            media_type: None,
            tags: Vec::new(),
            compute_time: None,
            sensitive: false,
            ..inline(len).stat
        };
        Entry { stat, name: None, blob: None }
    }

    fn with_blob() -> Entry {
        let stat = EntryStat { len: 1 << 40, ..plain(0).stat };
        Entry { stat, name: None, blob: Some(BlobRef { id: BlobId([1; 32]), key: Secret::build(|key| key.fill(2)) }) }
    }

    #[test]
    fn entries_come_back_as_they_were() {
        for value in [&b""[..], b"x", &[9; MAX_INLINE_LEN]] {
            let entry = inline(value.len() as u64);
            let encoded = entry.encode(value, 0);
            assert_eq!(Entry::parse(&encoded), Ok((entry, value)));
        }
        assert_eq!(Entry::parse(&with_blob().encode(b"", 0)), Ok((with_blob(), &b""[..])));
    }

    #[test]
    fn encoding_is_as_specified() {
        let encoded = plain(2).encode(b"hi", 0);
        assert_eq!(encoded, b"\xa3\x01\x07\x02\x19\x03\xe8\x16\x42hi");
    }

    #[test]
    fn only_one_encoding_is_read() {
        let cases: [(&[u8], BadEntry); 18] = [
            (b"", BadEntry::NotCbor),
            (b"\x01", BadEntry::NotCbor),
            (b"\xa0", BadEntry::ValueAndBlob),
            (b"\xa1\x16\x40", BadEntry::MissingField),
            // A length, a key, a number and a string header longer than need be.
            (b"\xb8\x03\x01\x07\x02\x01\x16\x40", BadEntry::NotCanonical),
            (b"\xa3\x18\x01\x07\x02\x01\x16\x40", BadEntry::NotCanonical),
            (b"\xa3\x01\x18\x07\x02\x01\x16\x40", BadEntry::NotCanonical),
            (b"\xa3\x01\x07\x02\x01\x16\x58\x00", BadEntry::NotCanonical),
            // Indefinite lengths.
            (b"\xbf\x01\x07\x02\x01\x16\x40\xff", BadEntry::NotCanonical),
            (b"\xa3\x01\x07\x02\x01\x16\x5f\x40\xff", BadEntry::NotCanonical),
            // Another order, a field twice, something behind the end.
            (b"\xa3\x02\x01\x01\x07\x16\x40", BadEntry::NotCanonical),
            (b"\xa4\x01\x07\x01\x07\x02\x01\x16\x40", BadEntry::NotCanonical),
            (b"\xa3\x01\x07\x16\x41\x00\x02\x01", BadEntry::NotCanonical),
            (b"\xa3\x01\x07\x02\x01\x16\x40\x00", BadEntry::NotCanonical),
            // Fields out of bounds, unknown, or contradictory.
            (b"\xa3\x01\x00\x02\x01\x16\x40", BadEntry::Version),
            (b"\xa4\x01\x07\x02\x01\x16\x40\x18\x18\x01", BadEntry::UnknownField(24)),
            (b"\xa3\x01\x07\x02\x01\x17\x83\x40\x40\x01", BadEntry::Blob),
            (b"\xa4\x01\x07\x02\x01\x04\x62\x0a\x0d\x16\x40", BadEntry::MediaType),
        ];
        for (bytes, error) in cases {
            assert_eq!(Entry::parse(bytes), Err(error), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn bounds_are_held() {
        let tags = |tags: Vec<String>| Entry { stat: EntryStat { tags, ..inline(0).stat }, ..inline(0) }.encode(b"", 0);
        let good = (0..MAX_TAGS).map(|n| format!("{n:02}{}", "t".repeat(MAX_TAG_LEN - 2))).collect::<Vec<_>>();
        assert!(Entry::parse(&tags(good.clone())).is_ok());
        let more = [good, vec!["x".to_owned()]].concat();
        for bad in [more, vec!["b".into(), "a".into()], vec!["a".into(); 2], vec![String::new()], vec!["t".repeat(129)]]
        {
            assert_eq!(Entry::parse(&tags(bad)), Err(BadEntry::Tags));
        }
        let long = inline(MAX_INLINE_LEN as u64 + 1).encode(&[0; MAX_INLINE_LEN + 1], 0);
        assert_eq!(Entry::parse(&long), Err(BadEntry::ValueLength));
        let longer = Entry { stat: EntryStat { len: MAX_MESSAGE_LEN + 1, ..with_blob().stat }, ..with_blob() };
        assert_eq!(Entry::parse(&longer.encode(b"", 0)), Err(BadEntry::ValueLength));
    }

    #[test]
    fn keys_of_blobs_are_not_shown() {
        assert!(format!("{:?}", with_blob()).contains("Secret(..)"));
    }
}
