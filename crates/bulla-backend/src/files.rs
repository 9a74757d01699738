//! Blobs in files, each named after its id.

mod batch;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use self::batch::Batches;
use crate::{
    BackendError, BlobId, BlobPage, BlobReader, BlobStat, BlobWriter, Blobs, Disk, DiskFile, Durability, ErrorKind,
    OpenMode, RealDisk, Result, Timestamp,
};

/// Where files lie until they are whole. Created last, so that where it exists all other folders do.
const TEMPORARY: &str = "tmp";

/// Blobs in a folder, which several processes may use.
///
/// Each is a file of its own, in one of 256 folders. It is written beside them, synced, and then given its name. A blob of
/// [`Durability::Cache`] is not synced: it survives the process, but a power cut may take it away or leave it with bytes missing,
/// which its seal will show. A deletion is not synced either: a power cut may bring the blob back. A blob counts as finished when
/// its file was last written to, by the clock of the file system.
///
/// The methods block the thread while they read or write, and their futures finish at once.
#[derive(Debug)]
pub struct FileBlobs {
    place: Arc<Place>,
}

impl FileBlobs {
    /// Opens the folder `root`, and removes what writers that were killed have left in it. If there is none, the first write
    /// creates it, and those above it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsuitable`] if it is not a folder; else if it cannot be read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Self::open_on(Arc::new(RealDisk), root)
    }

    /// Opens the folder `root` of `disk`, as [`Self::open`] does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(disk: Arc<dyn Disk>, root: impl Into<PathBuf>) -> Result<Self> {
        let place = Place {
            disk,
            root: root.into(),
            has_folders: Mutex::new(false),
            batches: Batches::default(),
            opened: AtomicU64::new(0),
        };
        place.remove_leftovers()?;
        Ok(Self { place: Arc::new(place) })
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn create(&self, id: &BlobId, durability: Durability) -> Result<Box<dyn BlobWriter>> {
        let place = &self.place;
        let failure = |error| BackendError::io("write a blob", id, error);
        place.create_folders().map_err(failure)?;
        let age = place.opened.fetch_add(1, Ordering::Relaxed);
        let (temporary, file) = place.create_temporary(id).map_err(failure)?;
        let place = Arc::clone(place);
        Ok(Box::new(FileWriter { place, id: *id, durability, age, temporary: Some(temporary), file, len: Some(0) }))
    }

    async fn open(&self, id: &BlobId) -> Result<Option<Box<dyn BlobReader>>> {
        let failure = |error| BackendError::io("read a blob", id, error);
        match self.place.disk.open(&self.place.path(id), OpenMode::Read) {
            Ok(file) => {
                let len = file.len().map_err(failure)?;
                Ok(Some(Box::new(FileReader { id: *id, file, len })))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }

    async fn delete(&self, id: &BlobId) -> Result<bool> {
        match self.place.disk.remove(&self.place.path(id)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(BackendError::io("delete a blob", id, error)),
        }
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<BlobPage> {
        let limit = BlobPage::len_for(limit);
        let mut page = BlobPage::default();
        for first in after.map_or(0, |after| after.0[0])..=u8::MAX {
            let folder = self.place.folder(first);
            for id in self.place.ids(first, after).map_err(|error| listing_failure(&folder, error))? {
                let stat = self.place.disk.stat(&self.place.path(&id));
                // Deleted since, or no file at all.
                let Some(stat) = stat.map_err(|error| listing_failure(&folder, error))?.filter(|stat| !stat.is_folder)
                else {
                    continue;
                };
                if page.blobs.len() == limit {
                    page.next = page.blobs.last().map(|last| last.id);
                    return Ok(page);
                }
                page.blobs.push(BlobStat { id, len: stat.len, finished: finished(stat.identity.modified) });
            }
        }
        Ok(page)
    }
}

/// Returns the moment of the last write to a file, `modified` nanoseconds after 1970: a blob is finished right behind it.
fn finished(modified: i128) -> Timestamp {
    // Before 1970 there were no blobs.
    Timestamp(u64::try_from(modified / 1_000_000).unwrap_or_default())
}

fn listing_failure(folder: &Path, error: io::Error) -> BackendError {
    BackendError::io("list blobs", folder.display(), error)
}

#[derive(Debug)]
struct Place {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    has_folders: Mutex<bool>,
    batches: Batches,
    /// How many temporary files were opened.
    opened: AtomicU64,
}

impl Place {
    fn folder(&self, first: u8) -> PathBuf {
        self.root.join(format!("{first:02x}"))
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.folder(id.0[0]).join(id.to_string())
    }

    fn create_folders(&self) -> io::Result<()> {
        let mut has_folders = self.has_folders.lock().unwrap_or_else(PoisonError::into_inner);
        if *has_folders {
            return Ok(());
        }
        let create = |path: &Path| match self.disk.create_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            created => created,
        };
        let temporary = self.root.join(TEMPORARY);
        if !self.disk.exists(&temporary)? {
            self.disk.create_folders(&self.root)?;
            for first in 0..=u8::MAX {
                create(&self.folder(first))?;
            }
            self.disk.sync_folder(&self.root)?;
            create(&temporary)?;
        }
        *has_folders = true;
        Ok(())
    }

    /// Creates a file in the temporary folder, and locks it as long as it is open, so that all can tell it from a leftover.
    fn create_temporary(&self, id: &BlobId) -> io::Result<(PathBuf, Arc<dyn DiskFile>)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = self.root.join(TEMPORARY).join(format!("{id}.{}-{number}", process::id()));
            let file = match self.disk.open(&path, OpenMode::CreateNew) {
                // A process of the same number, on another machine or in another container, uses it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            file.lock()?;
            // Before we had the lock, another process may have taken the file for a leftover.
            let inode = file.stat()?.identity.inode;
            if self.disk.stat(&path)?.is_some_and(|stat| stat.identity.inode == inode) {
                return Ok((path, file.into()));
            }
        }
    }

    /// Removes the temporary files that nobody holds open.
    fn remove_leftovers(&self) -> Result<()> {
        let folder = self.root.join(TEMPORARY);
        let failure = |error| BackendError::io("open a folder of blobs", self.root.display(), error);
        let names = match self.disk.list(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failure(error)),
        };
        for name in names {
            let path = folder.join(name);
            match self.disk.open(&path, OpenMode::Write).and_then(|file| Ok(file.try_lock()?.then_some(file))) {
                Ok(Some(_locked)) => match self.disk.remove(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failure(error)),
                    _ => {}
                },
                // Its writer lives.
                Ok(None) => {}
                Err(error) => match error.kind() {
                    // It was finished meanwhile, or belongs to somebody else: not ours to remove.
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {}
                    // Whoever opens the folder where it can be written removes them.
                    io::ErrorKind::ReadOnlyFilesystem => return Ok(()),
                    _ => return Err(failure(error)),
                },
            }
        }
        Ok(())
    }

    /// Returns the ids in one folder that come behind `after`, in order.
    fn ids(&self, first: u8, after: Option<&BlobId>) -> io::Result<Vec<BlobId>> {
        let names = match self.disk.list(&self.folder(first)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let ids = names.iter().filter_map(|name| name.to_str()?.parse::<BlobId>().ok());
        let mut ids: Vec<_> = ids.filter(|id| id.0[0] == first && after.is_none_or(|after| id > after)).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

struct FileWriter {
    place: Arc<Place>,
    id: BlobId,
    durability: Durability,
    age: u64,
    /// Where the file lies; `None` once it has its name.
    temporary: Option<PathBuf>,
    file: Arc<dyn DiskFile>,
    /// `None` once a write has failed.
    len: Option<u64>,
}

impl FileWriter {
    fn failure(&self, error: io::Error) -> BackendError {
        BackendError::io("write a blob", self.id, error)
    }

    fn broken(&self) -> BackendError {
        BackendError::new(ErrorKind::Io, "write a blob", format!("`{}`: an earlier write of it failed", self.id))
    }

    fn sync(&self, alone: impl Fn() -> io::Result<()>) -> Result<()> {
        match self.durability {
            Durability::Cache => Ok(()),
            Durability::Durable => {
                self.place.batches.sync(self.age, &self.file, alone).map_err(|error| self.failure(error))
            }
        }
    }
}

#[async_trait]
impl BlobWriter for FileWriter {
    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let len = self.len.take().ok_or_else(|| self.broken())?;
        self.file.write_at(len, bytes).map_err(|error| self.failure(error))?;
        self.len = Some(len + bytes.len() as u64);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<u64> {
        let len = self.len.ok_or_else(|| self.broken())?;
        let Some(temporary) = &self.temporary else { return Err(self.broken()) };
        let path = self.place.path(&self.id);
        self.sync(|| self.file.sync())?;
        self.place.disk.rename_new(temporary, &path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => BackendError::conflict("write a blob", self.id),
            _ => self.failure(error),
        })?;
        self.temporary = None;
        let named = self.sync(|| self.place.disk.sync_folder(&self.place.folder(self.id.0[0])));
        if named.is_err() {
            // It may or may not be durable, so it must not be seen. If this fails too, it is a blob that nobody asks for.
            let _ = self.place.disk.remove(&path);
        }
        named.map(|()| len)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // If this fails, the next opening removes it.
            let _ = self.place.disk.remove(temporary);
        }
    }
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter").field("id", &self.id).field("len", &self.len).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct FileReader {
    id: BlobId,
    file: Box<dyn DiskFile>,
    len: u64,
}

#[async_trait]
impl BlobReader for FileReader {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(offset, &mut buffer[..wanted]);
        read.map_err(|error| BackendError::io("read a blob", self.id, error))
    }
}
