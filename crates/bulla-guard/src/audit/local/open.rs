//! Opening a log: what is there is proven before anything is added.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulla_backend::{DiskFile, OpenMode};
use bulla_keyring::Identity;

use super::follow::{make_durable, remove_leftover, tail};
use super::{Cut, Local, Turn, Turnstile};
use crate::audit::error::{AuditError, Result};
use crate::audit::folder::{Folder, Part, Place};
use crate::audit::logged::LoggedEvent;
use crate::audit::note::Checkpoint;
use crate::audit::segment::MAX_OPEN;
use crate::audit::tree::Frontier;

/// How a log is opened.
#[derive(Debug)]
pub(in crate::audit) struct Start {
    pub(in crate::audit) folder: Folder,
    pub(in crate::audit) identity: Arc<Identity>,
    pub(in crate::audit) segment_len: u64,
    /// Whether everything is read, or the last segment if that is enough.
    pub(in crate::audit) is_whole: bool,
    pub(in crate::audit) outside: Option<Checkpoint>,
}

/// A log that was opened.
#[derive(Debug)]
pub(in crate::audit) struct Opened {
    pub(in crate::audit) local: Local,
    pub(in crate::audit) turn: Turn,
    pub(in crate::audit) cut: Option<Cut>,
    /// Intents of processes that have ended, without an outcome.
    pub(in crate::audit) unknown: Vec<u64>,
}

/// What was found, and fits the signatures.
struct Proven {
    at: Place,
    open: BTreeMap<u64, [u8; 8]>,
    mark: Place,
}

impl Start {
    pub(in crate::audit) fn open(self) -> Result<Opened> {
        let folder = self.folder.clone();
        let created = folder.disk.create_folders(&folder.path);
        created.map_err(|error| folder.failure("create the folder of the audit log", &error))?;
        let turnstile = Turnstile::open(&folder)?;
        let turn = turnstile.enter().map_err(|error| folder.failure("lock the audit log", &error))?;
        let checkpoint = self.checkpoint()?;
        let (proven, segment, cut) = self.prove(&turn, &checkpoint)?;
        let (process, alive) = register(&folder)?;
        let Proven { at, open, mark } = proven;
        let Self { identity, segment_len, .. } = self;
        let signed = checkpoint.size();
        let mut local = Local {
            folder,
            turnstile,
            identity,
            process,
            _alive: alive,
            segment_len,
            segment,
            at: at.clone(),
            open,
            mark,
            signed,
        };
        local.settle(&turn, at);
        let unknown = local.orphans()?;
        Ok(Opened { local, turn, cut, unknown })
    }

    /// Reads the last checkpoint; makes one of nothing for a new log.
    fn checkpoint(&self) -> Result<Checkpoint> {
        let folder = &self.folder;
        if let Some(checkpoint) = folder.checkpoint()? {
            return Ok(checkpoint);
        }
        if !folder.ordinals()?.is_empty() {
            return Err(AuditError::Missing(format!("`{}` has segments but no checkpoint", folder.path.display())));
        }
        let signed = Checkpoint::sign(&folder.origin, 0, Frontier::new().root(), self.identity.signing());
        let signed = signed.map_err(|error| AuditError::Library(error.to_string()))?;
        folder.write_checkpoint(&signed)?;
        Ok(signed)
    }

    fn prove(&self, turn: &Turn, checkpoint: &Checkpoint) -> Result<(Proven, Arc<dyn DiskFile>, Option<Cut>)> {
        let folder = &self.folder;
        let note = turn.note().map_err(|error| folder.failure("lock the audit log", &error))?;
        let (mut parts, leftover) = folder.parts()?;
        if let Some(note) = note.filter(|note| note.ordinal >= parts.len() as u64) {
            return Err(match leftover {
                Some(ordinal) => AuditError::Altered(format!("segment {ordinal} has no whole header")),
                None => AuditError::Truncated(format!("segment {} is missing", note.ordinal)),
            });
        }
        if parts.is_empty() && checkpoint.size() == 0 {
            if let Some(ordinal) = leftover {
                remove_leftover(folder, ordinal)?;
            }
            let nowhere = Place { ordinal: 0, offset: 0, tree: Frontier::new() };
            Local::write_segment(folder, 0, &nowhere, &BTreeMap::new(), &[], Frontier::new())?;
            parts = folder.parts()?.0;
        }
        let Some((last, before)) = parts.split_last() else {
            return Err(AuditError::Truncated(format!("{} events were signed, none are there", checkpoint.size())));
        };
        let mut wanted: Vec<&Checkpoint> = [Some(checkpoint), self.outside.as_ref()].into_iter().flatten().collect();
        wanted.sort_by_key(|checkpoint| checkpoint.size());
        let begin = Place { ordinal: last.header.ordinal, offset: last.begin, tree: last.header.tree.clone() };
        let open = last.header.open.iter().copied().collect();
        let mark = Place { ordinal: 0, offset: parts[0].begin, tree: Frontier::new() };
        let mut proven = Proven { at: begin, open, mark };
        if self.is_whole || wanted.iter().any(|wanted| wanted.size() < last.header.tree.len()) {
            proven.read(folder, before, &mut wanted, checkpoint.size())?;
        }
        let segment = folder.open(&folder.segment_path(last.header.ordinal), OpenMode::Write)?;
        let (mut mark, mut wrong) = (None, None);
        let tail = tail(folder, &segment, &proven.at, note, checkpoint.size(), |tree, offset| {
            if tree.len() == checkpoint.size() {
                mark = Some(Place { ordinal: last.header.ordinal, offset, tree: tree.clone() });
            }
            wrong = wrong.take().or_else(|| mismatch(tree, &mut wanted));
        })?;
        if let Some(wrong) = wrong {
            return Err(wrong);
        }
        if let Some(missing) = wanted.last() {
            let there = tail.place.tree.len();
            return Err(AuditError::Truncated(format!("{} events were signed, {there} are there", missing.size())));
        }
        // Nothing is changed before all that was signed is found.
        if let Some(ordinal) = leftover.filter(|ordinal| *ordinal > tail.place.ordinal) {
            remove_leftover(folder, ordinal)?;
        }
        let from = note.filter(|note| note.ordinal == tail.place.ordinal).map_or(0, |note| note.length);
        make_durable(folder, &segment, from, &tail)?;
        proven.mark = mark.unwrap_or(proven.mark);
        tail.events.iter().for_each(|(index, event)| proven.take_note_of(*index, event));
        proven.at = tail.place;
        Ok((proven, segment, tail.cut))
    }
}

