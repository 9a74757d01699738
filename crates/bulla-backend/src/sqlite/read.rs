//! Reading, in the thread of whoever asks.

use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    commit::{Shared, find_collection, stored},
    error::{Attempt, Failure},
    files::Files,
};
use crate::{
    Collection, Document, DocumentKey, ErrorKind, ListQuery, MAX_DOCUMENT_LEN, MAX_PAGE_BYTES, Page, Revision,
    range::Range,
};

/// The longest value that is read: SQLite knows how long one is without loading it.
const MAX_VALUE_LEN: i64 = MAX_DOCUMENT_LEN as i64;

/// Most connections that are kept while nobody reads; as many more are opened as threads read at once.
const MAX_IDLE: usize = 16;

/// Connections that read.
#[derive(Debug)]
pub(super) struct Readers {
    files: Files,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) const fn new(files: Files) -> Self {
        Self { files, idle: Mutex::new(Vec::new()) }
    }

    /// Reads one document.
    pub(super) fn get(&self, shared: &Shared, collection: Collection, key: &DocumentKey) -> Attempt<Option<Document>> {
        self.with(shared, |connection| {
            let Some(id) = known(connection, shared, collection)? else { return Ok(None) };
            let mut select = connection.prepare_cached(
                "SELECT revision, CASE WHEN length(value) <= ?3 THEN value END FROM document
                 WHERE collection = ?1 AND key = ?2",
            )?;
            let row = select
                .query_row(params![id, key.as_bytes(), MAX_VALUE_LEN], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            row.map(|(revision, value)| document(key.clone(), revision, value)).transpose()
        })
    }

    /// Reads one page.
    pub(super) fn list(&self, shared: &Shared, collection: Collection, query: &ListQuery) -> Attempt<Page> {
        self.with(shared, |connection| {
            let Some(id) = known(connection, shared, collection)? else { return Ok(Page::default()) };
            let range = Range::of(query);
            let most = i64::try_from(query.page_len() + 1).unwrap_or(i64::MAX);
            let mut select = connection.prepare_cached(if range.end.is_some() {
                "SELECT key, revision, CASE WHEN length(value) <= ?4 THEN value END FROM document
                 WHERE collection = ?1 AND key >= ?2 AND key < ?5 ORDER BY key LIMIT ?3"
            } else {
                "SELECT key, revision, CASE WHEN length(value) <= ?4 THEN value END FROM document
                 WHERE collection = ?1 AND key >= ?2 ORDER BY key LIMIT ?3"
            })?;
            let mut rows = match &range.end {
                Some(end) => select.query(params![id, range.start, most, MAX_VALUE_LEN, end]),
                None => select.query(params![id, range.start, most, MAX_VALUE_LEN]),
            }?;
            let mut page = Page::default();
            let mut bytes = 0;
            while let Some(row) = rows.next()? {
                if page.documents.len() == query.page_len() || bytes > MAX_PAGE_BYTES {
                    page.next = page.documents.last().map(|last: &Document| last.key.clone());
                    break;
                }
                let document = listed(row)?;
                bytes += document.value.len();
                page.documents.push(document);
            }
            Ok(page)
        })
    }

    /// Reads the revision of the newest write of the database.
    pub(super) fn newest(&self, shared: &Shared) -> Attempt<Revision> {
        self.with(shared, |connection| {
            stored(connection.prepare_cached("SELECT revision FROM sequence")?.query_row([], |row| row.get(0))?)
        })
    }

    /// Lists what is wrong with the database.
    pub(super) fn check(&self) -> Attempt<Vec<String>> {
        let connection = self.files.connect()?;
        let mut found = Vec::new();
        let checks = [
            "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
            "SELECT 'document ' || id || ' belongs to no collection' FROM document
             WHERE collection NOT IN (SELECT id FROM collection)",
            "SELECT 'document ' || id || ' has revision ' || revision || ', which none has' FROM document
             WHERE revision < 1 OR revision > (SELECT revision FROM sequence)",
            "SELECT 'revision ' || revision || ' was not set aside' FROM sequence WHERE revision > reserved",
        ];
        for check in checks {
            let mut select = connection.prepare(check)?;
            for problem in select.query_map([], |row| row.get(0))? {
                found.push(problem?);
            }
        }
        Ok(found)
    }

    /// Lends a connection. One that failed is not used again.
    fn with<T>(&self, shared: &Shared, read: impl FnOnce(&Connection) -> Attempt<T>) -> Attempt<T> {
        if shared.is_in_doubt() {
            return Err(Failure::new(
                ErrorKind::Io,
                "a write failed, and whether it happened is open until the disk takes a further one; mend the disk and write",
            ));
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = self.files.connect()?;
                connection.pragma_update(None, "query_only", true)?;
                connection
            }
        };
        let read = read(&connection)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        Ok(read)
    }
}

fn known(connection: &Connection, shared: &Shared, collection: Collection) -> Attempt<Option<i64>> {
    if let Some(id) = shared.collection(collection) {
        return Ok(Some(id));
    }
    let found = find_collection(connection, collection)?;
    if let Some(id) = found {
        shared.learn(collection, id);
    }
    Ok(found)
}

fn listed(row: &Row<'_>) -> Attempt<Document> {
    let key: Vec<u8> = row.get(0)?;
    let key = DocumentKey::new(key)
        .map_err(|error| Failure::new(ErrorKind::Corrupt, format!("a document has an impossible key: {error}")))?;
    document(key, row.get(1)?, row.get(2)?)
}

/// Makes a document of what was found; `value` is left out where it is too long to be read.
fn document(key: DocumentKey, revision: i64, value: Option<Vec<u8>>) -> Attempt<Document> {
    let value = value.ok_or_else(|| {
        let detail =
            format!("the document `{key}` is longer than {MAX_DOCUMENT_LEN} bytes, which no writer of ours left");
        Failure::new(ErrorKind::Corrupt, detail)
    })?;
    Ok(Document { key, revision: stored(revision)?, value })
}
