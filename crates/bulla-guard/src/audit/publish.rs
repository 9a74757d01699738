//! Publishing a log, so that other machines can verify it (`spec/audit.md`, "Publication").

mod edge;
mod published;

use std::collections::BTreeMap;

use bulla_backend::{BackendError, Collection, DocumentKey, Documents, Durability, ErrorKind, Expected, ListQuery};

use self::edge::Edge;
pub use self::published::{PublishedLog, verify_machines};
use super::error::{AuditError, Result};
use super::note::{Checkpoint, Origin};
use super::reader::LogReader;
use super::tree::{Hash, Tile, TileKind, leaf_hash, tiles_of};

/// Where published logs, and what witnesses have seen, are kept.
pub(super) const COLLECTION: Collection = Collection::new("audit", Durability::Durable);
/// How many bytes a document holds of what is longer.
const PIECE: usize = 65_536;
const WIDTH: u64 = 256;

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Publication {
    /// How many events are published by now.
    pub size: u64,
    /// How many tiles and bundles were written for that.
    pub tiles: u64,
}

/// Publishes what the last checkpoint covers, and what is not published yet. May be killed anywhere, and done by several processes at once.
///
/// # Errors
/// [`AuditError::Altered`] and [`AuditError::Truncated`] if what is published is not the beginning of the log: somebody has rolled back or changed
/// one of the two. As [`LogReader::verify`] and [`AuditError::Storage`] if one cannot be read, or the backend not be written.
pub async fn publish(log: &LogReader, documents: &dyn Documents) -> Result<Publication> {
    let shelf = Shelf { documents, origin: log.origin() };
    // What is published is looked at first: another process may publish what this one sees a moment later.
    let there = shelf.checkpoint().await?;
    let checkpoint = log.checkpoint()?;
    let (old, revision) = there.map_or((None, Expected::Absent), |(old, expected)| (Some(old), expected));
    let mut edge = Edge::new();
    if let Some(old) = &old {
        if old.size() > checkpoint.size() {
            let what = format!("{} events are published, {} are signed here", old.size(), checkpoint.size());
            return Err(AuditError::Truncated(what));
        }
        edge = shelf.edge(old).await?;
    }
    let from = edge.len();
    let publication = Publication { size: checkpoint.size(), tiles: 0 };
    if from == checkpoint.size() && old.is_some() {
        return if edge.root() == *checkpoint.root() { Ok(publication) } else { Err(altered(from)) };
    }
    let tiles = shelf.write_tiles(log, &mut edge, &checkpoint).await?;
    match shelf.write(&shelf.key("checkpoint")?, checkpoint.to_string().as_bytes(), revision).await {
        // Another process has published meanwhile; it is held to the log as we are.
        Err(error) if error.kind() == ErrorKind::Conflict => {}
        written => written.map_err(|error| AuditError::backend("publish the audit log", &error))?,
    }
    shelf.clear(from, checkpoint.size()).await?;
    Ok(Publication { tiles, ..publication })
}

fn altered(size: u64) -> AuditError {
    AuditError::Altered(format!("the {size} events that are published are not those of this log"))
}

/// The documents of one log.
struct Shelf<'d> {
    documents: &'d dyn Documents,
    origin: &'d Origin,
}

