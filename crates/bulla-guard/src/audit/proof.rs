//! Proofs that an event is in a log, to be verified without it (C2SP tlog-proof).

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use super::error::{AuditError, Result};
use super::note::{Checkpoint, MAX_NOTE_LEN, NoteError, Origin, SignedNote, base64};
use super::tree::{Hash, leaf_hash, verify_inclusion};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes: one a bit of the size of a log.
const MAX_HASHES: usize = 64;

/// A proof that an event is in a log. Written and read as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    index: u64,
    hashes: Vec<Hash>,
    note: SignedNote,
}

impl Proof {
    pub(super) fn new(index: u64, hashes: Vec<Hash>, checkpoint: &Checkpoint) -> Self {
        Self { index, hashes, note: checkpoint.note().clone() }
    }

    /// Returns the index of the event, as the proof claims it.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Verifies that these are the stored bytes of the event at the index that it says, in the log of a machine. Returns the checkpoint that says so.
    ///
    /// # Errors
    /// [`AuditError::Note`] if the checkpoint is not the machine's; [`AuditError::Refused`] if the event is not in it.
    pub fn verify(&self, stored: &[u8], origin: &Origin) -> Result<Checkpoint> {
        let checkpoint = Checkpoint::open(self.note.clone(), origin)?;
        let leaf = leaf_hash(stored);
        if verify_inclusion(&leaf, self.index, checkpoint.size(), &self.hashes, checkpoint.root()) {
            Ok(checkpoint)
        } else {
            Err(AuditError::Refused("this event is not there"))
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}\nindex {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash)))?;
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for Proof {
    type Err = NoteError;

    fn from_str(text: &str) -> std::result::Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        if text.len() > 2 * MAX_NOTE_LEN {
            return Err(malformed);
        }
        let rest = text.strip_prefix(FIRST_LINE).and_then(|rest| rest.strip_prefix('\n')).ok_or(malformed)?;
        let (head, note) = rest.split_once("\n\n").ok_or(malformed)?;
        let mut lines = head.split('\n').peekable();
        if let Some(extra) = lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            base64(extra).ok_or(malformed)?;
            lines.next();
        }
        let digits = lines.next().and_then(|line| line.strip_prefix("index ")).ok_or(malformed)?;
        let index: u64 = digits.parse().map_err(|_| malformed)?;
        let mut hashes = Vec::new();
        for line in lines {
            let hash = base64(line).and_then(|hash| hash.try_into().ok()).ok_or(malformed)?;
            hashes.push(hash);
        }
        if index.to_string() != digits || hashes.len() > MAX_HASHES {
            return Err(malformed);
        }
        Ok(Self { index, hashes, note: SignedNote::parse(note.as_bytes())? })
    }
}
