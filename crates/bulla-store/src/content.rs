//! Entries that are named after their contents (spec, "Contents").

use std::fmt;
use std::str::FromStr;

use bulla_backend::{Event, Timestamp};
use bulla_seal::{KeyVersionId, Sha256, constant_time_eq, sha256};

use crate::blinding::Index;
use crate::entry::EntryStat;
use crate::put::EntryWriter;
use crate::{EntryName, EntryReader, ExpectedVersion, GetOptions, Lifetime, Namespace, PutOptions, StoreError, Value};

/// What the names of contents begin with.
const PREFIX: &str = "content/";
const KEY_ID_LEN: usize = 8;
const DIGEST_LEN: usize = 32;

/// Name of a content: what its entry is called. Equal contents of one namespace have one name, until the namespace's index key is rotated.
///
/// It is made with the namespace's index key, so that it does not confirm a guess to whoever has not that key, and differs between
/// namespaces and between projects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentName {
    /// Which version of the index key made the digest.
    key: KeyVersionId,
    digest: [u8; DIGEST_LEN],
}

impl ContentName {
    /// Returns the name of the entry that holds the content.
    #[must_use]
    pub fn entry(&self) -> EntryName {
        EntryName::known(self.to_string().as_bytes())
    }
}

impl fmt::Display for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.key.0.iter().chain(&self.digest).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentName({self})")
    }
}

impl FromStr for ContentName {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parse = || {
            let digits = text.strip_prefix(PREFIX)?.as_bytes();
            let mut bytes = [0; KEY_ID_LEN + DIGEST_LEN];
            if digits.len() != 2 * bytes.len() {
                return None;
            }
            for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = digit(pair[0])? << 4 | digit(pair[1])?;
            }
            let (key, digest) = bytes.split_first_chunk()?;
            Some(Self { key: KeyVersionId(*key), digest: digest.try_into().ok()? })
        };
        parse().ok_or(StoreError::InvalidContentName)
    }
}

/// Reads a digit as [`ContentName`] writes it: there is one way to write a name.
fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl Namespace {
    /// Puts a value under the name that follows from it, and returns the name. A value that is there already, and verifies, is not written
    /// again; its lifetime is prolonged where the options ask for a longer one. What the options expect is not looked at.
    ///
    /// # Errors
    /// As [`Namespace::put`].
    pub async fn put_content(&self, value: &[u8], options: &PutOptions) -> Result<ContentName, StoreError> {
        let name = self.content_name(&sha256(value)).await?;
        if !self.holds_content(&name, options).await? {
            self.put(name.entry().as_bytes(), value, &any_version(options)).await?;
        }
        Ok(name)
    }

    /// Begins to put a content that comes in pieces; its name is known at the end. Nothing is visible before [`ContentWriter::finish`].
    ///
    /// # Errors
    /// [`StoreError::InvalidEntry`] if media type or tags are out of bounds.
    pub fn content_writer(&self, options: &PutOptions) -> Result<ContentWriter, StoreError> {
        let writer = self.writer(PREFIX.as_bytes(), &any_version(options))?;
        Ok(ContentWriter { namespace: self.clone(), writer, digest: Sha256::new(), options: options.clone() })
    }

    /// Reads a content of at most [`MAX_VALUE_LEN`](crate::MAX_VALUE_LEN) bytes, and checks it against its name.
    ///
    /// # Errors
    /// As [`Namespace::get`]; [`StoreError::ContentMismatch`] if somebody with the namespace's key put another value under the name.
    pub async fn get_content(&self, name: &ContentName) -> Result<Value, StoreError> {
        let value = self.get(name.entry().as_bytes(), &GetOptions::default()).await?;
        self.check_content(name, &sha256(&value.bytes)).await?;
        Ok(value)
    }

    /// Opens a content of any length, to be read in pieces or in ranges, after all of it was read once and checked against its name.
    ///
    /// # Errors
    /// As [`Namespace::get_content`], less [`StoreError::TooLarge`].
    pub async fn content_reader(&self, name: &ContentName) -> Result<EntryReader, StoreError> {
        let mut reader = self.reader(name.entry().as_bytes(), &GetOptions::default()).await?;
        let mut digest = Sha256::new();
        while let Some(piece) = reader.read_chunk().await? {
            digest.update(piece);
        }
        self.check_content(name, &digest.finish()).await?;
        reader.rewind();
        Ok(reader)
    }

    /// Returns the name of the content with that digest, made with the newest version of the index key.
    async fn content_name(&self, digest: &[u8; 32]) -> Result<ContentName, StoreError> {
        // The namespace's key and settings come before its index key.
        self.sealing().await?;
        let index = self.newest_index().await?;
        Ok(ContentName { key: index.id(), digest: index.digest(digest) })
    }

    /// Returns the newest version of what digests of the namespace are made with.
    pub(crate) async fn newest_index(&self) -> Result<Index, StoreError> {
        let version = self.store.keyring.system_key(&self.index_key()?).await;
        version.map(Index::new).map_err(|source| self.keyring_error(source))
    }

    async fn check_content(&self, name: &ContentName, digest: &[u8; 32]) -> Result<(), StoreError> {
        let version = self.store.keyring.system_version(&self.index_key()?, name.key).await;
        let index = Index::new(version.map_err(|source| self.keyring_error(source))?);
        if constant_time_eq(&index.digest(digest), &name.digest) {
            return Ok(());
        }
        let place = self.place(name.entry().as_bytes());
        let error = StoreError::ContentMismatch(place.clone());
        let event = Event::SecurityViolation { code: error.code(), subject: &place, detail: &error };
        self.store.shared.recorder.record(&event);
        Err(error)
    }

    /// Says whether a content is there, whole, and for as long as the options ask for. What is there and is not right is to be put anew.
    async fn holds_content(&self, name: &ContentName, options: &PutOptions) -> Result<bool, StoreError> {
        let stat = match self.content_reader(name).await {
            Ok(reader) => reader.stat().clone(),
            Err(StoreError::NotFound(_) | StoreError::ContentMismatch(_)) => return Ok(false),
            Err(error) if error.is_integrity_failure() => return Ok(false),
            Err(error) => return Err(error),
        };
        // What is sensitive must not be left as somebody put it who did not know.
        if options.sensitive && !stat.sensitive {
            return Ok(false);
        }
        let settled = self.settled().await?;
        let wanted = options.lifetime.expires(self.store.clock.now(), settled.settings.lifetime);
        if !is_longer(wanted, &stat) {
            return Ok(true);
        }
        let lifetime = wanted.map_or(Lifetime::Unlimited, Lifetime::Until);
        let version = ExpectedVersion::Version(stat.version);
        match self.set_lifetime(name.entry().as_bytes(), lifetime, version).await {
            // Others removed or replaced it meanwhile.
            Err(StoreError::NotFound(_) | StoreError::VersionMismatch { .. }) => Ok(false),
            prolonged => prolonged.map(|_| true),
        }
    }
}

