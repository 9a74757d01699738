//! The files of a database, and connections to them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    error::{Attempt, Failure},
    place::FileSystem,
    schema,
};
use crate::{Disk, ErrorKind, OpenMode, RealDisk, Stat, disk::parent};

/// How long a statement waits for a lock that a program other than ours holds.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The log is moved into the database file once it is this many pages long: 8 MiB.
const LOG_LEN: i32 = 1_000;
/// How much of the log is written again at a time when it is in doubt.
const CHUNK_LEN: usize = 1024 * 1024;

/// What the driver reaches the outer world by.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) disk: Arc<dyn Disk>,
    /// SQLite's own file layer, by name; its default if none.
    pub(super) vfs: Option<String>,
    /// What names the present run of the machine: no power cut can have happened while it stays the same. `None` if unknown.
    pub(super) boot: Option<String>,
    pub(super) file_system: fn(&Path) -> io::Result<FileSystem>,
    /// How long the log becomes, in pages, before it is moved into the database file.
    pub(super) log_len: i32,
}

impl Surroundings {
    /// Returns those of this machine.
    pub(super) fn real() -> Self {
        // random(4): a number drawn at each start of the machine. Other systems have none; each opening counts as a start there.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let boot = boot.map(|id| id.trim().to_owned()).filter(|id| !id.is_empty());
        Self { disk: Arc::new(RealDisk), vfs: None, boot, file_system: FileSystem::of, log_len: LOG_LEN }
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("vfs", &self.vfs).field("boot", &self.boot).finish_non_exhaustive()
    }
}

/// Where a database lies.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) database: PathBuf,
    pub(super) surroundings: Surroundings,
}

impl Files {
    /// Makes the folder, for its owner only, and fails if a database must not lie in it.
    pub(super) fn prepare_folder(&self, create: bool) -> Attempt<()> {
        let folder = parent(&self.database);
        let disk = &self.surroundings.disk;
        let failed = |error| Failure::io(&format!("the folder `{}`", folder.display()), error);
        // Asked before anything is written: of the nearest folder that is there already.
        for ancestor in folder.ancestors() {
            if disk.exists(ancestor).map_err(failed)? {
                (self.surroundings.file_system)(ancestor).map_err(failed)?.admit(&self.database)?;
                break;
            }
        }
        if create { disk.create_folders(folder).map_err(failed) } else { Ok(()) }
    }

    /// Says whether there is a database file.
    pub(super) fn exist(&self) -> Attempt<bool> {
        let found = self.surroundings.disk.stat(&self.database).map_err(|error| self.failed(error))?;
        if found.is_some_and(|found| found.is_folder) {
            return Err(Failure::new(ErrorKind::Unsuitable, format!("`{}` is a folder", self.database.display())));
        }
        Ok(found.is_some())
    }

    /// Returns the length of one of the files; that of one that is not there is 0.
    pub(super) fn len(&self, suffix: &str) -> Attempt<u64> {
        Ok(self.stat(suffix)?.map_or(0, |found| found.len))
    }

    /// Describes one of the files, if it is there.
    pub(super) fn stat(&self, suffix: &str) -> Attempt<Option<Stat>> {
        self.surroundings.disk.stat(&beside(&self.database, suffix)).map_err(|error| self.failed(error))
    }

    /// Makes a new database, which is there whole or not at all: under another name, which it gives up once it is durable.
    ///
    /// The caller holds the turn, and found no database.
    pub(super) fn create(&self) -> Attempt<()> {
        let draft = Self { database: beside(&self.database, "-new"), ..self.clone() };
        draft.remove()?;
        let failed = |error| draft.failed(error);
        let disk = &self.surroundings.disk;
        // SQLite gives its log and the log's index the mode of the database file: 0600.
        drop(disk.open(&draft.database, OpenMode::CreateNew).map_err(failed)?);
        let mut connection = draft.connect()?;
        schema::format(&connection)?;
        schema::migrate(&mut connection, &schema::STEPS)?;
        // Moves all from the log into the file, and syncs it.
        let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy {
            return Err(Failure::new(ErrorKind::Unavailable, "another process uses the file that is being made"));
        }
        drop(connection);
        disk.rename_new(&draft.database, &self.database).map_err(failed)?;
        let synced = disk.sync_folder(parent(&self.database));
        if synced.is_err() {
            // The system may have given up on the new name although it shows it; nothing must be built on that.
            disk.rename(&self.database, &draft.database).map_err(failed)?;
        }
        synced.map_err(failed)?;
        draft.remove()
    }

    /// Connects to the database.
    pub(super) fn connect(&self) -> Attempt<Connection> {
        self.connect_by(&self.database, OpenFlags::SQLITE_OPEN_READ_WRITE, self.surroundings.vfs.as_deref())
    }

    /// Connects to the database by a name of it, through a file layer of SQLite's.
    pub(super) fn connect_by(&self, name: &Path, access: OpenFlags, vfs: Option<&str>) -> Attempt<Connection> {
        // The driver uses a connection in one thread at a time, so SQLite need not lock it.
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let connection = match vfs {
            Some(vfs) => Connection::open_with_flags_and_vfs(name, flags, vfs),
            None => Connection::open_with_flags(name, flags),
        }?;
        connection.busy_timeout(PATIENCE)?;
        // All statements of the driver have room.
        connection.set_prepared_statement_cache_capacity(64);
        // Whoever can write the file can write a schema that runs code of its own: no triggers, no views, no functions in it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        // SQLite ignores errors of the checkpoints that it makes by itself, and so would not notice a sync that fails.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
        Ok(connection)
    }

    /// Makes the names of the database and of its log durable.
    pub(super) fn sync_names(&self) -> Attempt<()> {
        let folder = parent(&self.database);
        self.surroundings.disk.sync_folder(folder).map_err(|error| self.failed(error))
    }

    /// Writes every byte of the log once more where it is, and syncs it.
    ///
    /// After a sync that failed, the system shows what was written, but may have given up on writing it to the disk; a further
    /// sync succeeds and proves nothing. What is written anew is synced anew. (Rebello et al., "Can Applications Recover from
    /// fsync Failures?", USENIX ATC 2020: ext4 and XFS keep showing the new bytes.)
    ///
    /// The caller holds the turn. Readers see the same bytes all the time.
    pub(super) fn rewrite_log(&self) -> Attempt<()> {
        let log = beside(&self.database, "-wal");
        let failed = |error| Failure::io(&format!("`{}`", log.display()), error);
        let file = match self.surroundings.disk.open(&log, OpenMode::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(failed)?,
        };
        let mut chunk = vec![0; CHUNK_LEN];
        let mut offset = 0;
        loop {
            let len = file.read_at(offset, &mut chunk).map_err(failed)?;
            if len == 0 {
                break;
            }
            file.write_at(offset, &chunk[..len]).map_err(failed)?;
            offset += len as u64;
        }
        file.sync().map_err(failed)
    }

    /// Removes what an attempt to make a database left behind.
    fn remove(&self) -> Attempt<()> {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            match self.surroundings.disk.remove(&beside(&self.database, suffix)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.map_err(|error| self.failed(error))?,
            }
        }
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Failure {
        Failure::io(&format!("`{}`", self.database.display()), error)
    }
}

/// Names a file that belongs to a database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
