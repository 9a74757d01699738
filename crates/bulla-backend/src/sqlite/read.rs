//! Reading, in the thread of whoever asks.

use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Params, Row, params};

use super::{
    check::check,
    commit::Shared,
    error::{Attempt, Failure},
    files::Files,
    lock::Announced,
    read_only::ReadOnly,
    transaction::{find_collection, find_group, find_usage, stored},
};
use crate::{
    Collection, DiskUsage, Document, DocumentKey, ErrorKind, Filed, Filing, ListQuery, MAX_DOCUMENT_LEN,
    MAX_PAGE_BYTES, MAX_PAGE_DOCUMENTS, Page, Revision, Timestamp, Usage, range::Range,
};

/// The longest value that is read: SQLite knows how long one is without loading it.
const MAX_VALUE_LEN: i64 = MAX_DOCUMENT_LEN as i64;

/// Finds the earliest of a group that are due.
const DUE: &str = "SELECT key, revision, due, rank, extra FROM document
                   WHERE group_id = ?1 AND due <= ?2 ORDER BY due LIMIT ?3";
/// Finds the earliest of a group that are due, behind a moment and a key. Those of one moment are sorted.
const DUE_BEHIND: &str = "SELECT key, revision, due, rank, extra FROM document
                          WHERE group_id = ?1 AND due <= ?2 AND due >= ?4 AND (due > ?4 OR key > ?5)
                          ORDER BY due, key LIMIT ?3";
/// Finds the lowest of a group that are ranked no higher.
const LOWEST: &str = "SELECT key, revision, due, rank, extra FROM document
                      WHERE group_id = ?1 AND rank <= ?2 ORDER BY rank LIMIT ?3";

/// Most connections that are kept while nobody reads; as many more are opened as threads read at once.
const MAX_IDLE: usize = 16;

/// Connections that read.
#[derive(Debug)]
pub(super) struct Readers {
    files: Files,
    idle: Mutex<Vec<Connection>>,
    /// What reads in place of all that, on a read-only disk.
    read_only: Option<ReadOnly>,
    /// Missing only there: the file may belong to a database that lay here before.
    announced: Option<Announced>,
    /// The newest revision that was read, where it was the one that was announced.
    newest: Mutex<Option<Revision>>,
}

impl Readers {
    pub(super) fn open(files: Files) -> Attempt<Self> {
        let announced = Announced::open(&*files.surroundings.disk, &files.database)
            .map_err(|error| Failure::io("the lock files beside the database", error))?;
        let (idle, newest) = (Mutex::default(), Mutex::default());
        Ok(Self { files, idle, read_only: None, announced: Some(announced), newest })
    }

    /// Opens a database on a read-only disk.
    pub(super) fn open_read_only(files: Files) -> Attempt<Self> {
        let read_only = Some(ReadOnly::open(files.clone())?);
        Ok(Self { files, idle: Mutex::default(), read_only, announced: None, newest: Mutex::default() })
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
        let remembered = || self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let announced = self.announced.as_ref().and_then(Announced::revision).filter(|_| !shared.is_in_doubt());
        if let Some(newest) = announced
            && announced == *remembered()
        {
            return Ok(newest);
        }
        let newest = self.with(shared, |connection| {
            let mut select = connection.prepare_cached("SELECT revision FROM state WHERE id = 0")?;
            stored(select.query_row([], |row| row.get(0))?)
        })?;
        // Another was announced, and is not committed, or not any more.
        if announced == Some(newest) {
            *remembered() = announced;
        }
        Ok(newest)
    }

