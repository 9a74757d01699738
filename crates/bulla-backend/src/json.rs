//! Documents in one readable JSON file: for a few of them that people look at, keep beside their code, or carry elsewhere.

mod format;

use std::{
    ffi::{OsStr, OsString},
    io,
    path::PathBuf,
    process,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use self::format::Refused;
use crate::{
    BackendError, Capabilities, ChangeMark, Collection, Disk, DiskFile, Document, DocumentKey, Documents, ErrorKind,
    Expected, FileIdentity, ListQuery, OpenMode, Page, RealDisk, Result, Revision, Stat, Write, disk::parent,
    document::check_unfiled, table::Table,
};

/// Longest file, in bytes, that [`JsonDocuments`] reads or writes. Every write writes all of it.
pub const MAX_JSON_FILE_LEN: usize = 16 * 1024 * 1024;

/// Documents in one JSON file, which several processes may use.
///
/// A write replaces the whole file: it makes a new one beside it, syncs it and gives it the name. So the file is always one
/// that a write left behind, every write is durable, whatever its collection asks for, and many documents in one commit cost
/// no more than one. Writers wait for each other at a lock file beside it, `.NAME.lock`, which stays.
///
/// The methods block the thread while they read, write or wait, and their futures finish at once.
#[derive(Debug)]
pub struct JsonDocuments {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    state: Mutex<State>,
}

impl JsonDocuments {
    /// Opens the file at `path`. If there is none, the first write creates it, and the folders above it.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is not a file that this driver wrote; [`ErrorKind::Unsuitable`] if a newer one did, or if it
    /// is longer than [`MAX_JSON_FILE_LEN`]; else if it cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_on(Arc::new(RealDisk), path)
    }

    /// Opens the file at `path` of `disk`, as [`Self::open`] does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Result<Self> {
        let documents = Self { disk, path: path.into(), state: Mutex::default() };
        documents.read(|_| ())?;
        Ok(documents)
    }

    /// Lets `look` see the file as it is now.
    fn read<T>(&self, look: impl FnOnce(&Table) -> T) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(look(&self.load(&mut state)?.table))
    }

    /// Replaces the file by one in which `edit` has changed the documents, unless that fails or changes nothing.
    fn change<T>(&self, operation: &'static str, edit: impl FnOnce(&mut Table) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = self.lock(operation)?;
        if !state.is_tidy {
            self.remove_leftovers(operation)?;
            state.is_tidy = true;
        }
        let loaded = self.load(&mut state)?;
        let mut table = loaded.table.clone();
        let result = edit(&mut table)?;
        // If nothing changes, what is there still has to be durable, and its writer may have been killed before it was.
        let (before, identity) = (loaded.table.newest(), loaded.stat.map(|stat| stat.identity));
        if table.newest() == before && (identity.is_none() || identity == state.settled) {
            return Ok(result);
        }
        let text = format::write(&table).map_err(|error| {
            BackendError::new(ErrorKind::Io, operation, "the documents have no form as JSON").with_source(error)
        })?;
        if text.len() > MAX_JSON_FILE_LEN {
            let detail = format!("`{}` would pass {MAX_JSON_FILE_LEN} bytes: use SQLite", self.path.display());
            return Err(BackendError::new(ErrorKind::Full, operation, detail));
        }
        let (file, stat) = self.replace(&text).map_err(|error| self.failure(operation, error))?;
        state.settled = Some(stat.identity);
        state.loaded = Some(Loaded { _file: Some(file), stat: Some(stat), table });
        Ok(result)
    }

    /// Reads the file, unless it is the one that was read last.
    fn load<'s>(&self, state: &'s mut State) -> Result<&'s Loaded> {
        let operation = "read documents";
        let stat = self.disk.stat(&self.path).map_err(|error| self.failure(operation, error))?;
        let loaded = match state.loaded.take() {
            Some(loaded) if loaded.stat == stat => loaded,
            _ => match self.disk.open(&self.path, OpenMode::Read) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Loaded { _file: None, stat: None, table: Table::default() }
                }
                Err(error) => return Err(self.failure(operation, error)),
                Ok(file) => {
                    let stat = file.stat().map_err(|error| self.failure(operation, error))?;
                    let table = self.parse(&*file, stat)?;
                    Loaded { _file: Some(file), stat: Some(stat), table }
                }
            },
        };
        Ok(state.loaded.insert(loaded))
    }

    fn parse(&self, file: &dyn DiskFile, stat: Stat) -> Result<Table> {
        let operation = "read documents";
        let refuse = |kind, why: &dyn std::fmt::Display| {
            BackendError::new(kind, operation, format!("`{}`: {why}", self.path.display()))
        };
        if stat.is_folder {
            return Err(refuse(ErrorKind::Unsuitable, &"it is a folder"));
        }
        let len = usize::try_from(stat.len).ok().filter(|len| *len <= MAX_JSON_FILE_LEN);
        let len =
            len.ok_or_else(|| refuse(ErrorKind::Unsuitable, &format!("it is longer than {MAX_JSON_FILE_LEN} bytes")))?;
        let mut text = vec![0; len];
        let read = file.read_at(0, &mut text).map_err(|error| self.failure(operation, error))?;
        text.truncate(read);
        format::read(&text).map_err(|refused| match refused {
            Refused::Newer(_) => refuse(ErrorKind::Unsuitable, &refused),
            _ => refuse(ErrorKind::Corrupt, &refused).with_source(refused),
        })
    }

    /// Writes `text` to a new file and gives it the name.
    fn replace(&self, text: &[u8]) -> io::Result<(Box<dyn DiskFile>, Stat)> {
        let (temporary, file) = self.create_temporary()?;
        let written = file.write_at(0, text).and_then(|()| file.sync()).and_then(|()| file.stat());
        let renamed = written.and_then(|stat| self.disk.rename(&temporary, &self.path).map(|()| stat));
        if renamed.is_err() {
            // The error says what is wrong; a leftover is removed by the next who opens the file and writes.
            let _ = self.disk.remove(&temporary);
        }
        let stat = renamed?;
        self.disk.sync_folder(parent(&self.path))?;
        Ok((file, stat))
    }

    fn create_temporary(&self) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
        static TEMPORARY: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = TEMPORARY.fetch_add(1, Ordering::Relaxed);
            let path = self.beside(format!(".{}-{number}.tmp", process::id()));
            match self.disk.open(&path, OpenMode::CreateNew) {
                // A process of the same number, on another machine or in another container, uses it or has left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => return Ok((path, opened?)),
            }
        }
    }

    /// Removes the temporary files of processes that were killed. Only whoever holds the lock has any.
    fn remove_leftovers(&self, operation: &'static str) -> Result<()> {
        let start = self.beside(".");
        let start = start.file_name().unwrap_or_default().as_encoded_bytes();
        // The numbers tell ours from those of a file whose name only begins like ours.
        let is_ours = |name: &OsStr| {
            let numbers = name.as_encoded_bytes().strip_prefix(start).and_then(|rest| rest.strip_suffix(b".tmp"));
            numbers.is_some_and(|numbers| numbers.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-'))
        };
        let folder = parent(&self.path);
        let names = self.disk.list(folder).map_err(|error| self.failure(operation, error))?;
        for name in names.into_iter().filter(|name| is_ours(name)) {
            self.disk.remove(&folder.join(name)).map_err(|error| self.failure(operation, error))?;
        }
        Ok(())
    }

    /// Waits until no other process writes.
    fn lock(&self, operation: &'static str) -> Result<Box<dyn DiskFile>> {
        let path = self.beside(".lock");
        let lock = || {
            if !self.disk.exists(&self.path)? {
                self.disk.create_folders(parent(&self.path))?;
            }
            let file = self.disk.open(&path, OpenMode::Create)?;
            file.lock().map(|()| file)
        };
        lock().map_err(|error| BackendError::io(operation, path.display(), error))
    }

    /// Returns the path of a hidden file beside ours: `.NAME` and `suffix`.
    fn beside(&self, suffix: impl AsRef<OsStr>) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(suffix);
        parent(&self.path).join(name)
    }

    fn failure(&self, operation: &'static str, error: io::Error) -> BackendError {
        BackendError::io(operation, self.path.display(), error)
    }
}

