//! A disk in memory that fails, fills up and loses power where a test wants it to.
//!
//! [`SimDisk`] keeps two pictures of everything: what running processes see, and what would be found after the power failed. A
//! write, and a change of a name, moves from the first to the second by a sync, and by nothing else. [`SimDisk::power_cut`]
//! decides for each of those that were not synced whether it is found or not, each by itself: more than a journalling file
//! system would lose, and all that POSIX allows.

mod state;

use std::{
    ffi::OsString,
    fmt, io,
    ops::Bound::{Excluded, Unbounded},
    path::Path,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::io::Errno;

use self::state::{Change, State};
use crate::disk::{Disk, DiskFile, OpenMode, Stat, parent};

/// A simulated disk. Clones are the same disk, as further processes see it.
#[derive(Clone)]
pub struct SimDisk {
    shared: Arc<Shared>,
    /// Which start of the machine this handle belongs to.
    boot: u64,
    is_read_only: bool,
}

/// What goes wrong at an operation; see [`SimDisk::arm`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails with `EIO` and does nothing. Happens to all operations.
    Error,
    /// The disk is full: this and all later operations that need room fail with `ENOSPC`, until [`SimDisk::disarm`]. Happens
    /// to all operations but syncs and removals.
    NoSpace,
    /// Half of the bytes are written, then the write fails with `EIO`. Happens to writes of more than one byte.
    ShortWrite,
    /// The sync fails with `EIO`, and the system gives up on the contents that it should have made durable: it still shows
    /// them, a power cut loses them, and later syncs succeed, but for one failure each of the other handles that were open (as
    /// Linux reports them). Happens to syncs of contents; with names, a file system that cannot write them stops altogether.
    SyncError,
    /// The process is killed in the middle of a write, or before any other operation: this and all later operations fail, until
    /// [`SimDisk::reboot`] or [`SimDisk::power_cut`]. Happens to all operations.
    Kill,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 5] = [Self::Error, Self::NoSpace, Self::ShortWrite, Self::SyncError, Self::Kill];
}

/// What a power cut does to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// All of it is found.
    Nothing,
    /// None of it is found.
    Everything,
    /// Each write is found, lost or torn, and each change of a name found or lost, as this seed decides.
    Seeded(u64),
}

