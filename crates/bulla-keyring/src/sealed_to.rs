//! Sealing to a public key: anybody who has it seals, only the project opens (`spec/keyring.md`, "Sealing to a public key").

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use bulla_seal::{
    Context, Header, KeyVersionId, OpenError, OpenReader, Params, ProjectId, SealError, SealKey, SealWriter,
    SealedStream, Secret, Suite,
};
use data_encoding::BASE64URL_NOPAD;
use hpke::aead::ExportOnlyAead;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};

use crate::cbor::{self, Malformed, Reader};
use crate::random::Random;
use crate::{ENCRYPTION_KEY_LEN, KeyName};

/// Length of what comes before the sealed value, in bytes.
pub const SEALED_TO_HEAD_LEN: usize = 12 + ENCAPSULATED_LEN;

/// Longest text form of a public key.
const MAX_TEXT_LEN: usize = 4_096;
const TEXT_PREFIX: &str = "bulla-seal-to:v1:";

const MAGIC: &[u8; 3] = b"BLX";
const VERSION: u8 = 1;
const ENCAPSULATED_LEN: usize = 1_120;

const INFO: &[u8] = b"bulla/sealed-to/v1";
const EXPORTER_CONTEXT: &[u8] = b"bulla/sealed-to/key/v1";

type PrivateKey = <XWing as Kem>::PrivateKey;
type PublicKey = <XWing as Kem>::PublicKey;
type EncappedKey = <XWing as Kem>::EncappedKey;

/// The public part of one version of an `xwing` key: whoever has it seals to the project, and cannot open what they sealed.
///
/// Its text form, `bulla-seal-to:v1:` and base64url, is all that a producer needs.
///
/// # Security
/// The text names itself: nothing in it proves whose key it is. Hand it to producers in a way that they can trust. And since anybody can seal, a
/// value that opens says nothing about who sealed it.
#[derive(Clone, PartialEq, Eq)]
pub struct SealToKey {
    project: ProjectId,
    name: KeyName,
    id: KeyVersionId,
    public: Box<[u8; ENCRYPTION_KEY_LEN]>,
}

impl SealToKey {
    /// Returns the project that can open.
    #[must_use]
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Returns the name of the key.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// Returns the key-version id.
    #[must_use]
    pub fn id(&self) -> KeyVersionId {
        self.id
    }

    /// Seals a message with AES-256-GCM, in chunks of 64 KiB.
    ///
    /// # Errors
    /// As [`SealKey::seal`].
    pub fn seal(&self, context: &Context, message: &[u8]) -> Result<Vec<u8>, SealError> {
        let (head, key) = self.begin()?;
        let mut sealed = head.to_bytes();
        sealed.extend_from_slice(&key.seal(Params::default(), context, message)?);
        Ok(sealed)
    }

    /// Begins a message that is sealed as it is written, with AES-256-GCM in chunks of 64 KiB.
    ///
    /// # Errors
    /// Those of `inner`, and a [`SealError`] wrapped in one of kind [`io::ErrorKind::Other`].
    pub fn writer<W: Write>(&self, context: &Context, mut inner: W) -> io::Result<SealWriter<W>> {
        let (head, key) = self.begin().map_err(io::Error::other)?;
        inner.write_all(&head.to_bytes())?;
        SealWriter::new(&key, Params::default(), context, inner).map_err(io::Error::other)
    }

    /// Draws the key of one message: for I/O of your own. The head comes first; the sealed value follows, of suite
    /// [`Suite::Aes256Gcm`] or [`Suite::ChaCha20Poly1305`]. No other is opened.
    ///
    /// # Errors
    /// [`SealError::Random`] if the system gives no random bytes.
    pub fn begin(&self) -> Result<(SealedToHead, SealKey), SealError> {
        let public = PublicKey::from_bytes(self.public.as_slice()).map_err(|_| SealError::Library)?;
        let mut random = Random::default();
        let begun = hpke::setup_sender_with_rng::<ExportOnlyAead, HkdfSha256, XWing>(
            &OpModeS::Base,
            &public,
            &info(&self.project, self.id),
            &mut random,
        );
        if random.failed() {
            return Err(SealError::Random);
        }
        let (encapsulated, exporter) = begun.map_err(|_| SealError::Library)?;
        let encapsulated = encapsulated.to_bytes().as_slice().try_into().map_err(|_| SealError::Library)?;
        let key = message_key(self.id, |out| exporter.export(EXPORTER_CONTEXT, out))?;
        Ok((SealedToHead { id: self.id, encapsulated: Box::new(encapsulated) }, key))
    }
}

