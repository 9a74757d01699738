//! The tables, and how older ones become them.

use rusqlite::{Connection, TransactionBehavior};

use super::error::{Attempt, Failure};
use crate::ErrorKind;

/// Marks a file as a database of ours (`application_id` in SQLite's file header): "Bula".
pub(super) const APPLICATION_ID: i32 = 0x4275_6C61;
/// Larger than SQLite's 4 KiB: a 1 KiB entry, and its key in the index, waste less of a page.
pub(super) const PAGE_LEN: i32 = 8192;

/// What makes schema 1 of nothing, schema 2 of schema 1, and so on. A step that was released is never changed.
pub(super) const STEPS: [&str; 2] = [
    // `id` of a document is SQLite's rowid, so that the key lies in the index and not a second time beside the value.
    // `value` comes last, so that a revision is read without the value's overflow pages.
    "CREATE TABLE collection (
         id INTEGER PRIMARY KEY,
         name TEXT NOT NULL UNIQUE
     ) STRICT;
     CREATE TABLE document (
         id INTEGER PRIMARY KEY,
         collection INTEGER NOT NULL,
         key BLOB NOT NULL,
         revision INTEGER NOT NULL,
         value BLOB NOT NULL,
         UNIQUE (collection, key)
     ) STRICT;
     CREATE TABLE sequence (
         id INTEGER PRIMARY KEY CHECK (id = 1),
         revision INTEGER NOT NULL,
         reserved INTEGER NOT NULL,
         boot TEXT NOT NULL
     ) STRICT;
     INSERT INTO sequence (id, revision, reserved, boot) VALUES (1, 0, 0, '');",
    // What a document is filed by lies in its row: a table beside it would be one page more in the log for every write. For the
    // same reason what every commit changes, the revision and the totals of groups, is in one small table: row 0 counts the
    // revisions, each other row is the group of that number.
    "ALTER TABLE document ADD COLUMN group_id INTEGER;
     ALTER TABLE document ADD COLUMN due INTEGER;
     ALTER TABLE document ADD COLUMN rank INTEGER;
     ALTER TABLE document ADD COLUMN extra INTEGER;
     CREATE INDEX document_due ON document (group_id, due) WHERE due IS NOT NULL;
     CREATE INDEX document_rank ON document (group_id, rank) WHERE rank IS NOT NULL;
     CREATE TABLE document_group (
         id INTEGER PRIMARY KEY,
         collection INTEGER NOT NULL,
         name BLOB NOT NULL,
         UNIQUE (collection, name)
     ) STRICT;
     CREATE TABLE state (
         id INTEGER PRIMARY KEY,
         revision INTEGER,
         reserved INTEGER,
         boot TEXT,
         documents INTEGER,
         bytes INTEGER
     ) STRICT;
     INSERT INTO state (id, revision, reserved, boot) SELECT 0, revision, reserved, boot FROM sequence;
     DROP TABLE sequence;",
];

/// Prepares an empty file: what cannot be changed once there are tables.
pub(super) fn format(connection: &Connection) -> Attempt<()> {
    connection.pragma_update(None, "page_size", PAGE_LEN)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::new(
            ErrorKind::Unsuitable,
            format!("the file system does not support SQLite's write-ahead log (mode `{mode}`); choose another folder"),
        ));
    }
    Ok(())
}