fn is_longer(wanted: Option<Timestamp>, stat: &EntryStat) -> bool {
    stat.expires.is_some_and(|expires| wanted.is_none_or(|wanted| wanted > expires))
}

/// Puts a content that comes in pieces, holding at most two chunks of it in memory.
///
/// Dropping it before [`ContentWriter::finish`] puts nothing.
#[must_use = "nothing is put before `finish`"]
#[derive(Debug)]
pub struct ContentWriter {
    namespace: Namespace,
    writer: EntryWriter,
    digest: Sha256,
    options: PutOptions,
}

impl ContentWriter {
    /// Appends to the content.
    ///
    /// # Errors
    /// As [`EntryWriter::write`].
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.digest.update(bytes);
        self.writer.write(bytes).await
    }

    /// Puts the content, unless it is there already, and returns its name.
    ///
    /// # Errors
    /// As [`EntryWriter::finish`].
    pub async fn finish(self) -> Result<ContentName, StoreError> {
        let Self { namespace, writer, digest, options } = self;
        let name = namespace.content_name(&digest.finish()).await?;
        if !namespace.holds_content(&name, &options).await? {
            writer.finish_as(name.entry().as_bytes()).await?;
        }
        Ok(name)
    }
}

fn any_version(options: &PutOptions) -> PutOptions {
    PutOptions { expected: ExpectedVersion::Any, ..options.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were() {
        let name = ContentName { key: KeyVersionId([0xab; 8]), digest: [7; 32] };
        let text = name.to_string();
        assert_eq!(text, format!("content/{}{}", "ab".repeat(8), "07".repeat(32)));
        assert_eq!(text.parse::<ContentName>().unwrap(), name);
    }

    #[test]
    fn nothing_else_is_a_name() {
        let good = ContentName { key: KeyVersionId([0xab; 8]), digest: [7; 32] }.to_string();
        for bad in [&good[8..], &good[..87], &format!("{good}0"), &good.to_uppercase(), &good.replace('7', "ä"), ""] {
            assert_eq!(bad.parse::<ContentName>().unwrap_err().code(), "invalid_content_name", "{bad}");
        }
    }
}
