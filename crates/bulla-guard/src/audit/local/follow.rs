//! What other processes have appended, and what was left by those that were killed.

use std::io;
use std::sync::Arc;

use bulla_backend::{DiskFile, OpenMode};
use bulla_seal::Sha256;

use super::{Cut, Local, Note, read_on};
use crate::audit::error::{AuditError, Result};
use crate::audit::folder::{Folder, Place};
use crate::audit::frame::Frames;
use crate::audit::logged::LoggedEvent;
use crate::audit::tree::Frontier;
use crate::audit::turn::Turn;

/// What stands in the last segment behind a place.
#[derive(Debug)]
pub(super) struct Tail {
    /// Where the last whole frame ends.
    pub(super) place: Place,
    pub(super) events: Vec<(u64, LoggedEvent)>,
    pub(super) cut: Option<Cut>,
}

impl Local {
    /// Follows what others have done; afterwards, all there is is durable and known.
    pub(super) fn follow(&mut self, turn: &Turn) -> Result<Option<Cut>> {
        let note = turn.note().map_err(|error| self.folder.failure("read the audit log", &error))?;
        let mut known = self.at.offset;
        while self.enter_next_segment(note)? {
            known = 0;
        }
        let len = self.segment.len().map_err(|error| self.folder.failure("read the audit log", &error))?;
        let here = Note { ordinal: self.at.ordinal, length: self.at.offset, count: self.len() };
        if len < self.at.offset {
            let what = format!("segment {} ends before event {}", self.at.ordinal, self.len());
            return Err(AuditError::Truncated(what));
        }
        if note == Some(here) && len == self.at.offset {
            return Ok(None);
        }
        // The note reaches at least as far as any checkpoint.
        let is_noted = note.is_some_and(|note| note.ordinal == self.at.ordinal);
        let checkpoint = if is_noted { None } else { self.folder.checkpoint()? };
        let checkpoint = checkpoint.map_or(0, |checkpoint| checkpoint.size());
        let tail = tail(&self.folder, &self.segment, &self.at, note, checkpoint, |_, _| {})?;
        let from = known.max(note.filter(|note| note.ordinal == self.at.ordinal).map_or(0, |note| note.length));
        make_durable(&self.folder, &self.segment, from, &tail)?;
        for (index, event) in &tail.events {
            self.take_note_of(*index, event);
        }
        let there = Note { ordinal: tail.place.ordinal, length: tail.place.offset, count: tail.place.tree.len() };
        if note == Some(there) {
            self.at = tail.place;
        } else {
            self.settle(turn, tail.place);
        }
        Ok(tail.cut)
    }

    /// Goes on to the next segment, if somebody has begun one.
    fn enter_next_segment(&mut self, note: Option<Note>) -> Result<bool> {
        let ordinal = self.at.ordinal + 1;
        let path = self.folder.segment_path(ordinal);
        let there =
            self.folder.disk.exists(&path).map_err(|error| self.folder.failure("read the audit log", &error))?;
        if !there {
            return match note {
                Some(note) if note.ordinal >= ordinal => {
                    Err(AuditError::Truncated(format!("segment {ordinal} is missing")))
                }
                _ => Ok(false),
            };
        }
        let Some((header, frames)) = self.folder.header(ordinal)? else {
            let signed = self.folder.checkpoint()?.map_or(0, |checkpoint| checkpoint.size());
            if note.is_some_and(|note| note.ordinal >= ordinal) || signed > self.len() {
                return Err(AuditError::Altered(format!("segment {ordinal} has no whole header")));
            }
            remove_leftover(&self.folder, ordinal)?;
            return Ok(false);
        };
        // What is left of the segment before.
        let mut rest = Frames::new(Arc::clone(&self.segment), self.at.offset, Some(header.previous));
        let (mut tree, mut events) = (self.at.tree.clone(), Vec::new());
        let is_bad = read_on(&mut rest, &mut tree, |index, bytes, _, _| {
            events.extend(LoggedEvent::glance(bytes).map(|event| (index, event)));
        })
        .map_err(|error| self.folder.failure("read the audit log", &error))?;
        if is_bad || tree != header.tree || rest.offset() != header.previous {
            return Err(AuditError::Altered(format!("segment {ordinal} does not fit the events before it")));
        }
        for (index, event) in &events {
            self.take_note_of(*index, event);
        }
        self.segment = self.folder.open(&path, OpenMode::Write)?;
        self.at = Place { ordinal, offset: frames.offset(), tree };
        Ok(true)
    }
}