    /// Says how much room the files take.
    pub(super) fn disk_usage(&self, shared: &Shared) -> Attempt<DiskUsage> {
        let (pages, page_len, free) = self.with(shared, |connection| {
            let select = "SELECT page_count, page_size, freelist_count
                          FROM pragma_page_count, pragma_page_size, pragma_freelist_count";
            let mut select = connection.prepare_cached(select)?;
            Ok(select.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)))?)
        })?;
        let bytes = |pages: i64| pages.unsigned_abs().saturating_mul(page_len.unsigned_abs());
        let file = self.files.len("")?;
        let total = file + self.files.len("-wal")? + self.files.len("-shm")?;
        // What is free in the middle, and what a checkpoint will cut off.
        Ok(DiskUsage { total, free: bytes(free) + file.saturating_sub(bytes(pages)) })
    }

    /// Lists what is due, of one group or of all.
    pub(super) fn due(
        &self,
        shared: &Shared,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Attempt<Vec<Filed>> {
        self.with(shared, |connection| {
            let Some(collection) = known(connection, shared, collection)? else { return Ok(Vec::new()) };
            let groups = match group {
                Some(name) => known_group(connection, shared, collection, name)?
                    .map(|id| (id, name.len()))
                    .into_iter()
                    .collect::<Vec<_>>(),
                None => {
                    let mut select = connection
                        .prepare_cached("SELECT id, length(name) FROM document_group WHERE collection = ?1")?;
                    let len = |row: &Row<'_>| row.get(1).map(|len: i64| usize::try_from(len).unwrap_or_default());
                    let rows = select.query_map([collection], |row| Ok((row.get(0)?, len(row)?)))?;
                    rows.collect::<rusqlite::Result<_>>()?
                }
            };
            let limit = limit.min(MAX_PAGE_DOCUMENTS);
            let most = i64::try_from(limit).unwrap_or(i64::MAX);
            let in_order = |one: &Filed, other: &Filed| (one.filing.due, &one.key).cmp(&(other.filing.due, &other.key));
            let mut latest = whole(moment);
            let mut due = Vec::new();
            for (id, group_len) in groups {
                match after {
                    None => filed(connection, DUE, group_len, params![id, latest, most], &mut due)?,
                    Some((at, key)) => {
                        let behind = params![id, latest, most, whole(at), key];
                        filed(connection, DUE_BEHIND, group_len, behind, &mut due)?;
                    }
                }
                if due.len() > limit {
                    due.sort_by(in_order);
                    due.truncate(limit);
                    // What is due later than all of these is not asked for any more.
                    let last = due.last().and_then(|filed| filed.filing.due);
                    latest = last.map_or(latest, whole);
                }
            }
            due.sort_by(in_order);
            Ok(due)
        })
    }

    /// Lists the lowest ranks of a group.
    pub(super) fn lowest(
        &self,
        shared: &Shared,
        collection: Collection,
        group: &[u8],
        limit: usize,
    ) -> Attempt<Vec<Filed>> {
        self.with(shared, |connection| {
            let mut lowest = Vec::new();
            if let Some(collection) = known(connection, shared, collection)?
                && let Some(id) = known_group(connection, shared, collection, group)?
            {
                let most = i64::try_from(limit.min(MAX_PAGE_DOCUMENTS)).unwrap_or(i64::MAX);
                filed(connection, LOWEST, group.len(), params![id, i64::MAX, most], &mut lowest)?;
            }
            Ok(lowest)
        })
    }

    /// Says how much there is of a group.
    pub(super) fn usage(&self, shared: &Shared, collection: Collection, group: &[u8]) -> Attempt<Usage> {
        self.with(shared, |connection| {
            let Some(collection) = known(connection, shared, collection)? else { return Ok(Usage::default()) };
            let Some(id) = known_group(connection, shared, collection, group)? else { return Ok(Usage::default()) };
            Ok(find_usage(connection, id)?)
        })
    }

    /// Lists what is wrong with the database.
    pub(super) fn check(&self) -> Attempt<Vec<String>> {
        match &self.read_only {
            Some(read_only) => read_only.read(check),
            None => check(&self.files.connect()?),
        }
    }

    /// Lends a connection. One that failed is not used again.
    fn with<T>(&self, shared: &Shared, read: impl Fn(&Connection) -> Attempt<T>) -> Attempt<T> {
        if let Some(read_only) = &self.read_only {
            return read_only.read(read);
        }
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

fn known_group(connection: &Connection, shared: &Shared, collection: i64, name: &[u8]) -> Attempt<Option<i64>> {
    if let Some(id) = shared.group(collection, name) {
        return Ok(Some(id));
    }
    let found = find_group(connection, collection, name)?;
    if let Some(id) = found {
        shared.learn_group(collection, name, id);
    }
    Ok(found)
}

fn whole(moment: Timestamp) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}

/// Adds filed documents of a group with a name of that length.
fn filed(
    connection: &Connection,
    statement: &str,
    group_len: usize,
    params: impl Params,
    found: &mut Vec<Filed>,
) -> Attempt<()> {
    let mut select = connection.prepare_cached(statement)?;
    let mut rows = select.query(params)?;
    while let Some(row) = rows.next()? {
        // What is negative was written by nobody; it goes first.
        let number = |column| {
            row.get(column).map(|number: Option<i64>| number.map(|number| u64::try_from(number).unwrap_or_default()))
        };
        found.push(Filed {
            key: key(row)?,
            revision: stored(row.get(1)?)?,
            filing: Filing {
                group_len,
                due: number(2)?.map(Timestamp),
                rank: number(3)?,
                extra_bytes: number(4)?.unwrap_or_default(),
                limit: None,
            },
        });
    }
    Ok(())
}

fn key(row: &Row<'_>) -> Attempt<DocumentKey> {
    let key: Vec<u8> = row.get(0)?;
    DocumentKey::new(key)
        .map_err(|error| Failure::new(ErrorKind::Corrupt, format!("a document has an impossible key: {error}")))
}

fn listed(row: &Row<'_>) -> Attempt<Document> {
    document(key(row)?, row.get(1)?, row.get(2)?)
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

#[cfg(test)]
mod tests {
    use rusqlite::params_from_iter;

    use super::*;
    use crate::sqlite::schema::{APPLICATION_ID, STEPS, migrate};

    #[test]
    fn what_is_due_and_what_ranks_lowest_is_found_by_an_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        migrate(&mut connection, &STEPS).unwrap();
        // Nothing is sorted but, behind a place, those of one moment, and nothing read beside.
        for (statement, steps) in [
            (DUE, &["SEARCH document USING INDEX document_due (group_id=? AND due<?)"][..]),
            (LOWEST, &["SEARCH document USING INDEX document_rank (group_id=? AND rank<?)"]),
            (
                DUE_BEHIND,
                &[
                    "SEARCH document USING INDEX document_due (group_id=? AND due>? AND due<?)",
                    "USE TEMP B-TREE FOR LAST TERM OF ORDER BY",
                ],
            ),
        ] {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
            let count = explain.parameter_count();
            let plan = explain.query_map(params_from_iter(vec![0; count]), |row| row.get::<_, String>(3)).unwrap();
            assert_eq!(plan.collect::<rusqlite::Result<Vec<_>>>().unwrap(), steps);
        }
    }
}
