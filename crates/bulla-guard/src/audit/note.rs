//! Signed notes, and checkpoints in them (C2SP signed-note and tlog-checkpoint).

use std::fmt;
use std::str::FromStr;

use bulla_keyring::{Fingerprint, PublicIdentity};
use bulla_seal::{ProjectId, SealError, Signature, SigningKey, VerifyingKey, sha256};
use data_encoding::{BASE64, HEXLOWER};

use super::tree::Hash;

/// Longest note that is read, in bytes.
pub const MAX_NOTE_LEN: usize = 65_536;
/// Most signatures of a note.
pub const MAX_SIGNATURES: usize = 64;

const ED25519: u8 = 1;
const MARK: &str = "— ";

/// Why a note is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It has not the form of one.
    #[error("not a signed note")]
    Malformed,
    /// No known key has signed it.
    #[error("signed by no known key")]
    Unsigned,
    /// A known key has not signed this.
    #[error("a signature does not verify: the note was altered")]
    Altered,
    /// It is a genuine note of another log.
    #[error("the checkpoint of another log")]
    Foreign,
}

impl NoteError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsigned => "unsigned",
            Self::Altered => "altered",
            Self::Foreign => "foreign",
        }
    }
}

/// Whose signatures on notes are believed: a name and an Ed25519 key. Written `name+id+key`, as others' tools do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    key: VerifyingKey,
}

impl NoteKey {
    /// Takes a name and a key; `None` if the name is empty, or has spaces, control characters or `+`.
    #[must_use]
    pub fn new(name: &str, key: VerifyingKey) -> Option<Self> {
        is_name(name).then(|| Self { name: name.to_owned(), key })
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the id: the first bytes of a hash of name and key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let hash = sha256(&[self.name.as_bytes(), &[b'\n', ED25519], &self.key.0].concat());
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

/// Decodes the one form that bytes have: the library also takes several encodings behind each other, each with its padding.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok().filter(|bytes| BASE64.encode(bytes) == text)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.contains(|character: char| character.is_whitespace() || character.is_control() || character == '+')
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = BASE64.encode(&[&[ED25519], &self.key.0[..]].concat());
        write!(f, "{}+{}+{key}", self.name, HEXLOWER.encode(&self.id()))
    }
}

impl FromStr for NoteKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.splitn(3, '+');
        let [Some(name), Some(_), Some(key)] = [(); 3].map(|()| parts.next()) else { return Err(NoteError::Malformed) };
        let key = BASE64.decode(key.as_bytes()).map_err(|_| NoteError::Malformed)?;
        let key = key.strip_prefix(&[ED25519]).and_then(|key| key.try_into().ok()).ok_or(NoteError::Malformed)?;
        let key = Self::new(name, VerifyingKey(key)).ok_or(NoteError::Malformed)?;
        if key.to_string() == text { Ok(key) } else { Err(NoteError::Malformed) }
    }
}

/// A text that somebody has signed. Nothing of it is to be believed before it was opened with keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<(String, Vec<u8>)>,
}

impl SignedNote {
    /// Signs a text, which ends in a line feed.
    ///
    /// # Errors
    /// [`SealError::Library`] if the cryptographic library fails.
    pub fn sign(text: String, name: &str, key: &SigningKey) -> Result<Self, SealError> {
        let signature = key.sign(text.as_bytes())?;
        let name_key = NoteKey { name: name.to_owned(), key: key.verifying_key() };
        let signature = [&name_key.id()[..], &signature.0].concat();
        Ok(Self { text, signatures: vec![(name_key.name, signature)] })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] if it has not the form of one.
    pub fn parse(note: &[u8]) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_LEN {
            return Err(NoteError::Malformed);
        }
        let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed)?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NoteError::Malformed);
        }
        let split = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, lines) = (&note[..=split], &note[split + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            let (name, signature) =
                line.strip_prefix(MARK).and_then(|line| line.split_once(' ')).ok_or(NoteError::Malformed)?;
            let signature = base64(signature).ok_or(NoteError::Malformed)?;
            if !is_name(name) || signature.len() < 5 || signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::Malformed);
            }
            signatures.push((name.to_owned(), signature));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// Returns the text, once one of the keys has signed it and none of them contradicts.
    ///
    /// # Errors
    /// [`NoteError::Unsigned`] if none has; [`NoteError::Altered`] if a signature of one does not verify.
    pub fn open(&self, keys: &[NoteKey]) -> Result<&str, NoteError> {
        let mut is_signed = false;
        for (name, signature) in &self.signatures {
            let (id, signature) = signature.split_at(4);
            let Some(key) = keys.iter().find(|key| key.name == *name && key.id() == *id) else { continue };
            let signature = signature.try_into().map_err(|_| NoteError::Altered)?;
            if !key.key.verifies(self.text.as_bytes(), &Signature(signature)) {
                return Err(NoteError::Altered);
            }
            is_signed = true;
        }
        if is_signed { Ok(&self.text) } else { Err(NoteError::Unsigned) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|(name, signature)| writeln!(f, "{MARK}{name} {}", BASE64.encode(signature)))
    }
}