impl fmt::Display for SealToKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = cbor::encode(|e| {
            e.array(4)?.bytes(&self.project.0)?.str(self.name.as_str())?;
            e.bytes(&self.id.0)?.bytes(self.public.as_slice()).map(drop)
        });
        write!(f, "{TEXT_PREFIX}{}", BASE64URL_NOPAD.encode(&fields))
    }
}

impl FromStr for SealToKey {
    type Err = ParseSealToKeyError;

    fn from_str(text: &str) -> Result<Self, ParseSealToKeyError> {
        if text.len() > MAX_TEXT_LEN {
            return Err(ParseSealToKeyError);
        }
        let encoded = text.strip_prefix(TEXT_PREFIX).ok_or(ParseSealToKeyError)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| ParseSealToKeyError)?;
        let key = Self::decode(&bytes).map_err(|Malformed| ParseSealToKeyError)?;
        // One key has one text: whatever is not what we would have written is refused.
        if key.to_string() == text { Ok(key) } else { Err(ParseSealToKeyError) }
    }
}

impl SealToKey {
    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.array(4)?;
        let project = ProjectId(reader.fixed()?);
        let name = reader.text()?.parse().map_err(|_| Malformed)?;
        let id = KeyVersionId(reader.fixed()?);
        let public = Box::new(reader.fixed()?);
        // Checks the encoding of the ML-KEM part, as FIPS 203 §7.2 demands before use.
        PublicKey::from_bytes(public.as_slice()).map_err(|_| Malformed)?;
        Ok(Self { project, name, id, public })
    }
}

impl fmt::Debug for SealToKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealToKey({} {} of project {})", self.name, self.id, self.project)
    }
}

/// The text is no public key to seal to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no public key to seal to (`{TEXT_PREFIX}` and base64url); it may have been cut or altered")]
pub struct ParseSealToKeyError;

/// One version of an `xwing` key: opens what was sealed to its public part.
pub struct XWingKey {
    project: ProjectId,
    id: KeyVersionId,
    seed: Secret<32>,
    public: Box<[u8; ENCRYPTION_KEY_LEN]>,
}

impl XWingKey {
    /// Takes the private key: its 32-byte seed. Any 32 random bytes are one.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn new(project: ProjectId, id: KeyVersionId, seed: Secret<32>) -> Result<Self, SealError> {
        let private = PrivateKey::from_bytes(seed.expose()).map_err(|_| SealError::Library)?;
        let public = XWing::sk_to_pk(&private).to_bytes();
        let public = Box::new(public.as_slice().try_into().map_err(|_| SealError::Library)?);
        Ok(Self { project, id, seed, public })
    }

    /// Returns the key-version id.
    #[must_use]
    pub fn id(&self) -> KeyVersionId {
        self.id
    }

    /// Returns the seed, for storing it.
    #[must_use]
    pub fn seed(&self) -> &Secret<32> {
        &self.seed
    }

    /// Returns the public part, for producers, under the name of its key.
    #[must_use]
    pub fn seal_to(&self, name: KeyName) -> SealToKey {
        SealToKey { project: self.project, name, id: self.id, public: self.public.clone() }
    }

    /// Opens what was sealed to the public part.
    ///
    /// # Errors
    /// Any [`OpenError`] but [`OpenError::BadText`]; nothing of the message is returned then.
    pub fn open(&self, context: &Context, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let head = SealedToHead::parse(sealed)?;
        let key = self.key(&head)?;
        let value = sealed.get(SEALED_TO_HEAD_LEN..).ok_or(OpenError::TooShort)?;
        check_suite(&Header::parse(value)?)?;
        key.open(context, value)
    }

    /// Returns the key of one message: for I/O of your own. The sealed value that follows the head is of suite [`Suite::Aes256Gcm`] or
    /// [`Suite::ChaCha20Poly1305`].
    ///
    /// # Errors
    /// [`OpenError::UnknownVersion`] if the head names another key version. A head that was altered gives another key, which opens nothing.
    pub fn key(&self, head: &SealedToHead) -> Result<SealKey, OpenError> {
        if head.id != self.id {
            return Err(OpenError::UnknownVersion(head.id));
        }
        let private = PrivateKey::from_bytes(self.seed.expose()).map_err(|_| OpenError::CannotOpen)?;
        let encapsulated = EncappedKey::from_bytes(head.encapsulated.as_slice()).map_err(|_| OpenError::CannotOpen)?;
        let exporter = hpke::setup_receiver::<ExportOnlyAead, HkdfSha256, XWing>(
            &OpModeR::Base,
            &private,
            &encapsulated,
            &info(&self.project, self.id),
        )
        .map_err(|_| OpenError::CannotOpen)?;
        message_key(self.id, |out| exporter.export(EXPORTER_CONTEXT, out)).map_err(|_| OpenError::CannotOpen)
    }
}

