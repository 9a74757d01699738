//! Reading where nothing can be written: a disk that is mounted read-only (spec, "A read-only disk").
//!
//! SQLite reads its log by an index in shared memory, the file `-shm`, which it cannot make on such a disk. Where the file is there, SQLite does
//! what is right by itself; where it is not, nobody can be writing, as any writer would have made it. Others may write to the same folder
//! through another mount of it, so that is looked at again with every read.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    error::{Attempt, Failure},
    files::Files,
    schema,
};
use crate::{ErrorKind, Stat};

/// Most connections that are kept while nobody reads.
const MAX_IDLE: usize = 16;
/// How often a read is tried again because the files changed under it: the next time it goes by locks, unless they change in ways of their own.
const MAX_LOOKS: usize = 8;
/// SQLite's file layer without locks.
const WITHOUT_LOCKS: &str = "unix-none";

/// Connections to a database that nothing is written to from here.
#[derive(Debug)]
pub(super) struct ReadOnly {
    files: Files,
    idle: Mutex<Vec<(Seen, Connection)>>,
}

/// The files of a database, as they were when a connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    database: Option<Stat>,
    log: Option<Stat>,
    index: Option<Stat>,
}

/// How SQLite comes to know what is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By the index in shared memory, if somebody has it open who writes; else by one of its own, until somebody does.
    Shared,
    /// By an index of its own, in memory: it takes what it finds for all there is.
    Own,
    /// There is no log, or nothing in it.
    NoLog,
}

impl ReadOnly {
    /// Opens a database whose schema is the present one.
    pub(super) fn open(files: Files) -> Attempt<Self> {
        let read_only = Self { files, idle: Mutex::default() };
        read_only.read(|connection| schema::expect_present(connection, &schema::STEPS))?;
        Ok(read_only)
    }

    /// Reads by a connection that sees all commits there are. A read that the files changed under is done again.
    pub(super) fn read<T>(&self, read: impl Fn(&Connection) -> Attempt<T>) -> Attempt<T> {
        for _ in 0..MAX_LOOKS {
            let seen = Seen::of(&self.files)?;
            let attempt = self.attempt(seen, &read);
            let attempt = match attempt {
                // Whoever wrote by the shared index was killed while it changed it, and nobody writes at present who would mend it.
                Err(failure) if failure.wants_recovery() => {
                    self.connect(Way::Own).and_then(|connection| read(&connection)).map(|value| (value, None))
                }
                attempt => attempt.map(|(value, connection)| (value, Some(connection))),
            };
            match attempt {
                // SQLite's locks have kept away whoever could disturb it.
                Ok((value, Some(connection))) if seen.way() == Way::Shared => {
                    self.keep(seen, connection);
                    return Ok(value);
                }
                attempt if seen.has_same_contents(&Seen::of(&self.files)?) => {
                    let (value, connection) = attempt?;
                    if let Some(connection) = connection {
                        self.keep(seen, connection);
                    }
                    return Ok(value);
                }
                _ => {}
            }
        }
        let detail = format!("`{}` is being changed by another program; try again", self.files.database.display());
        Err(Failure::new(ErrorKind::Unavailable, detail))
    }