impl Shelf<'_> {
    fn failure(error: &BackendError) -> AuditError {
        AuditError::backend("read a published audit log", error)
    }

    fn key(&self, path: &str) -> Result<DocumentKey> {
        key(&format!("log/{}/{path}", self.origin.line()))
    }

    /// Reads the checkpoint that is published, and what a writer of the next one has to expect.
    async fn checkpoint(&self) -> Result<Option<(Checkpoint, Expected)>> {
        let found =
            self.documents.get(COLLECTION, &self.key("checkpoint")?).await.map_err(|error| Self::failure(&error))?;
        let Some(document) = found else { return Ok(None) };
        let read = Checkpoint::read(&document.value, self.origin);
        let checkpoint = read.map_err(|error| AuditError::Altered(format!("the published checkpoint: {error}")))?;
        Ok(Some((checkpoint, Expected::Revision(document.revision))))
    }

    /// Reads what has one or several documents.
    async fn read(&self, path: &str, longest: usize) -> Result<Option<Vec<u8>>> {
        let mut whole = Vec::new();
        for number in 0.. {
            let key = self.key(&piece(path, number))?;
            let found = self.documents.get(COLLECTION, &key).await.map_err(|error| Self::failure(&error))?;
            let Some(document) = found else {
                return if number == 0 { Ok(None) } else { Err(AuditError::Truncated(format!("`{path}` ends early"))) };
            };
            whole.extend_from_slice(&document.value);
            if document.value.len() != PIECE {
                break;
            }
            if whole.len() > longest {
                return Err(AuditError::Altered(format!("`{path}` is longer than it can be")));
            }
        }
        Ok(Some(whole))
    }

    /// Reads a tile; a partial one, from the full one if that is there by now.
    async fn tile(&self, tile: Tile) -> Result<Vec<u8>> {
        let longest = 256 * (2 + super::logged::MAX_EVENT_LEN);
        if let Some(found) = self.read(&tile.to_string(), longest).await? {
            return Ok(found);
        }
        let full = Tile { width: 256, ..tile };
        let missing = || AuditError::Truncated(format!("`{tile}` is missing"));
        self.read(&full.to_string(), longest).await?.ok_or_else(missing)
    }

    /// Reads the hashes of a tile, as many as it has.
    async fn hashes(&self, tile: Tile) -> Result<Vec<Hash>> {
        let bytes = self.tile(tile).await?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        match hashes.get(..tile.width.into()) {
            Some(hashes) if rest.is_empty() => Ok(hashes.to_vec()),
            _ => Err(AuditError::Altered(format!("`{tile}` is no tile"))),
        }
    }

    /// Reads the right edge of the tree that is published, and holds it to its checkpoint.
    async fn edge(&self, checkpoint: &Checkpoint) -> Result<Edge> {
        let (mut levels, size) = (Vec::new(), checkpoint.size());
        for level in 0..8_u8 {
            let hashes = size >> (8 * u32::from(level));
            let width = u16::try_from(hashes % WIDTH).unwrap_or_default();
            let tile = Tile { kind: TileKind::Hashes(level), index: hashes / WIDTH, width };
            levels.push(if width == 0 { Vec::new() } else { self.hashes(tile).await? });
        }
        let edge = Edge::of(levels);
        if edge.len() == size && edge.root() == *checkpoint.root() {
            Ok(edge)
        } else {
            Err(AuditError::Altered("the published tiles are not those that were signed".to_owned()))
        }
    }

    /// Writes what the log has behind an edge, which becomes that of the checkpoint.
    async fn write_tiles(&self, log: &LogReader, edge: &mut Edge, checkpoint: &Checkpoint) -> Result<u64> {
        let (from, size) = (edge.len(), checkpoint.size());
        let first = from / WIDTH * WIDTH;
        let (mut bundle, mut written) = (Vec::new(), 0);
        let mut known = edge.level(0).to_vec().into_iter();
        let mut events = log.events(first)?;
        for index in first..size {
            let missing = || AuditError::Truncated(format!("{size} events were signed, {index} are there"));
            let stored = events.next().transpose()?.ok_or_else(missing)?;
            let hash = leaf_hash(&stored.bytes);
            bundle.extend_from_slice(&u16::try_from(stored.bytes.len()).map_err(|_| altered(size))?.to_be_bytes());
            bundle.extend_from_slice(&stored.bytes);
            if index < from {
                if known.next() != Some(hash) {
                    return Err(altered(from));
                }
            } else {
                for (tile, hashes) in edge.push(hash) {
                    written += self.put(tile, hashes.concat()).await?;
                }
            }
            if (index + 1) % WIDTH == 0 {
                let tile = Tile { kind: TileKind::Entries, index: index / WIDTH, width: 256 };
                written += self.put(tile, std::mem::take(&mut bundle)).await?;
            }
        }
        if edge.root() != *checkpoint.root() {
            return Err(AuditError::Altered(format!("the first {size} events are not those that were signed")));
        }
        for tile in tiles_of(from, size).filter(|tile| !tile.is_full()) {
            written += match tile.kind {
                TileKind::Entries => self.put(tile, std::mem::take(&mut bundle)).await?,
                TileKind::Hashes(level) => self.put(tile, edge.level(level).concat()).await?,
            };
        }
        Ok(written)
    }

    /// Writes a tile; it is the same whoever writes it.
    async fn put(&self, tile: Tile, bytes: Vec<u8>) -> Result<u64> {
        let written = self.write(&self.key(&tile.to_string())?, &bytes[..bytes.len().min(PIECE)], Expected::Any).await;
        written.map_err(|error| AuditError::backend("publish the audit log", &error))?;
        let mut rest = &bytes[bytes.len().min(PIECE)..];
        // One more follows whatever fills its document.
        for number in 1..=bytes.len() / PIECE {
            let (now, later) = rest.split_at(rest.len().min(PIECE));
            let written = self.write(&self.key(&piece(&tile.to_string(), number))?, now, Expected::Any).await;
            written.map_err(|error| AuditError::backend("publish the audit log", &error))?;
            rest = later;
        }
        Ok(1)
    }

    async fn write(
        &self,
        key: &DocumentKey,
        bytes: &[u8],
        expected: Expected,
    ) -> std::result::Result<(), BackendError> {
        self.documents.put(COLLECTION, key, bytes, expected).await.map(drop)
    }

    /// Deletes partial tiles of which the full ones are there now.
    async fn clear(&self, old: u64, size: u64) -> Result<()> {
        let mut grown = BTreeMap::new();
        for tile in tiles_of(old, size).filter(Tile::is_full) {
            // Only the first of each level was there in part.
            grown.entry(tile.kind).or_insert(tile);
        }
        for tile in grown.into_values() {
            let prefix = format!("log/{}/{tile}.p/", self.origin.line()).into_bytes();
            let query = ListQuery { prefix, ..ListQuery::default() };
            loop {
                let page = self.documents.list(COLLECTION, &query).await.map_err(|error| Self::failure(&error))?;
                for document in &page.documents {
                    let deleted = self.documents.delete(COLLECTION, &document.key, Expected::Any).await;
                    deleted.map_err(|error| AuditError::backend("publish the audit log", &error))?;
                }
                if page.next.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

pub(super) fn key(text: &str) -> Result<DocumentKey> {
    DocumentKey::new(text.as_bytes()).map_err(|error| AuditError::backend("name a document", &error))
}

fn piece(path: &str, number: usize) -> String {
    if number == 0 { path.to_owned() } else { format!("{path}+{number}") }
}