impl Proven {
    /// Reads the segments before the last, and holds what is in them to the headers and checkpoints.
    fn read(&mut self, folder: &Folder, parts: &[Part], wanted: &mut Vec<&Checkpoint>, signed: u64) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        self.open.clear();
        let mut scan = folder.scan(parts.to_vec());
        while let Some((index, bytes)) = scan.next()? {
            if let Some(event) = LoggedEvent::glance(&bytes) {
                self.take_note_of(index, &event);
            }
            let Some(tree) = scan.tree() else { break };
            if let Some(wrong) = mismatch(tree, wanted) {
                return Err(wrong);
            }
            if tree.len() == signed {
                self.mark = scan.place().unwrap_or_else(|| self.mark.clone());
            }
        }
        if scan.tree() != Some(&self.at.tree) {
            return Err(AuditError::Altered(format!("segment {} does not fit the events before it", self.at.ordinal)));
        }
        Ok(())
    }

    fn take_note_of(&mut self, index: u64, event: &LoggedEvent) {
        if let Some(intent) = event.intent {
            self.open.remove(&intent);
        } else if event.outcome.is_none() {
            self.open.insert(index, event.process);
            if self.open.len() > MAX_OPEN {
                self.open.pop_first();
            }
        }
    }
}

/// Holds the tree to the checkpoints of its size, and takes them off the list.
fn mismatch(tree: &Frontier, wanted: &mut Vec<&Checkpoint>) -> Option<AuditError> {
    let mut wrong = None;
    wanted.retain(|checkpoint| {
        if checkpoint.size() == tree.len() && *checkpoint.root() != tree.root() {
            let what = format!("the first {} events are not those that were signed", tree.len());
            wrong = Some(AuditError::Altered(what));
        }
        // Of no events there is one root, which tells nothing; it may lie before where reading began.
        checkpoint.size() != tree.len() && checkpoint.size() != 0
    });
    wrong
}

/// Draws an id for this process, and holds a file locked that says it lives.
fn register(folder: &Folder) -> Result<([u8; 8], Arc<dyn DiskFile>)> {
    let mut process = [0; 8];
    bulla_seal::fill_random(&mut process).map_err(|error| AuditError::Library(error.to_string()))?;
    let file = folder.open(&folder.process_path(process), OpenMode::Create)?;
    let locked = file.try_lock().map_err(|error| folder.failure("lock the audit log", &error))?;
    if locked { Ok((process, file)) } else { Err(AuditError::Library("two processes drew the same id".to_owned())) }
}

impl Local {
    /// Finds intents whose process has ended, and removes what is left of such processes.
    fn orphans(&self) -> Result<Vec<u64>> {
        let mut alive = vec![self.folder.process_path(self.process)];
        for path in self.folder.process_paths()? {
            if alive[0] == path {
                continue;
            }
            let file = self.folder.disk.open(&path, OpenMode::Write);
            if file.is_ok_and(|file| file.try_lock().unwrap_or(false)) {
                // What cannot be removed is found again.
                let _ = self.folder.disk.remove(&path);
            } else {
                alive.push(path);
            }
        }
        let is_orphan = |process: &[u8; 8]| !alive.contains(&self.folder.process_path(*process));
        Ok(self.open.iter().filter(|(_, process)| is_orphan(process)).map(|(index, _)| *index).collect())
    }
}