    /// Reads by a connection that was kept, or a new one, and returns it.
    fn attempt<T>(&self, seen: Seen, read: impl Fn(&Connection) -> Attempt<T>) -> Attempt<(T, Connection)> {
        let kept = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|(then, _)| seen.is_served_by(then));
            idle.pop().map(|(_, connection)| connection)
        };
        let connection = kept.map_or_else(|| self.connect(seen.way()), Ok)?;
        Ok((read(&connection)?, connection))
    }

    fn keep(&self, seen: Seen, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push((seen, connection));
        }
    }

    fn connect(&self, way: Way) -> Attempt<Connection> {
        let Files { database, surroundings } = &self.files;
        let (access, vfs) = (OpenFlags::SQLITE_OPEN_READ_ONLY, surroundings.vfs.as_deref());
        let connection = match way {
            Way::Shared => self.files.connect_by(database, access, vfs)?,
            Way::Own => {
                let connection = self.files.connect_by(database, access, vfs.or(Some(WITHOUT_LOCKS)))?;
                // What makes SQLite keep the index in its own memory. It would take a lock that only a file open for writing can have.
                connection.pragma_update_and_check(None, "locking_mode", "EXCLUSIVE", |_| Ok(()))?;
                connection
            }
            Way::NoLog => self.files.connect_by(&immutable(database), access | OpenFlags::SQLITE_OPEN_URI, vfs)?,
        };
        // There may be no place for temporary files.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

impl Seen {
    fn of(files: &Files) -> Attempt<Self> {
        // In this order: a writer that comes makes the index before it changes anything.
        let (database, log) = (files.stat("")?, files.stat("-wal")?);
        Ok(Self { database, log, index: files.stat("-shm")? })
    }

    fn way(&self) -> Way {
        match (self.log, self.index) {
            (Some(_), Some(_)) => Way::Shared,
            (Some(log), None) if log.len > 0 => Way::Own,
            _ => Way::NoLog,
        }
    }

    /// Says whether a connection still serves that was made when the files were as they were `then`.
    fn is_served_by(&self, then: &Self) -> bool {
        match self.way() {
            Way::Shared => then.way() == Way::Shared && self.files() == then.files(),
            Way::Own | Way::NoLog => self == then,
        }
    }

    /// Says whether nothing was written between the two looks, nor about to be.
    fn has_same_contents(&self, later: &Self) -> bool {
        self.way() == later.way() && self.database == later.database && self.log == later.log
    }

    /// Returns which files they are, whatever is in them.
    fn files(&self) -> [Option<(u64, u64)>; 3] {
        let file = |stat: Stat| (stat.identity.device, stat.identity.inode);
        [self.database.map(file), self.log.map(file), self.index.map(file)]
    }
}

/// Names a database so that SQLite reads the one file and looks for no log (<https://www.sqlite.org/uri.html>).
fn immutable(database: &Path) -> PathBuf {
    let mut name = String::from("file:");
    for byte in database.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => name.push(char::from(*byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name.push_str("?immutable=1");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileIdentity;

    fn file(inode: u64, len: u64) -> Option<Stat> {
        Some(Stat { is_folder: false, len, identity: FileIdentity { device: 1, inode, modified: 0 } })
    }

    #[test]
    fn a_log_with_anything_in_it_is_never_passed_over() {
        let way = |log, index| Seen { database: file(1, 8_192), log, index }.way();
        assert_eq!(way(file(2, 1), None), Way::Own);
        assert_eq!(way(file(2, 1), file(3, 0)), Way::Shared);
        assert_eq!(way(file(2, 0), file(3, 32_768)), Way::Shared);
        assert_eq!(way(file(2, 0), None), Way::NoLog);
        assert_eq!(way(None, file(3, 32_768)), Way::NoLog);
        assert_eq!(way(None, None), Way::NoLog);
    }

    #[test]
    fn a_connection_that_looked_at_the_files_once_serves_only_as_long_as_they_stay() {
        let own = Seen { database: file(1, 8_192), log: file(2, 100), index: None };
        assert!(own.is_served_by(&own));
        for other in [
            Seen { database: file(1, 16_384), ..own },
            Seen { log: file(2, 101), ..own },
            Seen { log: file(2, 0), ..own },
            Seen { index: file(3, 0), ..own },
        ] {
            assert!(!other.is_served_by(&own) && !own.is_served_by(&other), "{other:?}");
        }
        let shared = Seen { index: file(3, 32_768), ..own };
        assert!(Seen { log: file(2, 101), ..shared }.is_served_by(&shared));
        assert!(!Seen { index: file(4, 32_768), ..shared }.is_served_by(&shared));
    }

    #[test]
    fn every_path_has_a_name_that_leads_to_it() {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let folder = tempfile::tempdir().unwrap();
        for name in [&b"plain"[..], b"a b?immutable=0#c%41&d", b"\xFF\xC3\xA4", b"'\"\\"] {
            let path = folder.path().join(OsStr::from_bytes(name));
            Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            let connection = Connection::open_with_flags(immutable(&path), flags).unwrap();
            assert_eq!(connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)), Ok(0));
        }
    }
}
