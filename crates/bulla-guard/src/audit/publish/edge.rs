//! The right edge of a tree: its partial tiles.

use crate::audit::tree::{Frontier, Hash, Tile, TileKind};

/// The hashes of the partial tile of each level, from the leaves up.
#[derive(Debug, Clone, Default)]
pub(super) struct Edge {
    levels: Vec<Vec<Hash>>,
    len: u64,
}

impl Edge {
    /// Begins with no leaves.
    pub(super) const fn new() -> Self {
        Self { levels: Vec::new(), len: 0 }
    }

    /// Takes what was published.
    pub(super) fn of(levels: Vec<Vec<Hash>>) -> Self {
        let len = levels.iter().rev().fold(0_u64, |len, level| (len << 8) + level.len() as u64);
        Self { levels, len }
    }

    /// Returns how many leaves the tree has.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Returns the hashes of the partial tile of a level.
    pub(super) fn level(&self, level: u8) -> &[Hash] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Appends the hash of a leaf, and returns the tiles that are full by it.
    pub(super) fn push(&mut self, leaf: Hash) -> Vec<(Tile, Vec<Hash>)> {
        self.len += 1;
        let (mut full, mut hash) = (Vec::new(), leaf);
        for level in 0..8_u8 {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[usize::from(level)];
            hashes.push(hash);
            if hashes.len() < 256 {
                break;
            }
            let hashes = std::mem::take(hashes);
            let index = (self.len >> (8 * (u32::from(level) + 1))) - 1;
            hash = root_of(&hashes);
            full.push((Tile { kind: TileKind::Hashes(level), index, width: 256 }, hashes));
        }
        full
    }

    /// Returns the root of the tree.
    pub(super) fn root(&self) -> Hash {
        // From the top down, the hashes of a level make up perfect subtrees, and those of all levels are the tree's.
        let mut peaks = Vec::new();
        for level in self.levels.iter().rev() {
            let mut tree = Frontier::new();
            level.iter().for_each(|hash| tree.push_hash(*hash));
            peaks.extend_from_slice(tree.peaks());
        }
        Frontier::from_peaks(self.len, peaks).map_or([0; 32], |tree| tree.root())
    }
}

fn root_of(hashes: &[Hash]) -> Hash {
    let mut tree = Frontier::new();
    hashes.iter().for_each(|hash| tree.push_hash(*hash));
    tree.root()
}