impl fmt::Debug for XWingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XWingKey({})", self.id)
    }
}

/// What comes before the sealed value: which key version it was sealed to, and what its key is found from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedToHead {
    id: KeyVersionId,
    encapsulated: Box<[u8; ENCAPSULATED_LEN]>,
}

impl SealedToHead {
    /// Reads the head at the start of bytes that were sealed to a public key.
    ///
    /// # Errors
    /// Names the first field that is not as the format says.
    pub fn parse(sealed: &[u8]) -> Result<Self, OpenError> {
        let seen = sealed.len().min(MAGIC.len());
        if sealed[..seen] != MAGIC[..seen] {
            return Err(OpenError::NotSealed);
        }
        match sealed.get(3) {
            None => return Err(OpenError::TooShort),
            Some(&VERSION) => {}
            Some(&other) => return Err(OpenError::UnsupportedVersion(other)),
        }
        let rest = &sealed[4..];
        let (id, rest) = rest.split_first_chunk().ok_or(OpenError::TooShort)?;
        let (encapsulated, _) = rest.split_first_chunk().ok_or(OpenError::TooShort)?;
        Ok(Self { id: KeyVersionId(*id), encapsulated: Box::new(*encapsulated) })
    }

    /// Returns which key version the value says it was sealed to.
    #[must_use]
    pub fn key_version(&self) -> KeyVersionId {
        self.id
    }

    /// Returns the [`SEALED_TO_HEAD_LEN`] bytes that come before the sealed value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&MAGIC[..], &[VERSION], &self.id.0, self.encapsulated.as_slice()].concat()
    }
}

/// What was sealed to a public key, at the start of a stream, of which the head has been read: it says which key version is needed.
#[derive(Debug)]
pub struct SealedToStream<R: Read> {
    head: SealedToHead,
    inner: R,
}

impl<R: Read> SealedToStream<R> {
    /// Reads the head.
    ///
    /// # Errors
    /// One of kind [`io::ErrorKind::InvalidData`] that wraps an [`OpenError`], or one of the stream.
    pub fn new(mut inner: R) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(SEALED_TO_HEAD_LEN);
        inner.by_ref().take(SEALED_TO_HEAD_LEN as u64).read_to_end(&mut bytes)?;
        Ok(Self { head: SealedToHead::parse(&bytes).map_err(refused)?, inner })
    }

    /// Returns the head.
    pub fn head(&self) -> &SealedToHead {
        &self.head
    }

    /// Reads the header of the sealed value and checks key and context, after which the message can be read.
    ///
    /// # Errors
    /// As [`Self::new`]; the reader's own are those of [`OpenReader`].
    pub fn open(self, key: &XWingKey, context: &Context) -> io::Result<OpenReader<R>> {
        let key = key.key(&self.head).map_err(refused)?;
        let stream = SealedStream::new(self.inner).map_err(|error| match wrapped(&error) {
            // Here no stream and no whole value is of that suite.
            Some(OpenError::OneShotOnly) => refused(OpenError::UnsupportedSuite(Suite::Aes256Deterministic as u8)),
            _ => error,
        })?;
        check_suite(stream.header()).map_err(refused)?;
        stream.open(&key, context).map_err(refused)
    }
}

