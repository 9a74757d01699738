//! The Merkle tree of RFC 6962 §2.1, with SHA-256.

mod proof;
mod tile;

use bulla_seal::{Sha256, sha256};

pub use proof::{consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};
pub use tile::{Tile, TileKind, tiles_of};

/// A hash of the tree.
pub type Hash = [u8; 32];

/// Returns the hash of a leaf: an event's stored bytes.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(&[0]);
    hash.update(leaf);
    hash.finish()
}

pub(super) fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

/// What has to be known of a tree to go on with it: the roots of the perfect subtrees that it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    len: u64,
    /// Largest first: one for each bit of `len` that is set.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Begins with no leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { len: 0, peaks: Vec::new() }
    }

    /// Takes what another has given out; `None` unless there are as many peaks as `len` has bits that are set.
    #[must_use]
    pub fn from_peaks(len: u64, peaks: Vec<Hash>) -> Option<Self> {
        (peaks.len() == len.count_ones() as usize).then_some(Self { len, peaks })
    }

    /// Returns how many leaves there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Says whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the roots of the perfect subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: &[u8]) {
        self.push_hash(leaf_hash(leaf));
    }

    /// Appends a leaf of which the hash is known.
    pub fn push_hash(&mut self, mut hash: Hash) {
        for _ in 0..self.len.trailing_ones() {
            // There is a peak for each bit of the length.
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        self.peaks.push(hash);
        self.len += 1;
    }

    /// Returns the root.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return sha256(&[]) };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}
