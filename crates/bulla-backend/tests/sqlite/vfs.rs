//! SQLite's file layer on simulated disks.
//!
//! The shared memory in which SQLite keeps the index of its log is copied for each connection, and brought up to date only when
//! locks are taken and given up. So a database on it is to be used by one thread at a time; the driver's own writer thread
//! counts as the thread that waits for it.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    io,
    ops::Range,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bulla_backend::{Disk, DiskFile, OpenMode, testing::Random};
use sqlite_vfs::{
    DatabaseHandle, LockKind, OpenAccess, OpenOptions, Vfs, register,
    wip::{WalIndex, WalIndexLock},
};

pub(crate) const NAME: &str = "bulla-simulated";

/// A region of the index of a log.
const REGION_LEN: usize = 32_768;

/// One run of a machine with a simulated disk.
#[derive(Debug)]
pub(crate) struct World {
    disk: Arc<dyn Disk>,
    next: AtomicU64,
    memory: Mutex<HashMap<String, Memory>>,
}

/// What processes know of a database apart from what is on the disk.
#[derive(Debug, Default)]
struct Memory {
    locks: HashMap<u64, LockKind>,
    index: BTreeMap<u32, Box<[u8; REGION_LEN]>>,
    index_users: usize,
    index_locks: HashMap<u8, HashMap<u64, WalIndexLock>>,
}

/// The runs that are on, by the first folder of their paths.
static WORLDS: Mutex<BTreeMap<String, Arc<World>>> = Mutex::new(BTreeMap::new());

/// Lets all paths below `folder` lead to `disk`, as a run of a machine that has just begun.
pub(crate) fn start(folder: &str, disk: Arc<dyn Disk>) {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| register(NAME, Worlds, false).unwrap());
    let world = World { disk, next: AtomicU64::new(0), memory: Mutex::default() };
    locked(&WORLDS).insert(folder.to_owned(), Arc::new(world));
}

/// Forgets a run that is over, with its disk: there are thousands in a test.
pub(crate) fn stop(folder: &str) {
    locked(&WORLDS).remove(folder);
}

/// Takes the lock even if a test failed while it held it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn of(path: &str) -> io::Result<Arc<Self>> {
        let folder = path.split('/').nth(1).unwrap_or_default();
        locked(&WORLDS).get(folder).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn with<T>(&self, path: &str, work: impl FnOnce(&mut Memory) -> T) -> T {
        work(locked(&self.memory).entry(path.to_owned()).or_default())
    }
}

struct Worlds;

impl Vfs for Worlds {
    type Handle = Handle;

    fn open(&self, path: &str, options: OpenOptions) -> io::Result<Handle> {
        let world = World::of(path)?;
        let mode = match options.access {
            OpenAccess::Read => OpenMode::Read,
            OpenAccess::Write => OpenMode::Write,
            OpenAccess::Create => OpenMode::Create,
            OpenAccess::CreateNew => OpenMode::CreateNew,
        };
        let file = world.disk.open(Path::new(path), mode).map_err(|error| match error.kind() {
            // By which this crate knows that it has to open the file for reading.
            io::ErrorKind::ReadOnlyFilesystem => io::ErrorKind::PermissionDenied.into(),
            _ => error,
        })?;
        let id = world.next.fetch_add(1, Ordering::Relaxed);
        Ok(Handle { world, path: path.to_owned(), file, id })
    }

    fn delete(&self, path: &str) -> io::Result<()> {
        World::of(path)?.disk.remove(Path::new(path))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        World::of(path)?.disk.exists(Path::new(path))
    }

    fn temporary_name(&self) -> String {
        panic!("the driver needs no temporary files")
    }

    fn random(&self, buffer: &mut [i8]) {
        // Never the same twice, and the same in every run of the test: what the numbers are does not matter otherwise.
        static SEED: AtomicU64 = AtomicU64::new(0);
        let bytes = Random::new(SEED.fetch_add(1, Ordering::Relaxed)).bytes(buffer.len());
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = from.cast_signed();
        }
    }

    fn sleep(&self, duration: Duration) -> Duration {
        duration
    }

    fn full_pathname<'a>(&self, path: &'a str) -> io::Result<Cow<'a, str>> {
        Ok(path.into())
    }
}

