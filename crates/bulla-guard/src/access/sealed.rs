//! Documents that nobody else can read, alter, move or invent: sealed, and bound to their place (spec, "Documents").

use std::fmt;
use std::sync::Arc;

use bulla_backend::{Collection, Document, DocumentKey, Durability};
use bulla_keyring::{KeyVersion, Keyring, SystemKey};
use bulla_seal::{Context, Header, KeyVersionId, SealError};

use super::codec::{Field, decode, encode, record};
use super::error::{AccessError, Result};

/// What the head vouches for, and the head itself.
pub const ACCESS: Collection = Collection::new("access", Durability::Durable);
/// Tokens, secrets of `AppRole`s and their indexes, which stand outside of the head.
pub const ACCESS_TOKENS: Collection = Collection::new("access_tokens", Durability::Durable);
/// When API keys were last used: a convenience that may be lost.
pub const ACCESS_USED: Collection = Collection::new("access_used", Durability::Cache);

/// What a document is. Its name stands in the key of the document, and in the context that it is sealed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    AppRole,
    Binding,
    Head,
    Key,
    Policy,
    Role,
    Settings,
    User,
    Token,
    Secret,
    Used,
}

impl Kind {
    /// Those that the head vouches for.
    const VOUCHED: [Self; 7] =
        [Self::AppRole, Self::Binding, Self::Key, Self::Policy, Self::Role, Self::Settings, Self::User];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AppRole => "approle",
            Self::Binding => "binding",
            Self::Head => "head",
            Self::Key => "key",
            Self::Policy => "policy",
            Self::Role => "role",
            Self::Settings => "settings",
            Self::User => "user",
            Self::Token => "token",
            Self::Secret => "secret",
            Self::Used => "used",
        }
    }
}

/// Where a document lies that the head vouches for. The number is random: what is in the document says its name, and to nobody else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) number: [u8; 16],
}

impl Place {
    pub(crate) fn random(kind: Kind) -> Result<Self> {
        let mut number = [0; 16];
        bulla_seal::fill_random(&mut number)?;
        Ok(Self { kind, number })
    }

    pub(crate) fn key(self) -> Result<DocumentKey> {
        Ok(DocumentKey::new(self.to_string().into_bytes())?)
    }

    /// Reads the key of a document; `None` for what is none of ours.
    pub(crate) fn of(key: &DocumentKey) -> Option<Self> {
        let text = std::str::from_utf8(key.as_bytes()).ok()?;
        let (kind, number) = text.split_once('/')?;
        let kind = Kind::VOUCHED.into_iter().find(|known| known.name() == kind)?;
        let number = data_encoding::HEXLOWER.decode(number.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { kind, number })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), data_encoding::HEXLOWER.encode(&self.number))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// What is sealed: the version of the format, which write of the document it is, and what it says.
struct Message<T> {
    version: u64,
    record: T,
}

impl<T: Field> Field for Message<T> {
    fn put(&self, out: &mut super::codec::Out<'_>) -> super::codec::Written {
        write_message(self.version, &self.record, out)
    }

    fn take(from: &mut minicbor::Decoder<'_>) -> Option<Self> {
        (from.array().ok()?? == 3 && u64::take(from)? == FORMAT).then_some(())?;
        Some(Self { version: Field::take(from)?, record: Field::take(from)? })
    }
}

/// The only version of the format that there is.
const FORMAT: u64 = 1;

/// A document as it was opened.
#[derive(Debug)]
pub(crate) struct Opened<T> {
    /// Which write of the document it is.
    pub(crate) version: u64,
    /// Under which version of the key it is sealed.
    pub(crate) key: KeyVersionId,
    pub(crate) record: T,
}

/// What vouches for all the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadRow {
    /// How many changes there were.
    pub(crate) generation: u64,
    /// The SHA-256 over all documents.
    pub(crate) digest: [u8; 32],
    /// How many documents there are.
    pub(crate) documents: u64,
}

record!(HeadRow { generation, digest, documents });

/// Seals a record for its place.
pub(crate) fn seal(
    key: &KeyVersion,
    keyring: &Keyring,
    kind: Kind,
    id: &[u8],
    version: u64,
    record: &impl Field,
) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    let written = write_message(version, record, &mut minicbor::Encoder::new(&mut out));
    debug_assert!(written.is_ok(), "encoding to memory does not fail");
    Ok(key.seal_key().seal(key.params(), &context(keyring, kind, id)?, &out)?)
}

fn write_message(version: u64, record: &impl Field, out: &mut super::codec::Out<'_>) -> super::codec::Written {
    out.array(3)?;
    FORMAT.put(out)?;
    version.put(out)?;
    record.put(out)
}

/// Opens what was sealed for a place.
pub(crate) async fn open<T: Field>(keyring: &Keyring, kind: Kind, id: &[u8], sealed: &[u8]) -> Result<Opened<T>> {
    let corrupt = |reason| AccessError::corrupt(describe(kind, id), reason);
    let header = Header::parse(sealed).map_err(|_| corrupt("it is not sealed"))?;
    let key = keyring.system_seal_version(&SystemKey::access(), header.key_version()).await;
    let key: Arc<KeyVersion> = match key {
        Ok(key) => key,
        Err(bulla_keyring::KeyringError::Open(_)) => {
            return Err(corrupt("it is sealed under a key that is none of the project's"));
        }
        Err(error) => return Err(error.into()),
    };
    let opened = key.seal_key().open(&context(keyring, kind, id)?, sealed);
    let message = opened.map_err(|_| corrupt("it does not open in its place"))?;
    let message: Message<T> = decode(&message).ok_or_else(|| corrupt("it is of another form"))?;
    Ok(Opened { version: message.version, key: key.id(), record: message.record })
}

/// Returns the revision-independent digest of what is stored.
pub(crate) fn stored_digest(document: &Document) -> [u8; 32] {
    bulla_seal::sha256(&document.value)
}

/// Hashes all documents in the order of their places (spec, "Head").
pub(crate) fn digest<'a>(documents: impl Iterator<Item = (&'a Place, u64, &'a [u8; 32])>) -> [u8; 32] {
    let mut hash = bulla_seal::Sha256::new();
    hash.update(b"bulla/access/head/v1\0");
    for (place, version, stored) in documents {
        hash.update(&encode(&(place.to_string(), (version, *stored))));
    }
    hash.finish()
}

fn context(keyring: &Keyring, kind: Kind, id: &[u8]) -> std::result::Result<Context, SealError> {
    Context::in_domain("bulla/access", &keyring.project()).text("collection", kind.name()).bytes("id", id).build()
}

fn describe(kind: Kind, id: &[u8]) -> String {
    if kind == Kind::Head {
        return "the head of users, roles and keys".to_owned();
    }
    format!("the document {}/{}", kind.name(), data_encoding::HEXLOWER.encode(id))
}
