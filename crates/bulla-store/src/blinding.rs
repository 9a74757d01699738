//! Names that the storage does not show (spec, "Blinded names").

use std::fmt;

use bulla_keyring::SystemVersion;
use bulla_seal::KeyVersionId;

use crate::StoreError;
use crate::name::MAX_NAME_LEN;

/// Length of what stands for one segment of a name, in bytes.
const SEGMENT_LEN: usize = 16;
/// Most segments of a name that is blinded.
pub const MAX_BLINDED_SEGMENTS: usize = MAX_NAME_LEN / SEGMENT_LEN;

const NAMES: &[u8] = b"bulla/store/name";
const CONTENTS: &[u8] = b"bulla/store/content";

/// What names and digests of one namespace are blinded with.
#[derive(Clone)]
pub(crate) struct Index(SystemVersion);

impl Index {
    pub(crate) fn new(version: SystemVersion) -> Self {
        Self(version)
    }

    pub(crate) fn id(&self) -> KeyVersionId {
        self.0.id()
    }

    /// Returns the name as it is stored: for each segment, which `/` ends, a part of the HMAC of the name up to there.
    pub(crate) fn blind(&self, name: &[u8]) -> Result<Vec<u8>, StoreError> {
        blind(|message| self.0.tag(message), name)
    }

    /// Returns what the stored names begin with of all entries whose names begin with `prefix`, which ends with `/` or is empty.
    pub(crate) fn blind_prefix(&self, prefix: &[u8]) -> Result<Vec<u8>, StoreError> {
        if !prefix.is_empty() && prefix.last() != Some(&b'/') {
            return Err(StoreError::BlindedPrefix);
        }
        let ends = prefix.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
        parts(|message| self.0.tag(message), prefix, ends)
    }

    /// Returns the digest of a value, which confirms no guess to whoever has not the key.
    pub(crate) fn digest(&self, value_digest: &[u8]) -> [u8; 32] {
        self.0.tag(&[CONTENTS, b"\0", value_digest].concat())
    }
}

/// Makes a stored name with the HMAC of a key.
pub(crate) fn blind(tag: impl Fn(&[u8]) -> [u8; 32], name: &[u8]) -> Result<Vec<u8>, StoreError> {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return Err(StoreError::InvalidName(name.len()));
    }
    let ends = name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
    parts(tag, name, ends.filter(|end| *end < name.len()).chain([name.len()]))
}

fn parts(
    tag: impl Fn(&[u8]) -> [u8; 32],
    name: &[u8],
    ends: impl Iterator<Item = usize>,
) -> Result<Vec<u8>, StoreError> {
    let mut stored = Vec::new();
    for end in ends {
        if stored.len() + SEGMENT_LEN > MAX_NAME_LEN {
            return Err(StoreError::BlindedSegments);
        }
        stored.extend_from_slice(&tag(&[NAMES, b"\0", &name[..end]].concat())[..SEGMENT_LEN]);
    }
    Ok(stored)
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Index(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands for a key: the segments show through.
    fn plain(message: &[u8]) -> [u8; 32] {
        bulla_seal::sha256(message)
    }

    #[test]
    fn names_share_what_their_segments_share() {
        let stored = |name: &[u8]| blind(plain, name).unwrap();
        let (a, ab, ac, b) = (stored(b"eu/"), stored(b"eu/1"), stored(b"eu/2"), stored(b"us/1"));
        assert_eq!([a.len(), ab.len(), ac.len(), b.len()], [16, 32, 32, 32]);
        assert!(ab.starts_with(&a) && ac.starts_with(&a) && ab != ac);
        assert!(!b.starts_with(&a) && b[16..] != ab[16..], "the same segment elsewhere is another");
        assert_ne!(stored(b"eu"), a, "a segment that goes on is another than one that ends the name");
    }

    #[test]
    fn only_so_many_segments_are_taken() {
        assert_eq!(blind(plain, &[b'/'; MAX_BLINDED_SEGMENTS]).unwrap().len(), MAX_NAME_LEN);
        assert!(matches!(blind(plain, &[b'/'; MAX_BLINDED_SEGMENTS + 1]), Err(StoreError::BlindedSegments)));
        assert!(matches!(blind(plain, b""), Err(StoreError::InvalidName(0))));
        assert!(matches!(blind(plain, &[0; MAX_NAME_LEN + 1]), Err(StoreError::InvalidName(_))));
        assert_eq!(blind(plain, &[0; MAX_NAME_LEN]).unwrap().len(), SEGMENT_LEN);
    }
}