impl SimDisk {
    /// Makes an empty disk, which holds the folder `/`.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared { state: Mutex::new(State::new()), unlocked: Condvar::new() }),
            boot: 0,
            is_read_only: false,
        }
    }

    /// Returns the same disk as those see it to whom it is mounted read-only: what would change it fails with `EROFS`.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self { is_read_only: true, ..self.clone() }
    }

    /// Returns how many operations were tried so far that change the disk or sync it.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.shared.state().operations
    }

    /// Lets `fault` happen at operation number `at`, if it is one that the fault happens to. The first operation of a disk has
    /// the number 1.
    pub fn arm(&self, at: u64, fault: Fault) {
        let mut state = self.shared.state();
        state.armed = Some((at, fault));
        state.fired = false;
    }

    /// Says whether the fault that was armed last has happened.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.shared.state().fired
    }

    /// Takes back a fault that has not happened, and gives a full disk room again.
    pub fn disarm(&self) {
        let mut state = self.shared.state();
        state.armed = None;
        state.full = false;
    }

    /// Ends all processes, and returns the disk as the next ones see it: with everything that was written. Handles from before
    /// fail from now on.
    #[must_use]
    pub fn reboot(&self) -> Self {
        let mut state = self.shared.state();
        state.start();
        let boot = state.boot;
        drop(state);
        self.shared.unlocked.notify_all();
        Self { shared: Arc::clone(&self.shared), boot, is_read_only: false }
    }

    /// Cuts the power, and returns the disk as it is found after. Handles from before fail from now on.
    #[must_use]
    pub fn power_cut(&self, loss: Loss) -> Self {
        self.shared.state().lose(loss);
        self.reboot()
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.shared.state();
        if state.killed || state.boot != self.boot {
            return Err(Errno::IO.into());
        }
        Ok(state)
    }

    /// Counts an operation; returns the fault that the caller has to act out, or fails for it.
    fn mutate(&self, needs_room: bool, suited: Option<Fault>) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.state()?;
        if self.is_read_only {
            return Err(Errno::ROFS.into());
        }
        state.operations += 1;
        if let Some((at, fault)) = state.armed
            && at == state.operations
        {
            let own = suited == Some(fault) || (suited == Some(Fault::ShortWrite) && fault == Fault::Kill);
            match fault {
                Fault::Error => state.fired = true,
                Fault::Kill => (state.fired, state.killed) = (true, true),
                Fault::NoSpace => (state.fired, state.full) = (needs_room, needs_room),
                Fault::ShortWrite | Fault::SyncError => state.fired = own,
            }
            if state.killed {
                self.shared.unlocked.notify_all();
            }
            if own {
                return Ok((state, Some(fault)));
            }
            if matches!(fault, Fault::Error | Fault::Kill) {
                return Err(Errno::IO.into());
            }
        }
        if state.full && needs_room {
            return Err(Errno::NOSPC.into());
        }
        Ok((state, None))
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk")
            .field("boot", &self.boot)
            .field("operations", &self.operations())
            .finish_non_exhaustive()
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let found = self.state()?.names.get(path).copied();
        let inode = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(_), OpenMode::Write | OpenMode::Create) if self.is_read_only => return Err(Errno::ROFS.into()),
            (Some(inode), _) => inode,
            (None, OpenMode::Read | OpenMode::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let (mut state, _) = self.mutate(true, None)?;
                match state.names.get(path) {
                    Some(_) if mode == OpenMode::CreateNew => return Err(io::ErrorKind::AlreadyExists.into()),
                    Some(inode) => *inode,
                    None => state.add(path, false)?,
                }
            }
        };
        let mut state = self.state()?;
        if state.inodes[inode].is_folder {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        state.handles += 1;
        Ok(Box::new(SimFile {
            disk: self.clone(),
            inode,
            id: state.handles,
            writable: mode != OpenMode::Read,
            file_failures: AtomicU64::new(state.inodes[inode].failures),
            disk_failures: AtomicU64::new(state.failures),
        }))
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let state = self.state()?;
        Ok(state.names.get(path).map(|inode| state.stat(*inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.mutate(true, None)?.0.rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, _) = self.mutate(true, None)?;
        state.file(from)?;
        if state.names.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (mut state, _) = self.mutate(false, None)?;
        state.file(path)?;
        state.change_names(parent(path), vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let (mut state, _) = self.mutate(true, None)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.add(path, true).map(drop)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state()?;
        state.folder(folder)?;
        // Paths are ordered by their components, so a folder's come together.
        let below = state.names.range::<Path, _>((Excluded(folder), Unbounded)).map(|(path, _)| path);
        let inside = below.take_while(|path| path.starts_with(folder)).filter(|path| path.parent() == Some(folder));
        Ok(inside.filter_map(|path| path.file_name()).map(OsString::from).collect())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let (mut state, _) = self.mutate(false, None)?;
        state.folder(folder)?;
        state.sync_names(Some(folder));
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
    id: u64,
    writable: bool,
    /// How many failures of this file's syncs, and of the disk's, this handle knows of.
    file_failures: AtomicU64,
    disk_failures: AtomicU64,
}

impl SimFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let splits = matches!(&change, Change::Write { bytes, .. } if bytes.len() > 1);
        let (mut state, fault) = self.disk.mutate(true, splits.then_some(Fault::ShortWrite))?;
        if !self.writable {
            return Err(Errno::BADF.into());
        }
        let change = match change {
            Change::Write { offset, mut bytes } if fault.is_some() => {
                bytes.truncate(bytes.len() / 2);
                Change::Write { offset, bytes }
            }
            whole => whole,
        };
        state.change_contents(self.inode, change);
        fault.map_or(Ok(()), |_| Err(Errno::IO.into()))
    }
}

impl SimFile {
    /// Fails once for failures that this handle does not know of yet.
    fn report(known: &AtomicU64, failures: u64) -> io::Result<()> {
        if known.swap(failures, Ordering::Relaxed) < failures { Err(Errno::IO.into()) } else { Ok(()) }
    }
}

impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("inode", &self.inode).finish_non_exhaustive()
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.disk.state()?;
        let seen = &state.inodes[self.inode].seen;
        let bytes = usize::try_from(offset).ok().and_then(|offset| seen.get(offset..)).unwrap_or_default();
        let len = bytes.len().min(buffer.len());
        buffer[..len].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.change(Change::Write { offset, bytes: bytes.to_vec() })
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.stat()?.len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Len(usize::try_from(len).map_err(io::Error::other)?))
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.mutate(false, Some(Fault::SyncError))?;
        state.sync_file(self.inode, fault.is_some());
        Self::report(&self.file_failures, state.inodes[self.inode].failures)
    }

    fn sync_file_system(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.mutate(false, Some(Fault::SyncError))?;
        state.sync_all(fault.is_some());
        Self::report(&self.disk_failures, state.failures)
    }

    fn lock(&self) -> io::Result<()> {
        loop {
            if self.try_lock()? {
                return Ok(());
            }
            let state = self.disk.state()?;
            if state.inodes[self.inode].locked_by.is_some() {
                drop(self.disk.shared.unlocked.wait(state).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut state = self.disk.state()?;
        Ok(*state.inodes[self.inode].locked_by.get_or_insert(self.id) == self.id)
    }

    fn unlock(&self) -> io::Result<()> {
        let mut state = self.disk.state()?;
        let holder = &mut state.inodes[self.inode].locked_by;
        if *holder == Some(self.id) {
            *holder = None;
            self.disk.shared.unlocked.notify_all();
        }
        Ok(())
    }

    fn stat(&self) -> io::Result<Stat> {
        Ok(self.disk.state()?.stat(self.inode))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        // After a kill there is nothing to give up: the next start forgets all locks.
        let _ = self.unlock();
    }
}

struct Shared {
    state: Mutex<State>,
    unlocked: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
