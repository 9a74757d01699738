//! What is on the disk: the files and names that are seen, and those that a power cut would leave.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use super::{Fault, Loss};
use crate::{
    disk::{FileIdentity, Stat, parent},
    testing::Random,
};

/// The unit in which a disk writes: a torn write consists of some of these.
const SECTOR: usize = 512;

#[derive(Default)]
pub(super) struct State {
    pub(super) boot: u64,
    pub(super) operations: u64,
    pub(super) armed: Option<(u64, Fault)>,
    pub(super) fired: bool,
    pub(super) full: bool,
    pub(super) killed: bool,
    pub(super) handles: u64,
    /// How many syncs of files have failed.
    pub(super) failures: u64,
    clock: i128,
    /// By number; never reused.
    pub(super) inodes: Vec<Inode>,
    pub(super) names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
}

#[derive(Default)]
pub(super) struct Inode {
    pub(super) is_folder: bool,
    modified: i128,
    pub(super) locked_by: Option<u64>,
    /// How many syncs of it have failed.
    pub(super) failures: u64,
    pub(super) seen: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Unsynced>,
}

/// A change that all see and a power cut may undo; it will, if the system has given up on it.
struct Unsynced {
    change: Change,
    given_up: bool,
}

pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Len(usize),
}

/// A change of some names in one folder, in one step.
struct NameChange {
    folder: PathBuf,
    names: Vec<(PathBuf, Option<usize>)>,
}

impl State {
    pub(super) fn new() -> Self {
        let root = Inode { is_folder: true, ..Inode::default() };
        let names = BTreeMap::from([(PathBuf::from("/"), 0)]);
        Self { inodes: vec![root], durable_names: names.clone(), names, ..Self::default() }
    }

    /// Begins with new processes: none holds a lock, and nothing is armed.
    pub(super) fn start(&mut self) {
        self.boot += 1;
        self.killed = false;
        self.armed = None;
        self.full = false;
        self.inodes.iter_mut().for_each(|inode| inode.locked_by = None);
    }

    pub(super) fn change_contents(&mut self, inode: usize, change: Change) {
        self.clock += 1;
        let inode = &mut self.inodes[inode];
        inode.modified = self.clock;
        change.apply(&mut inode.seen, |_| true);
        inode.unsynced.push(Unsynced { change, given_up: false });
    }

    pub(super) fn folder(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(inode) if self.inodes[*inode].is_folder => Ok(()),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        let inode = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        if self.inodes[inode].is_folder { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(inode) }
    }

    pub(super) fn add(&mut self, path: &Path, is_folder: bool) -> io::Result<usize> {
        self.folder(parent(path))?;
        let inode = self.inodes.len();
        self.inodes.push(Inode { is_folder, ..Inode::default() });
        self.change_names(parent(path), vec![(path.to_owned(), Some(inode))]);
        Ok(inode)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.file(from)?;
        self.folder(parent(to))?;
        if self.names.get(to).is_some_and(|replaced| self.inodes[*replaced].is_folder) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (added, removed) = ((to.to_owned(), Some(inode)), (from.to_owned(), None));
        if parent(from) == parent(to) {
            self.change_names(parent(to), vec![added, removed]);
        } else {
            self.change_names(parent(to), vec![added]);
            self.change_names(parent(from), vec![removed]);
        }
        Ok(())
    }

    pub(super) fn change_names(&mut self, folder: &Path, names: Vec<(PathBuf, Option<usize>)>) {
        let change = NameChange { folder: folder.to_owned(), names };
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    pub(super) fn sync_names(&mut self, folder: Option<&Path>) {
        for change in self.unsynced_names.extract_if(.., |change| folder.is_none_or(|folder| change.folder == folder)) {
            change.apply(&mut self.durable_names);
        }
    }

    pub(super) fn sync_file(&mut self, number: usize, give_up: bool) {
        let inode = &mut self.inodes[number];
        if give_up {
            inode.unsynced.iter_mut().for_each(|unsynced| unsynced.given_up = true);
            inode.failures += 1;
            self.failures += 1;
            return;
        }
        for unsynced in inode.unsynced.extract_if(.., |unsynced| !unsynced.given_up) {
            unsynced.change.apply(&mut inode.durable, |_| true);
        }
    }

    pub(super) fn sync_all(&mut self, give_up: bool) {
        self.sync_names(None);
        for number in 0..self.inodes.len() {
            if !self.inodes[number].unsynced.is_empty() {
                self.sync_file(number, give_up);
            }
        }
        // It fails also if no file had anything to lose.
        self.failures += u64::from(give_up);
    }

    pub(super) fn stat(&self, number: usize) -> Stat {
        let inode = &self.inodes[number];
        let identity = FileIdentity { device: 1, inode: number as u64, modified: inode.modified };
        Stat { is_folder: inode.is_folder, len: inode.seen.len() as u64, identity }
    }

    pub(super) fn lose(&mut self, loss: Loss) {
        let mut random = Random::new(if let Loss::Seeded(seed) = loss { seed } else { 0 });
        for change in std::mem::take(&mut self.unsynced_names) {
            let is_found = match loss {
                Loss::Nothing => true,
                Loss::Everything => false,
                Loss::Seeded(_) => random.below(2) == 0,
            };
            if is_found {
                change.apply(&mut self.durable_names);
            }
        }
        // What lay in a folder that is lost is lost with it. A folder comes before what it holds in the order of paths.
        let mut folders = BTreeSet::from([PathBuf::from("/")]);
        self.durable_names.retain(|path, inode| {
            let is_found = folders.contains(parent(path));
            if is_found && self.inodes[*inode].is_folder {
                folders.insert(path.clone());
            }
            is_found
        });
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            for Unsynced { change, .. } in inode.unsynced.drain(..).filter(|unsynced| !unsynced.given_up) {
                // Of three writes one is lost, one found, and one torn.
                match (loss, random.below(3)) {
                    (Loss::Everything, _) | (Loss::Seeded(_), 0) => {}
                    (Loss::Nothing, _) | (Loss::Seeded(_), 1) => change.apply(&mut inode.durable, |_| true),
                    (Loss::Seeded(_), _) => change.apply(&mut inode.durable, |_| random.below(2) == 0),
                }
            }
            inode.seen.clone_from(&inode.durable);
        }
    }
}

impl Change {
    /// Changes `contents`; of a write, only the sectors that `is_found` picks. The length is kept in any case, as a disk that
    /// loses data but not metadata shows it.
    fn apply(&self, contents: &mut Vec<u8>, mut is_found: impl FnMut(usize) -> bool) {
        match self {
            Self::Len(len) => contents.resize(*len, 0),
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                let mut at = *offset;
                while at < end {
                    let next = (at / SECTOR + 1).saturating_mul(SECTOR).min(end);
                    if is_found(at / SECTOR) {
                        contents[at..next].copy_from_slice(&bytes[at - offset..next - offset]);
                    }
                    at = next;
                }
            }
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        for (path, inode) in &self.names {
            match inode {
                Some(inode) => names.insert(path.clone(), *inode),
                None => names.remove(path),
            };
        }
    }
}