/// Removes a segment without a whole header, of which nobody can have been told: its first write had failed, or was lost with the power.
pub(super) fn remove_leftover(folder: &Folder, ordinal: u64) -> Result<()> {
    let path = folder.segment_path(ordinal);
    let removed = folder.disk.remove(&path).and_then(|()| folder.disk.sync_folder(&folder.path));
    removed.map_err(|error| AuditError::io("remove what was left of a segment", path.display(), &error))
}

/// Reads the last segment on from a place, and judges what is no whole frame.
pub(super) fn tail(
    folder: &Folder,
    segment: &Arc<dyn DiskFile>,
    from: &Place,
    note: Option<Note>,
    checkpoint: u64,
    mut at_each: impl FnMut(&Frontier, u64),
) -> Result<Tail> {
    let failure = |error: io::Error| folder.failure("read the audit log", &error);
    let mut frames = Frames::new(Arc::clone(segment), from.offset, None);
    let (mut tree, mut events) = (from.tree.clone(), Vec::new());
    at_each(&tree, from.offset);
    let is_bad = read_on(&mut frames, &mut tree, |index, bytes, tree, end| {
        events.extend(LoggedEvent::glance(bytes).map(|event| (index, event)));
        at_each(tree, end);
    })
    .map_err(failure)?;
    let place = Place { ordinal: from.ordinal, offset: frames.offset(), tree };
    let count = place.tree.len();
    let note = note.filter(|note| note.ordinal == place.ordinal);
    let is_short = count < checkpoint || note.is_some_and(|note| place.offset < note.length);
    if is_short && is_bad {
        return Err(AuditError::Altered(format!("event {count} in segment {}", place.ordinal)));
    }
    if is_short {
        return Err(AuditError::Truncated(format!("segment {} ends after {count} events", place.ordinal)));
    }
    let cut = if is_bad { Some(cut(segment, &place).map_err(failure)?) } else { None };
    Ok(Tail { place, events, cut })
}

fn cut(segment: &Arc<dyn DiskFile>, place: &Place) -> io::Result<Cut> {
    let (mut digest, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let read = segment.read_at(place.offset + bytes, &mut buffer)?;
        if read == 0 {
            return Ok(Cut { index: place.tree.len(), bytes, digest: digest.finish() });
        }
        digest.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Writes once more what is not known to be durable, cuts off what is no whole frame, and syncs.
pub(super) fn make_durable(folder: &Folder, segment: &Arc<dyn DiskFile>, from: u64, tail: &Tail) -> Result<()> {
    let write = || -> io::Result<()> {
        if tail.cut.is_some() {
            segment.set_len(tail.place.offset)?;
        }
        let (mut at, mut buffer) = (from, vec![0; 1024 * 1024]);
        while at < tail.place.offset {
            let wanted = usize::try_from(tail.place.offset - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = segment.read_at(at, &mut buffer[..wanted])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            segment.write_at(at, &buffer[..read])?;
            at += read as u64;
        }
        if from < tail.place.offset || tail.cut.is_some() {
            segment.sync()?;
        }
        if from == 0 {
            folder.disk.sync_folder(&folder.path)?;
        }
        Ok(())
    };
    write().map_err(|error| folder.failure("write the audit log once more", &error))
}