/// An open file.
struct Handle {
    world: Arc<World>,
    path: String,
    file: Box<dyn DiskFile>,
    id: u64,
}

impl DatabaseHandle for Handle {
    type WalIndex = Index;

    fn size(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let len = self.file.read_at(offset, buffer)?;
        // SQLite wants zeros behind the end of the file.
        buffer[len..].fill(0);
        if len < buffer.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn write_all_at(&mut self, buffer: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(offset, buffer).map_err(|error| match error.kind() {
            // By which this crate knows a full disk.
            io::ErrorKind::StorageFull => io::ErrorKind::WriteZero.into(),
            _ => error,
        })
    }

    fn sync(&mut self, _data_only: bool) -> io::Result<()> {
        self.file.sync()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn lock(&mut self, wanted: LockKind) -> io::Result<bool> {
        Ok(self.world.with(&self.path, |memory| {
            let mut others = memory.locks.iter().filter(|(id, _)| **id != self.id).map(|(_, lock)| *lock);
            let granted = match wanted {
                LockKind::None => true,
                LockKind::Shared => others.all(|other| other < LockKind::Pending),
                LockKind::Reserved | LockKind::Pending => others.all(|other| other < LockKind::Reserved),
                LockKind::Exclusive => others.all(|other| other == LockKind::None),
            };
            if granted {
                memory.locks.insert(self.id, wanted);
            }
            granted
        }))
    }

    fn reserved(&mut self) -> io::Result<bool> {
        Ok(self.world.with(&self.path, |memory| memory.locks.values().any(|lock| *lock >= LockKind::Reserved)))
    }

    fn current_lock(&self) -> io::Result<LockKind> {
        Ok(self.world.with(&self.path, |memory| memory.locks.get(&self.id).copied().unwrap_or_default()))
    }

    fn wal_index(&self, _readonly: bool) -> io::Result<Index> {
        self.world.with(&self.path, |memory| memory.index_users += 1);
        Ok(Index { world: Arc::clone(&self.world), path: self.path.clone(), id: self.id })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.world.with(&self.path, |memory| memory.locks.remove(&self.id));
    }
}

/// The index of a log, as one connection uses it.
struct Index {
    world: Arc<World>,
    path: String,
    id: u64,
}

impl WalIndex for Index {
    fn map(&mut self, region: u32) -> io::Result<[u8; REGION_LEN]> {
        let shared = |memory: &mut Memory| **memory.index.entry(region).or_insert_with(|| Box::new([0; REGION_LEN]));
        Ok(self.world.with(&self.path, shared))
    }

    fn lock(&mut self, slots: Range<u8>, wanted: WalIndexLock) -> io::Result<bool> {
        Ok(self.world.with(&self.path, |memory| {
            let conflicts = |held: &HashMap<u64, WalIndexLock>| {
                held.iter().filter(|(id, _)| **id != self.id).any(|(_, lock)| match wanted {
                    WalIndexLock::None => false,
                    WalIndexLock::Shared => *lock == WalIndexLock::Exclusive,
                    WalIndexLock::Exclusive => true,
                })
            };
            if slots.clone().any(|slot| memory.index_locks.get(&slot).is_some_and(conflicts)) {
                return false;
            }
            for slot in slots {
                let held = memory.index_locks.entry(slot).or_default();
                match wanted {
                    WalIndexLock::None => held.remove(&self.id),
                    lock => held.insert(self.id, lock),
                };
            }
            true
        }))
    }

    fn delete(self) -> io::Result<()> {
        Ok(())
    }

    fn pull(&mut self, region: u32, data: &mut [u8; REGION_LEN]) -> io::Result<()> {
        *data = self.map(region)?;
        Ok(())
    }

    fn push(&mut self, region: u32, data: &[u8; REGION_LEN]) -> io::Result<()> {
        self.world.with(&self.path, |memory| memory.index.insert(region, Box::new(*data)));
        Ok(())
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.world.with(&self.path, |memory| {
            memory.index_users -= 1;
            memory.index_locks.values_mut().for_each(|held| held.retain(|id, _| *id != self.id));
            if memory.index_users == 0 {
                // Whoever comes next reads the log anew.
                memory.index.clear();
            }
        });
    }
}
