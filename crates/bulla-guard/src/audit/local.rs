//! The log on this machine's disk, as one process of several writes it (`spec/audit.md`, "Local log").

mod follow;
mod open;

use std::collections::BTreeMap;
use std::sync::Arc;

use bulla_backend::{DiskFile, OpenMode};
use bulla_keyring::Identity;

pub(super) use self::open::{Opened, Start};
use super::error::{AuditError, Result};
use super::event::Phase;
use super::folder::{Folder, Part, Place};
use super::frame::{self, Frames, Next};
use super::logged::LoggedEvent;
use super::note::Checkpoint;
use super::segment::{Header, MAX_OPEN, OpenIntent};
use super::tree::Frontier;
use super::turn::{Note, Turn, Turnstile};

/// What one process knows of the log. All methods that take a [`Turn`] have it to themselves.
#[derive(Debug)]
pub(super) struct Local {
    folder: Folder,
    turnstile: Turnstile,
    identity: Arc<Identity>,
    process: [u8; 8],
    /// Held locked as long as this lives.
    _alive: Arc<dyn DiskFile>,
    segment_len: u64,
    /// The last segment, where it is known to be durable up to, and the events before.
    segment: Arc<dyn DiskFile>,
    at: Place,
    /// Intents that have no outcome yet.
    open: BTreeMap<u64, [u8; 8]>,
    /// Where the tree is known, at or before the last checkpoint.
    mark: Place,
    /// How many events the last checkpoint covers that this process knows of.
    signed: u64,
}

/// An event, and its stored bytes.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) event: LoggedEvent,
    pub(super) stored: Vec<u8>,
}

impl From<LoggedEvent> for Ready {
    fn from(event: LoggedEvent) -> Self {
        Self { stored: event.encode(), event }
    }
}

/// Something that was no whole frame, and was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) index: u64,
    pub(super) bytes: u64,
    pub(super) digest: [u8; 32],
}

impl Local {
    pub(super) const fn process(&self) -> [u8; 8] {
        self.process
    }

    /// Returns how many events there are.
    pub(super) const fn len(&self) -> u64 {
        self.at.tree.len()
    }

    /// Returns how many events no checkpoint covers yet.
    pub(super) const fn unsigned(&self) -> u64 {
        self.at.tree.len().saturating_sub(self.signed)
    }

    /// Waits for a turn, and follows what others have done since. Says what had to be cut off.
    pub(super) fn enter(&mut self) -> Result<(Turn, Option<Cut>)> {
        let turn = self.turnstile.enter().map_err(|error| self.folder.failure("lock the audit log", &error))?;
        let cut = self.follow(&turn)?;
        Ok((turn, cut))
    }

    /// Appends events and makes them durable, all or none; returns the index of the first.
    pub(super) fn append(&mut self, turn: &Turn, events: &[&Ready]) -> Result<u64> {
        let first = self.len();
        let (mut frames, mut tree) = (Vec::new(), self.at.tree.clone());
        for Ready { stored, .. } in events {
            frame::write(&mut frames, tree.len(), stored);
            tree.push(stored);
        }
        let end = self.at.offset + frames.len() as u64;
        if end > self.segment_len && self.begins_with_events()? {
            self.begin_segment(turn, &frames, tree)?;
        } else {
            self.extend(turn, &frames, tree)?;
        }
        for (index, ready) in (first..).zip(events) {
            self.take_note_of(index, &ready.event);
        }
        Ok(first)
    }

    fn begins_with_events(&self) -> Result<bool> {
        let header = self.folder.header(self.at.ordinal)?;
        Ok(header.is_some_and(|(header, _)| header.tree.len() < self.len()))
    }

    /// Writes frames behind the others of the segment.
    fn extend(&mut self, turn: &Turn, frames: &[u8], tree: Frontier) -> Result<()> {
        let offset = self.at.offset;
        if let Err(error) = self.segment.write_at(offset, frames) {
            // What was written in part is nobody's; if it stays, the next writer finds it.
            let _ = self.segment.set_len(offset);
            return Err(self.folder.failure("write the audit log", &error));
        }
        if self.segment.sync().is_err() {
            let continued = self.continue_elsewhere(turn, frames, tree);
            if continued.is_err() {
                let _ = self
                    .folder
                    .open(&self.folder.segment_path(self.at.ordinal), OpenMode::Write)
                    .map(|file| file.set_len(offset));
            }
            return continued;
        }
        let place = Place { ordinal: self.at.ordinal, offset: offset + frames.len() as u64, tree };
        self.settle(turn, place);
        Ok(())
    }

    /// A sync has failed: nothing behind the last one is to be trusted here, and it goes on in a new segment.
    fn continue_elsewhere(&mut self, turn: &Turn, frames: &[u8], tree: Frontier) -> Result<()> {
        let Some((header, mut read)) = self.folder.header(self.at.ordinal)? else {
            return Err(AuditError::Altered(format!("segment {} has no whole header", self.at.ordinal)));
        };
        let mut found = header.tree;
        while read.offset() < self.at.offset {
            let next = read.next(found.len()).map_err(|error| self.folder.failure("read the audit log", &error))?;
            let Next::Frame(bytes) = next else {
                return Err(AuditError::Altered(format!("event {} in segment {}", found.len(), self.at.ordinal)));
            };
            found.push(bytes);
        }
        if found != self.at.tree || read.offset() != self.at.offset {
            return Err(AuditError::Altered(format!("segment {} is not what was written", self.at.ordinal)));
        }
        self.begin_segment(turn, frames, tree)
    }