/// Brings the tables up to the last of `steps`, all or none, durably.
///
/// The caller holds the turn, so no other process does the same.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> Attempt<()> {
    let version = version(connection, steps)?;
    if version == steps.len() {
        return Ok(());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in &steps[version..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(steps.len()).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(())
}

/// Fails unless the tables are as the last of `steps` makes them: where nothing can be written, they stay as they are.
pub(super) fn expect_present(connection: &Connection, steps: &[&str]) -> Attempt<()> {
    let version = version(connection, steps)?;
    if version == steps.len() {
        return Ok(());
    }
    Err(Failure::new(
        ErrorKind::Unsuitable,
        format!(
            "its schema is number {version} and must become {}, which a read-only disk does not allow; open it once where it can be written",
            steps.len()
        ),
    ))
}

/// Returns the number of the schema, which is one that is known.
fn version(connection: &Connection, steps: &[&str]) -> Attempt<usize> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(Failure::new(
            ErrorKind::Unsuitable,
            "the file is not a database of ours; another program uses it, or it was emptied",
        ));
    }
    let version = usize::try_from(version)
        .map_err(|_| Failure::new(ErrorKind::Corrupt, format!("its schema is number {version}, which none is")))?;
    if version > steps.len() {
        return Err(Failure::new(
            ErrorKind::Unsuitable,
            format!("its schema is number {version}, and this program knows up to {}; update it", steps.len()),
        ));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database as version 1 of this driver made it, with two documents.
    const VERSION_1: &str = include_str!("../../tests/fixtures/sqlite-schema-1.sql");

    fn version_1() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(VERSION_1).unwrap();
        connection
    }

    fn version(connection: &Connection) -> i32 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    fn values(connection: &Connection) -> Vec<(Vec<u8>, i64, Vec<u8>)> {
        let mut select = connection.prepare("SELECT key, revision, value FROM document ORDER BY key").unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn every_step_makes_the_next_version_of_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        migrate(&mut connection, &STEPS).unwrap();
        assert_eq!(version(&connection), i32::try_from(STEPS.len()).unwrap());
    }

    #[test]
    fn the_first_version_opens_with_all_it_holds() {
        let mut connection = version_1();
        let before = values(&connection);
        assert_eq!(before.len(), 2);
        migrate(&mut connection, &STEPS).unwrap();
        assert_eq!(values(&connection), before);
    }

    #[test]
    fn a_further_step_is_applied_once() {
        let later = [STEPS[0], "ALTER TABLE document ADD COLUMN added INTEGER NOT NULL DEFAULT 7;"];
        let mut connection = version_1();
        let before = values(&connection);
        for _ in 0..2 {
            migrate(&mut connection, &later).unwrap();
            assert_eq!(version(&connection), 2);
            assert_eq!(values(&connection), before);
        }
        let added: i64 = connection.query_row("SELECT sum(added) FROM document", [], |row| row.get(0)).unwrap();
        assert_eq!(added, 14);
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before() {
        let broken = [STEPS[0], "CREATE TABLE half (id INTEGER PRIMARY KEY);", "CREATE TABLE half (id INTEGER);"];
        let mut connection = version_1();
        let before = values(&connection);
        migrate(&mut connection, &broken).unwrap_err();
        assert_eq!(version(&connection), 1);
        assert_eq!(values(&connection), before);
        assert!(connection.prepare("SELECT * FROM half").is_err());
    }

    #[test]
    fn an_older_version_is_refused_where_it_cannot_be_brought_up_to_date() {
        let mut connection = version_1();
        let refused = expect_present(&connection, &STEPS).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Unsuitable);
        assert!(refused.during("open a database").to_string().contains("schema is number 1 and must become 2"));
        migrate(&mut connection, &STEPS).unwrap();
        expect_present(&connection, &STEPS).unwrap();
    }

    #[test]
    fn a_newer_version_is_refused() {
        let mut connection = version_1();
        connection.pragma_update(None, "user_version", STEPS.len() as i64 + 1).unwrap();
        assert_eq!(migrate(&mut connection, &STEPS).unwrap_err().kind, ErrorKind::Unsuitable);
        connection.pragma_update(None, "user_version", -1).unwrap();
        assert_eq!(migrate(&mut connection, &STEPS).unwrap_err().kind, ErrorKind::Corrupt);
    }

    #[test]
    fn a_foreign_database_is_refused() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE bookmarks (url TEXT);").unwrap();
        assert_eq!(migrate(&mut connection, &STEPS).unwrap_err().kind, ErrorKind::Unsuitable);
    }
}