/// Which log: that of one machine in one project, and the key that its checkpoints are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(NoteKey);

impl Origin {
    /// Names the log of a machine.
    #[must_use]
    pub fn of(project: &ProjectId, machine: &PublicIdentity) -> Self {
        Self::from_parts(project, machine.fingerprint(), machine.signing())
    }

    pub(super) fn from_parts(project: &ProjectId, machine: Fingerprint, key: VerifyingKey) -> Self {
        Self(NoteKey { name: format!("{}/{machine}", HEXLOWER.encode(&project.0)), key })
    }

    /// Takes a line, which is any name that a note can have, and a key: for logs of others, and tests.
    #[must_use]
    pub fn new(line: &str, key: VerifyingKey) -> Option<Self> {
        NoteKey::new(line, key).map(Self)
    }

    /// Returns the line: project and fingerprint.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.0.name
    }

    /// Returns the key, as tools for notes take it.
    #[must_use]
    pub fn note_key(&self) -> &NoteKey {
        &self.0
    }
}

/// What a log was at some moment, as its machine has signed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    size: u64,
    root: Hash,
    note: SignedNote,
}

impl Checkpoint {
    pub(super) fn sign(origin: &Origin, size: u64, root: Hash, key: &SigningKey) -> Result<Self, SealError> {
        let text = format!("{}\n{size}\n{}\n", origin.line(), BASE64.encode(&root));
        Ok(Self { size, root, note: SignedNote::sign(text, origin.line(), key)? })
    }

    /// Reads a checkpoint, and verifies that the machine of `origin` has signed it.
    ///
    /// # Errors
    /// [`NoteError`], as it says; [`NoteError::Foreign`] if the machine has signed it for another log.
    pub fn read(note: &[u8], origin: &Origin) -> Result<Self, NoteError> {
        Self::open(SignedNote::parse(note)?, origin)
    }

    pub(super) fn open(note: SignedNote, origin: &Origin) -> Result<Self, NoteError> {
        let text = note.open(std::slice::from_ref(&origin.0))?;
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Malformed)?.split('\n');
        let [Some(line), Some(size), Some(root), None] = [(); 4].map(|()| lines.next()) else {
            return Err(NoteError::Malformed);
        };
        if line != origin.line() {
            return Err(NoteError::Foreign);
        }
        let number: u64 = size.parse().map_err(|_| NoteError::Malformed)?;
        let root = base64(root).and_then(|root| root.try_into().ok()).ok_or(NoteError::Malformed)?;
        if number.to_string() != size {
            return Err(NoteError::Malformed);
        }
        Ok(Self { size: number, root, note })
    }

    pub(super) const fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Returns how many events there were.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root of their tree.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }
}

/// The signed note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_form_in_base64() {
        assert_eq!(base64("AAECAwQ=").as_deref(), Some(&[0, 1, 2, 3, 4][..]));
        for other in ["AA==AQ==", "AAECAwQ", "AAECAwR=", "AAEC AwQ=", "AAECAwQ=="] {
            assert_eq!(base64(other), None, "{other}");
        }
    }
}
