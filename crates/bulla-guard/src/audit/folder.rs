//! The folder of a local log, and how it is read from one end to the other.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_backend::{Disk, DiskFile, OpenMode};
use data_encoding::HEXLOWER;

use super::error::{AuditError, Result};
use super::frame::{self, Frames, Next};
use super::note::{Checkpoint, MAX_NOTE_LEN, Origin};
use super::segment::Header;
use super::tree::Frontier;

const CHECKPOINT: &str = "checkpoint";
const CHECKPOINT_NEW: &str = "checkpoint.new";
const SEGMENT: &str = "segment-";
const PROCESS: &str = "process-";

/// Where the files of a log lie, and whose log it is.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
    pub(super) origin: Origin,
}

/// A segment that counts.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) header: Header,
    /// Where its events begin.
    pub(super) begin: u64,
    /// Where they end, as the next one says; the last ends where its file does.
    pub(super) end: Option<u64>,
}

/// A place between two events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ordinal: u64,
    pub(super) offset: u64,
    /// The tree of all events before.
    pub(super) tree: Frontier,
}

impl Folder {
    pub(super) fn segment_path(&self, ordinal: u64) -> PathBuf {
        self.path.join(format!("{SEGMENT}{ordinal:010}"))
    }

    pub(super) fn process_path(&self, process: [u8; 8]) -> PathBuf {
        self.path.join(format!("{PROCESS}{}", HEXLOWER.encode(&process)))
    }

    /// Lists the files that processes hold locked while they live.
    pub(super) fn process_paths(&self) -> Result<Vec<PathBuf>> {
        let names = self.disk.list(&self.path).map_err(|error| self.failure("list the audit log", &error))?;
        let is_process = |name: &std::ffi::OsString| name.to_str().is_some_and(|name| name.starts_with(PROCESS));
        Ok(names.into_iter().filter(is_process).map(|name| self.path.join(name)).collect())
    }

    pub(super) fn failure(&self, operation: &'static str, error: &io::Error) -> AuditError {
        AuditError::io(operation, self.path.display(), error)
    }

    /// Lists the ordinals of the segments that there are, in order.
    pub(super) fn ordinals(&self) -> Result<Vec<u64>> {
        let names = match self.disk.list(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(|error| self.failure("list the audit log", &error))?,
        };
        let ordinal = |name: &str| name.strip_prefix(SEGMENT).filter(|digits| digits.len() == 10)?.parse().ok();
        let mut ordinals: Vec<u64> = names.iter().filter_map(|name| ordinal(name.to_str()?)).collect();
        ordinals.sort_unstable();
        Ok(ordinals)
    }

    pub(super) fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>> {
        let opened = self.disk.open(path, mode);
        opened.map(Arc::from).map_err(|error| AuditError::io("open a file of the audit log", path.display(), &error))
    }

    /// Reads the last checkpoint, if there is one.
    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let path = self.path.join(CHECKPOINT);
        let failure = |error: io::Error| AuditError::io("read the checkpoint", path.display(), &error);
        let file = match self.disk.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failure)?,
        };
        let mut note = vec![0; MAX_NOTE_LEN + 1];
        let len = file.read_at(0, &mut note).map_err(failure)?;
        let read = Checkpoint::read(&note[..len], &self.origin);
        read.map(Some).map_err(|error| AuditError::Altered(format!("`{}`: {error}", path.display())))
    }

    /// Puts a checkpoint in the place of the last one.
    pub(super) fn write_checkpoint(&self, checkpoint: &Checkpoint) -> Result<()> {
        let new = self.path.join(CHECKPOINT_NEW);
        let write = || -> io::Result<()> {
            let file = self.disk.open(&new, OpenMode::Create)?;
            file.set_len(0)?;
            file.write_at(0, checkpoint.to_string().as_bytes())?;
            file.sync()?;
            self.disk.rename(&new, &self.path.join(CHECKPOINT))?;
            self.disk.sync_folder(&self.path)
        };
        write().map_err(|error| AuditError::io("write the checkpoint", new.display(), &error))
    }

    /// Reads the header of a segment; `None` if there is no whole one. Fails if it is that of another.
    pub(super) fn header(&self, ordinal: u64) -> Result<Option<(Header, Frames)>> {
        let path = self.segment_path(ordinal);
        let file = self.open(&path, OpenMode::Read)?;
        let failure = |error: io::Error| AuditError::io("read a segment of the audit log", path.display(), &error);
        // It is checked under the index of its first event, which only it says: look at it without the check sum first.
        let mut head = vec![0; 8 + frame::MAX_FRAME_LEN];
        let len = file.read_at(0, &mut head).map_err(failure)?;
        head.truncate(len);
        let Some((word, rest)) = head.split_first_chunk::<8>() else { return Ok(None) };
        let content = u32::from_be_bytes([word[0], word[1], word[2], word[3]]) as usize;
        let Some(header) = rest.get(..content).and_then(Header::parse) else { return Ok(None) };
        let mut frames = Frames::new(file, 0, None);
        if !matches!(frames.next(header.tree.len()).map_err(failure)?, Next::Frame(_)) {
            return Ok(None);
        }
        if header.origin != self.origin.line() || header.ordinal != ordinal {
            return Err(AuditError::Altered(format!("`{}` is a segment of another place", path.display())));
        }
        Ok(Some((header, frames)))
    }

    /// Reads the headers of all segments. The second is the ordinal of a last segment that has no whole header.
    pub(super) fn parts(&self) -> Result<(Vec<Part>, Option<u64>)> {
        let ordinals = self.ordinals()?;
        let mut parts = Vec::<Part>::new();
        for (wanted, ordinal) in (0..).zip(&ordinals) {
            if wanted != *ordinal {
                return Err(AuditError::Truncated(format!("segment {wanted} is missing")));
            }
            let Some((header, frames)) = self.header(*ordinal)? else {
                if ordinals.last() == Some(ordinal) {
                    return Ok((parts, Some(*ordinal)));
                }
                return Err(AuditError::Altered(format!("segment {ordinal} has no whole header")));
            };
            if let Some(last) = parts.last_mut() {
                last.end = Some(header.previous);
            } else if header.previous != 0 || !header.tree.is_empty() {
                return Err(AuditError::Altered("the first segment is not a first one".to_owned()));
            }
            parts.push(Part { header, begin: frames.offset(), end: None });
        }
        Ok((parts, None))
    }

    /// Begins to read at the beginning of a part; the parts are some of [`Self::parts`], in order and without a gap.
    pub(super) fn scan(&self, parts: Vec<Part>) -> Scan<'_> {
        let tree = parts.first().map_or_else(Frontier::new, |part| part.header.tree.clone());
        Scan { folder: self, parts: parts.into_iter(), part: None, index: tree.len(), tree: Some(tree), is_torn: false }
    }
}

