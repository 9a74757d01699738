//! Tiles: how a tree is published (C2SP tlog-tiles).

use std::fmt;
use std::str::FromStr;

/// How wide a full tile is.
pub(in crate::audit) const WIDTH: u64 = 256;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of a level: those of leaves at 0, and above those of full tiles of the level below. At most 63.
    Hashes(u8),
    /// The leaves themselves: an entry bundle.
    Entries,
}

/// One tile of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// What it holds.
    pub kind: TileKind,
    /// Its place in its level.
    pub index: u64,
    /// How many hashes or entries it has: 1 to 256.
    pub width: u16,
}

impl Tile {
    /// Says whether it will not grow.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == 256
    }
}

/// Its path below the log's.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut groups = vec![self.index % 1_000];
        let mut rest = self.index / 1_000;
        while rest > 0 {
            groups.push(rest % 1_000);
            rest /= 1_000;
        }
        for group in groups[1..].iter().rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{:03}", groups[0])?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

impl FromStr for Tile {
    type Err = ParseTileError;

    fn from_str(path: &str) -> Result<Self, ParseTileError> {
        let (kind, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(ParseTileError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().map_err(|_| ParseTileError)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().map_err(|_| ParseTileError)?),
            None => (rest, 256),
        };
        let digits: String = index.split('/').map(|group| group.strip_prefix('x').unwrap_or(group)).collect();
        let index = digits.parse().map_err(|_| ParseTileError)?;
        let tile = Self { kind, index, width };
        let is_bounded = !matches!(kind, TileKind::Hashes(64..)) && (1..=256).contains(&width);
        // There is one way to write it.
        if is_bounded && tile.to_string() == path { Ok(tile) } else { Err(ParseTileError) }
    }
}

/// The text was no path of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the path of a tile")]
pub struct ParseTileError;

/// Lists the tiles and bundles that a tree of `size` has and one of `old` leaves does not: full ones, and the partial ones at its edge.
pub fn tiles_of(old: u64, size: u64) -> impl Iterator<Item = Tile> {
    let level = move |kind: TileKind, old: u64, size: u64| {
        let first = old / WIDTH;
        let full = (first..size / WIDTH).map(move |index| Tile { kind, index, width: 256 });
        let width = u16::try_from(size % WIDTH).unwrap_or_default();
        let is_new = width > 0 && (size / WIDTH > first || size > old);
        full.chain(is_new.then_some(Tile { kind, index: size / WIDTH, width }))
    };
    let hashes = (0..8_u8).flat_map(move |number| {
        let shift = 8 * u32::from(number);
        let [old, size] = [old, size].map(|len| len.checked_shr(shift).unwrap_or(0));
        level(TileKind::Hashes(number), old, size)
    });
    level(TileKind::Entries, old, size).chain(hashes)
}
