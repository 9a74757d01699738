use bulla_backend::DocumentKey;

use crate::Fingerprint;
use crate::cbor::{self, Malformed, Reader};

/// Length of a data key wrapped by HPKE: the encapsulated key, the 32 bytes, and the tag.
pub const WRAPPED_LEN: usize = 1_120 + 32 + 16;

const VERSION: u64 = 1;
const KIND_XWING: &str = "xwing";

/// A data key, wrapped to one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// Epoch of the data key.
    pub epoch: u64,
    /// The machine that can unwrap it.
    pub machine: Fingerprint,
    /// The encapsulated key and the ciphertext.
    pub wrapped: Box<[u8; WRAPPED_LEN]>,
}

impl Wrap {
    /// Reads the stored form, or returns `None` if it is not exactly as the format says.
    #[must_use]
    pub fn decode(stored: &[u8]) -> Option<Self> {
        Self::read(stored).ok().filter(|wrap| wrap.encode() == stored)
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(|e| {
            e.array(5)?.u64(VERSION)?.str(KIND_XWING)?.u64(self.epoch)?;
            e.bytes(&self.machine.0)?.bytes(self.wrapped.as_slice()).map(drop)
        })
    }

    fn read(stored: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(stored);
        r.array(5)?;
        if r.uint()? != VERSION || r.text()? != KIND_XWING {
            return Err(Malformed);
        }
        let epoch = r.uint()?;
        let machine = Fingerprint(r.fixed()?);
        Ok(Self { epoch, machine, wrapped: Box::new(r.fixed()?) })
    }
}

/// Returns where a machine's copy of the data key with this commitment is stored. Two data keys never share a place, so that nobody's copy
/// takes the place of another's.
pub(crate) fn wrap_key(machine: Fingerprint, epoch: u64, commitment: &[u8; 32]) -> bulla_backend::Result<DocumentKey> {
    DocumentKey::new([&machine.0[..], &epoch.to_be_bytes(), commitment].concat())
}

/// Returns how the places of a machine's copies begin.
pub(crate) fn wrap_prefix(machine: Fingerprint) -> Vec<u8> {
    machine.0.to_vec()
}