#[async_trait]
impl Documents for JsonDocuments {
    fn capabilities(&self) -> Capabilities {
        Capabilities { commit: true, watch: true, persistent: true, multi_process: true, filing: false }
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        self.read(|table| table.get(collection, key))
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        Write::check_value(value)?;
        let operation = "write a document";
        self.change(operation, |table| {
            table.apply(operation, &[Write::Put { collection, key: key.clone(), value: value.to_vec(), expected }])?;
            Ok(Revision(table.newest()))
        })
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        let operation = "delete a document";
        self.change(operation, |table| {
            let found = table.contains(collection, key);
            table.apply(operation, &[Write::Delete { collection, key: key.clone(), expected }])?;
            Ok(found)
        })
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        self.read(|table| table.list(collection, query))
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        Write::check_commit(writes)?;
        check_unfiled(writes)?;
        self.change("commit", |table| table.apply("commit", writes))
    }

    async fn change_mark(&self, _collection: Collection) -> Result<Option<ChangeMark>> {
        self.read(|table| Some(ChangeMark(table.newest())))
    }
}

#[derive(Debug, Default)]
struct State {
    loaded: Option<Loaded>,
    /// The file that this handle has written last, and knows to be durable.
    settled: Option<FileIdentity>,
    /// Whether the leftovers of others were removed.
    is_tidy: bool,
}

/// A file that was read.
#[derive(Debug)]
struct Loaded {
    /// Held open, so that no later file has its identity.
    _file: Option<Box<dyn DiskFile>>,
    /// `None` if there was no file.
    stat: Option<Stat>,
    table: Table,
}