/// Reads events in order, through all segments.
#[derive(Debug)]
pub(super) struct Scan<'f> {
    folder: &'f Folder,
    parts: std::vec::IntoIter<Part>,
    part: Option<(Part, Frames)>,
    index: u64,
    /// `None` if the hashes are of no interest.
    tree: Option<Frontier>,
    is_torn: bool,
}

impl Scan<'_> {
    /// Leaves out the hashes, and all that they would show.
    pub(super) fn without_tree(mut self) -> Self {
        self.tree = None;
        self
    }

    /// Goes on from a place in the first of the parts.
    pub(super) fn at_place(mut self, place: &Place) -> Result<Self> {
        if let Some(part) = self.parts.next() {
            let file = self.folder.open(&self.folder.segment_path(part.header.ordinal), OpenMode::Read)?;
            let frames = Frames::new(file, place.offset, part.end);
            self.part = Some((part, frames));
        }
        self.index = place.tree.len();
        self.tree = Some(place.tree.clone());
        Ok(self)
    }

    /// Returns where it is, if it has begun.
    pub(super) fn place(&self) -> Option<Place> {
        let (part, frames) = self.part.as_ref()?;
        Some(Place { ordinal: part.header.ordinal, offset: frames.offset(), tree: self.tree.clone()? })
    }

    /// Returns the tree of what was read.
    pub(super) fn tree(&self) -> Option<&Frontier> {
        self.tree.as_ref()
    }

    /// Says whether the last segment ended with something that is no whole frame.
    pub(super) const fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Reads the next event: its index, and its stored bytes.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        loop {
            let Some((part, frames)) = &mut self.part else {
                if self.advance()? {
                    continue;
                }
                return Ok(None);
            };
            let (ordinal, end, folder) = (part.header.ordinal, part.end, self.folder);
            let failure = |error: io::Error| {
                AuditError::io("read a segment of the audit log", folder.segment_path(ordinal).display(), &error)
            };
            match frames.next(self.index).map_err(failure)? {
                Next::Frame(bytes) => {
                    let bytes = bytes.to_vec();
                    if let Some(tree) = &mut self.tree {
                        tree.push(&bytes);
                    }
                    self.index += 1;
                    return Ok(Some((self.index - 1, bytes)));
                }
                Next::End(at) if end.is_some_and(|end| at < end) => {
                    return Err(AuditError::Truncated(format!("segment {ordinal} ends before event {}", self.index)));
                }
                Next::End(_) => {
                    if end.is_none() || !self.advance()? {
                        return Ok(None);
                    }
                }
                Next::Bad if end.is_none() => {
                    self.is_torn = true;
                    return Ok(None);
                }
                Next::Bad => return Err(AuditError::Altered(format!("event {} in segment {ordinal}", self.index))),
            }
        }
    }

    /// Goes on to the next part; says whether there is one.
    fn advance(&mut self) -> Result<bool> {
        let Some(part) = self.parts.next() else { return Ok(false) };
        let ordinal = part.header.ordinal;
        let fits = self.tree.as_ref().is_none_or(|tree| *tree == part.header.tree);
        if part.header.tree.len() != self.index || !fits {
            return Err(AuditError::Altered(format!("segment {ordinal} does not fit the events before it")));
        }
        let file = self.folder.open(&self.folder.segment_path(ordinal), OpenMode::Read)?;
        let frames = Frames::new(file, part.begin, part.end);
        self.part = Some((part, frames));
        Ok(true)
    }
}
