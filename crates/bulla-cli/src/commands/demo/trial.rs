//! The demo's project, and the bytes that it keeps on the disk, as somebody sees and changes them who has no key.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bulla::{Project, Settings, SettingsBuilder};
use rusqlite::{Connection, OptionalExtension, params};

use crate::failure::{Failure, Result};

/// The demo's project.
pub(super) struct Trial {
    folder: PathBuf,
}

impl Trial {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Returns settings that lead to this project alone.
    pub(super) fn settings(&self) -> SettingsBuilder {
        self.settings_of(&self.folder.join("identity"))
    }

    /// Returns settings that lead to this project, with another machine's identity.
    pub(super) fn settings_of(&self, identity: &Path) -> SettingsBuilder {
        let mut backend = std::ffi::OsString::from("sqlite:");
        backend.push(self.folder.join("data"));
        Settings::builder().environment(false).file(self.folder.join("bulla.toml")).identity(identity).backend(backend)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) async fn open(&self) -> Result<Project> {
        Ok(Project::open(self.settings().load()?).await?)
    }

    /// Reads the stored bytes of an entry.
    pub(super) fn row(&self, namespace: &str, name: &str) -> Result<Vec<u8>> {
        let sql = "SELECT value FROM document WHERE key = ?1";
        let found = self.database()?.query_row(sql, params![key(namespace, name)], |row| row.get(0)).optional();
        found.map_err(database_failure)?.ok_or_else(|| Failure::demo(format!("there is no row of `{name}`")))
    }

    /// Changes the stored bytes of an entry, or puts them back where a reader has put others into quarantine.
    pub(super) fn set_row(&self, namespace: &str, name: &str, value: &[u8]) -> Result<()> {
        let sql = "INSERT INTO document (collection, key, revision, value)
                   SELECT collection.id, ?1, state.revision, ?2 FROM collection, state
                   WHERE collection.name = 'entries' AND state.id = 0
                   ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value";
        match self.database()?.execute(sql, params![key(namespace, name), value]).map_err(database_failure)? {
            1 => Ok(()),
            _ => Err(Failure::demo(format!("there is no row of `{name}`"))),
        }
    }

    /// Stores the bytes of an entry under another name too.
    pub(super) fn copy_row(&self, namespace: &str, from: &str, to: &str) -> Result<()> {
        let sql = "INSERT INTO document (collection, key, revision, value)
                   SELECT collection, ?2, revision, value FROM document WHERE key = ?1";
        let copied = self.database()?.execute(sql, params![key(namespace, from), key(namespace, to)]);
        copied.map(drop).map_err(database_failure)
    }

    /// Takes the bytes of an entry away.
    pub(super) fn delete_row(&self, namespace: &str, name: &str) -> Result<()> {
        let deleted = self.database()?.execute("DELETE FROM document WHERE key = ?1", params![key(namespace, name)]);
        deleted.map(drop).map_err(database_failure)
    }

    /// Returns the files that hold blobs.
    pub(super) fn blob_files(&self) -> Result<BTreeSet<PathBuf>> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.folder.join("data/blobs")];
        while let Some(folder) = folders.pop() {
            let failed = |error: io::Error| Failure::file("read the folder", &folder, &error);
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                if entry.file_type().map_err(failed)?.is_dir() {
                    folders.push(entry.path());
                } else {
                    files.insert(entry.path());
                }
            }
        }
        Ok(files)
    }

    fn database(&self) -> Result<Connection> {
        Connection::open(self.folder.join("data/entries.db")).map_err(database_failure)
    }
}

/// Makes the key of an entry's row.
fn key(namespace: &str, name: &str) -> Vec<u8> {
    [namespace.as_bytes(), b"\0", name.as_bytes()].concat()
}

fn database_failure(error: rusqlite::Error) -> Failure {
    Failure::demo(format!("the attacker could not change the database: {error}"))
}