/// Refuses suites that hide nothing, or that need one key for many messages.
fn check_suite(header: &Header) -> Result<(), OpenError> {
    match header.params().suite {
        Suite::Aes256Gcm | Suite::ChaCha20Poly1305 => Ok(()),
        other => Err(OpenError::UnsupportedSuite(other as u8)),
    }
}

/// Fills in the secret that HPKE exports, and prepares it under the id of the key version.
fn message_key<E>(id: KeyVersionId, export: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<SealKey, SealError> {
    let mut exported = false;
    let secret = Secret::<32>::build(|out| exported = export(out).is_ok());
    if exported { SealKey::new(id, secret.expose()) } else { Err(SealError::Library) }
}

fn info(project: &ProjectId, id: KeyVersionId) -> Vec<u8> {
    [INFO, &project.0, &id.0].concat()
}

/// Finds the refusal that an error of reading wraps.
fn wrapped(error: &io::Error) -> Option<OpenError> {
    error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
}

fn refused(error: OpenError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: ProjectId = ProjectId([1; 32]);
    const ID: KeyVersionId = KeyVersionId([2; 8]);

    fn key(seed: u8) -> XWingKey {
        XWingKey::new(PROJECT, ID, Secret::build(|out| out.fill(seed))).unwrap()
    }

    fn context() -> Context {
        Context::user(&PROJECT).text("from", "sensor").build().unwrap()
    }

    fn name() -> KeyName {
        "reports/inbox".parse().unwrap()
    }

    #[test]
    fn anybody_seals_and_only_the_holder_opens() {
        let holder = key(3);
        let producer: SealToKey = holder.seal_to(name()).to_string().parse().unwrap();
        assert_eq!((producer.project(), producer.name(), producer.id()), (PROJECT, &name(), ID));
        let sealed = producer.seal(&context(), b"23 degrees").unwrap();
        assert_eq!(sealed.len(), SEALED_TO_HEAD_LEN + 88 + 10);
        assert_eq!(holder.open(&context(), &sealed).unwrap(), b"23 degrees");
        assert_ne!(producer.seal(&context(), b"23 degrees").unwrap(), sealed);

        let elsewhere = Context::user(&PROJECT).text("from", "another").build().unwrap();
        assert_eq!(holder.open(&elsewhere, &sealed), Err(OpenError::CannotOpen));
        assert_eq!(key(4).open(&context(), &sealed), Err(OpenError::CannotOpen));
        let version = XWingKey::new(PROJECT, KeyVersionId([9; 8]), Secret::build(|out| out.fill(3))).unwrap();
        assert_eq!(version.open(&context(), &sealed), Err(OpenError::UnknownVersion(ID)));
        let project = XWingKey::new(ProjectId([7; 32]), ID, Secret::build(|out| out.fill(3))).unwrap();
        assert_eq!(project.open(&context(), &sealed), Err(OpenError::CannotOpen));
    }

    #[test]
    fn every_altered_byte_is_refused() {
        let holder = key(3);
        let sealed = holder.seal_to(name()).seal(&context(), b"23 degrees").unwrap();
        let refused = |at: usize| {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            holder.open(&context(), &altered).unwrap_err()
        };
        assert_eq!(refused(0), OpenError::NotSealed);
        assert_eq!(refused(3), OpenError::UnsupportedVersion(0));
        assert!(matches!(refused(4), OpenError::UnknownVersion(_)));
        for at in (12..SEALED_TO_HEAD_LEN).step_by(37).chain([SEALED_TO_HEAD_LEN - 1]) {
            assert_eq!(refused(at), OpenError::CannotOpen, "byte {at}");
        }
        assert_eq!(refused(SEALED_TO_HEAD_LEN), OpenError::NotSealed);
        assert!(matches!(refused(SEALED_TO_HEAD_LEN + 8), OpenError::UnknownVersion(_)));
        assert_eq!(refused(sealed.len() - 1), OpenError::Damaged);
        for end in [0, 2, 3, 4, 11, 12, SEALED_TO_HEAD_LEN - 1, SEALED_TO_HEAD_LEN, sealed.len() - 11] {
            assert_eq!(holder.open(&context(), &sealed[..end]), Err(OpenError::TooShort), "cut at {end}");
        }
        assert_eq!(holder.open(&context(), &sealed[..sealed.len() - 1]), Err(OpenError::Damaged));
    }

    #[test]
    fn a_value_that_hides_nothing_is_refused() {
        let holder = key(3);
        for suite in [Suite::Authenticated, Suite::Aes256Deterministic] {
            let (head, key) = holder.seal_to(name()).begin().unwrap();
            let value = key.seal(Params::new(suite), &context(), b"in the clear").unwrap();
            let sealed = [head.to_bytes(), value].concat();
            assert_eq!(holder.open(&context(), &sealed), Err(OpenError::UnsupportedSuite(suite as u8)));
            let error = SealedToStream::new(sealed.as_slice()).unwrap().open(&holder, &context()).unwrap_err();
            assert_eq!(wrapped(&error), Some(OpenError::UnsupportedSuite(suite as u8)));
        }
        let (head, key) = holder.seal_to(name()).begin().unwrap();
        let value = key.seal(Params::new(Suite::ChaCha20Poly1305), &context(), b"hidden").unwrap();
        assert_eq!(holder.open(&context(), &[head.to_bytes(), value].concat()).unwrap(), b"hidden");
    }

    #[test]
    fn streams_hold_the_same() {
        let holder = key(3);
        let message: Vec<u8> = (0..200_000_u32).map(|at| at.to_le_bytes()[1]).collect();
        let mut writer = holder.seal_to(name()).writer(&context(), Vec::new()).unwrap();
        writer.write_all(&message).unwrap();
        let sealed = writer.finish().unwrap();
        assert_eq!(holder.open(&context(), &sealed).unwrap(), message);
        let read = |sealed: &[u8]| -> io::Result<Vec<u8>> {
            let stream = SealedToStream::new(sealed)?;
            assert_eq!(stream.head().key_version(), ID);
            let mut message = Vec::new();
            stream.open(&holder, &context())?.read_to_end(&mut message)?;
            Ok(message)
        };
        assert_eq!(read(&sealed).unwrap(), message);
        for end in [0, 100, SEALED_TO_HEAD_LEN, SEALED_TO_HEAD_LEN + 50, sealed.len() - 1, sealed.len() - 70_000] {
            assert_eq!(read(&sealed[..end]).unwrap_err().kind(), io::ErrorKind::InvalidData, "cut at {end}");
        }
    }

    #[test]
    fn one_key_has_one_text() {
        let text = key(3).seal_to(name()).to_string();
        assert!(text.parse::<SealToKey>().is_ok());
        // The same content with a longer head of its first item.
        let bytes = BASE64URL_NOPAD.decode(&text.as_bytes()[TEXT_PREFIX.len()..]).unwrap();
        assert_eq!(bytes[..3], [0x84, 0x58, 0x20]);
        let longer = [&[0x84, 0x59, 0x00, 0x20], &bytes[3..]].concat();
        for other in [
            format!("{TEXT_PREFIX}{}", BASE64URL_NOPAD.encode(&longer)),
            text.replace("v1", "v2"),
            format!("{text}="),
            format!(" {text}"),
            format!("{text}\n"),
            text[..text.len() - 4].to_owned(),
            format!("{text}AAAA"),
            "bulla-seal-to:v1:".to_owned(),
            "A".repeat(MAX_TEXT_LEN + 1),
        ] {
            assert_ne!(other, text);
            assert_eq!(other.parse::<SealToKey>(), Err(ParseSealToKeyError), "{other}");
        }
        // An ML-KEM coefficient that is not reduced (FIPS 203 §7.2).
        let bytes = cbor::encode(|e| {
            e.array(4)?.bytes(&PROJECT.0)?.str("a")?.bytes(&ID.0)?.bytes(&[0xff; ENCRYPTION_KEY_LEN]).map(drop)
        });
        let text = format!("{TEXT_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes));
        assert_eq!(text.parse::<SealToKey>(), Err(ParseSealToKeyError));
    }
}