    /// Begins a segment with frames in it.
    fn begin_segment(&mut self, turn: &Turn, frames: &[u8], tree: Frontier) -> Result<()> {
        let place = Self::write_segment(&self.folder, self.at.ordinal + 1, &self.at, &self.open, frames, tree)?;
        self.segment = self.folder.open(&self.folder.segment_path(place.ordinal), OpenMode::Write)?;
        self.settle(turn, place);
        Ok(())
    }

    /// Writes a new segment behind `at`, and makes it durable. If that fails in the middle, and its header is whole, the next writer follows it.
    fn write_segment(
        folder: &Folder,
        ordinal: u64,
        at: &Place,
        open: &BTreeMap<u64, [u8; 8]>,
        frames: &[u8],
        tree: Frontier,
    ) -> Result<Place> {
        // The oldest are left out, if there are so many.
        let open: Vec<OpenIntent> = open.iter().map(|(index, process)| (*index, *process)).collect();
        let open = open[open.len().saturating_sub(MAX_OPEN)..].to_vec();
        let header = Header {
            origin: folder.origin.line().to_owned(),
            ordinal,
            previous: at.offset,
            tree: at.tree.clone(),
            open,
        };
        let mut bytes = Vec::new();
        frame::write(&mut bytes, at.tree.len(), &header.encode());
        bytes.extend_from_slice(frames);
        let path = folder.segment_path(ordinal);
        let write = || {
            let file = folder.disk.open(&path, OpenMode::CreateNew)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            folder.disk.sync_folder(&folder.path)
        };
        write().map_err(|error| AuditError::io("begin a segment of the audit log", path.display(), &error))?;
        Ok(Place { ordinal, offset: bytes.len() as u64, tree })
    }

    /// What was written is durable.
    fn settle(&mut self, turn: &Turn, place: Place) {
        self.at = place;
        let note = Note { ordinal: self.at.ordinal, length: self.at.offset, count: self.len() };
        // Without it, the next writer writes once more what is durable already.
        let _ = turn.set_note(note);
    }

    fn take_note_of(&mut self, index: u64, event: &LoggedEvent) {
        match (event.phase, event.intent) {
            (Phase::Intent, _) => {
                self.open.insert(index, event.process);
                if self.open.len() > MAX_OPEN {
                    self.open.pop_first();
                }
            }
            (_, Some(intent)) => drop(self.open.remove(&intent)),
            _ => {}
        }
    }

    /// Signs what there is, unless the last checkpoint does already.
    pub(super) fn sign(&mut self, _: &Turn) -> Result<Checkpoint> {
        let last = self.folder.checkpoint()?.ok_or_else(|| AuditError::Missing("there is no checkpoint".to_owned()))?;
        if last.size() < self.mark.tree.len() {
            return Err(AuditError::Truncated("an older checkpoint was put back".to_owned()));
        }
        self.prove(&last)?;
        self.signed = last.size();
        if last.size() == self.len() {
            return Ok(last);
        }
        let signed = Checkpoint::sign(&self.folder.origin, self.len(), self.at.tree.root(), self.identity.signing());
        let signed = signed.map_err(|error| AuditError::Library(error.to_string()))?;
        self.folder.write_checkpoint(&signed)?;
        self.signed = signed.size();
        self.mark = self.at.clone();
        Ok(signed)
    }

    /// Proves from what is on the disk that the last checkpoint is of the beginning of what this process knows.
    fn prove(&mut self, last: &Checkpoint) -> Result<()> {
        let mut parts = Vec::new();
        for ordinal in self.mark.ordinal..=self.at.ordinal {
            let Some((header, frames)) = self.folder.header(ordinal)? else {
                return Err(AuditError::Altered(format!("segment {ordinal} has no whole header")));
            };
            if let Some(last) = parts.last_mut() {
                let last: &mut Part = last;
                last.end = Some(header.previous);
            }
            parts.push(Part { header, begin: frames.offset(), end: None });
        }
        if let Some(last) = parts.last_mut() {
            last.end = Some(self.at.offset);
        }
        let mut scan = self.folder.scan(parts).at_place(&self.mark)?;
        let mut mark = None;
        loop {
            let len = scan.tree().map_or(0, Frontier::len);
            if len == last.size() {
                mark = scan.place();
            }
            if scan.next()?.is_none() {
                break;
            }
        }
        let Some(mark) = mark else {
            return Err(AuditError::Truncated(format!("{} events were signed, {} are there", last.size(), self.len())));
        };
        if mark.tree.root() != *last.root() || scan.tree() != Some(&self.at.tree) {
            return Err(AuditError::Altered(format!("events before {} are not those that were signed", self.len())));
        }
        self.mark = mark;
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // What stays is removed by the next process that opens the log.
        let _ = self.folder.disk.remove(&self.folder.process_path(self.process));
    }
}

/// Reads whole frames from where the tree is known, and hands out each: its index, its content, the tree with it, and where it ends. Says whether
/// something follows that is no whole frame.
fn read_on(
    frames: &mut Frames,
    tree: &mut Frontier,
    mut each: impl FnMut(u64, &[u8], &Frontier, u64),
) -> std::io::Result<bool> {
    loop {
        let (index, begin) = (tree.len(), frames.offset());
        match frames.next(index)? {
            Next::Frame(bytes) => {
                tree.push(bytes);
                each(index, bytes, tree, begin + frame::len(bytes.len()));
            }
            Next::End(_) => return Ok(false),
            Next::Bad => return Ok(true),
        }
    }
}
