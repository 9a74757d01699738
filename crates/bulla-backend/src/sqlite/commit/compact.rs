//! Giving room back: rows are moved together, free pages to the end of the file, and the end is cut off.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{LONG_LOG_PATIENCE, Log, PATIENCE, Transaction, Turn, Unwritten, checkpoint};
use crate::{
    Durability, ErrorKind,
    sqlite::error::{Attempt, Failure},
    sqlite::schema::PAGE_LEN,
};

/// A step takes no further rows or pages after this time.
const MAX_STEP_TIME: Duration = Duration::from_millis(8);
/// Rows that are looked at, and moved, together.
const ROWS: i64 = 256;
/// Pages that are moved together.
const PAGES: i64 = 32;
/// Pages that have to be free, and a quarter of all, for a file to be written anew.
const LEAST_ROOM: i64 = 64;
/// Places of the table that are looked at to tell how full it is.
const PROBES: i64 = 64;
/// Rows that are looked at in each.
const PROBED_ROWS: i64 = 16;

/// A pass over the table of documents. Where the numbers of rows have gaps, rows were deleted, and their pages are half empty:
/// numbers are given out in order, and lie in pages in that order.
#[derive(Debug)]
pub(super) struct Pass {
    /// The last row that was looked at.
    after: i64,
    /// The last row there was when the pass began. Rows that are moved go behind it.
    end: i64,
    /// How many bytes it has freed.
    freed: u64,
}

/// What a step has come to.
#[derive(Debug, Default)]
struct Step {
    /// Whether there is nothing more to move.
    is_last: bool,
    /// How many bytes at the end of the file are free to be cut off by it.
    freed: u64,
}

/// How much there is of a stretch of rows.
#[derive(Debug)]
struct Stretch {
    rows: i64,
    first: i64,
    last: i64,
    bytes: i64,
}

impl Log {
    /// Gives back a piece of the file; `None` if there is nothing more.
    pub(super) fn compact(&mut self, turn: &Turn<'_>) -> Attempt<Option<u64>> {
        self.ready(turn)?;
        let connection = self.connect()?;
        let mode: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
        if mode == 0 {
            return self.vacuum(turn);
        }
        let (mut pass, mut step) = (self.pass.take(), Step::default());
        self.write_or_mend(turn, Durability::Cache, |transaction, _| {
            step = Step::make(transaction, &mut pass)?;
            Ok(())
        })?;
        let freed = pass.as_mut().map_or(0, |pass| {
            pass.freed = pass.freed.saturating_add(step.freed);
            pass.freed
        });
        if !step.is_last {
            self.pass = pass;
        } else if freed > 0 {
            // Now the end of the file can be cut off, and the log with it.
            self.empty(turn)?;
        }
        Ok((!step.is_last || step.freed > 0).then_some(step.freed))
    }

    /// Writes a file anew that does not keep track of its pages, as schema 1 made them: once, and if it is worth it.
    fn vacuum(&mut self, turn: &Turn<'_>) -> Attempt<Option<u64>> {
        let connection = self.connect()?;
        let before = page_count(connection)?;
        let room = free_pages(connection)? + before * sparsity(connection)? / 100;
        if room < LEAST_ROOM || room * 4 < before {
            return Ok(None);
        }
        connection.pragma_update(None, "synchronous", "FULL")?;
        self.synced = Durability::Durable;
        let connection = self.connect()?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        let written = connection.execute_batch("VACUUM").map_err(|error| match Failure::from(error) {
            failure @ Failure { kind: ErrorKind::Full | ErrorKind::Unavailable, .. } => Unwritten::Nothing(failure),
            failure => Unwritten::InDoubt(failure),
        });
        self.mended(turn, written)?;
        let freed = before - page_count(self.connect()?)?;
        self.empty(turn)?;
        Ok(Some(bytes(freed)))
    }

    /// Moves the log into the database file and empties it, unless somebody reads from it.
    fn empty(&mut self, turn: &Turn<'_>) -> Attempt<()> {
        let connection = self.connect()?;
        connection.busy_timeout(LONG_LOG_PATIENCE)?;
        let emptied = checkpoint(connection, "TRUNCATE");
        connection.busy_timeout(PATIENCE)?;
        self.checked(turn, emptied)
    }
}

impl Step {
    /// Moves rows, or else pages.
    fn make(transaction: &mut Transaction<'_>, pass: &mut Option<Pass>) -> Attempt<Self> {
        let connection = transaction.rearrange();
        let begun = Instant::now();
        let before = page_count(connection)?;
        let pass = match pass {
            Some(pass) => pass,
            None => pass.insert(Pass::begin(connection)?),
        };
        let is_in_time = || begun.elapsed() < MAX_STEP_TIME;
        let mut has_more_rows = true;
        while has_more_rows && is_in_time() {
            has_more_rows = pass.go_on(connection)?;
        }
        let mut has_more_pages = true;
        while !has_more_rows && has_more_pages && is_in_time() {
            let free = free_pages(connection)?;
            let mut vacuum = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
            let mut moved = vacuum.query([])?;
            while moved.next()?.is_some() {}
            let left = free_pages(connection)?;
            has_more_pages = left > 0 && left < free;
        }
        let freed = bytes(before - page_count(connection)?);
        Ok(Self { is_last: !has_more_rows && !has_more_pages, freed })
    }
}

impl Pass {
    /// Begins at the first row, or, if few are missing, behind the last.
    fn begin(connection: &Connection) -> Attempt<Self> {
        let end = last_row(connection)?;
        Ok(Self { after: if sparsity(connection)? >= 15 { 0 } else { end }, end, freed: 0 })
    }

    /// Looks at some rows, and moves them behind the last if they have many gaps; says whether there are more.
    fn go_on(&mut self, connection: &Connection) -> Attempt<bool> {
        if self.after >= self.end {
            return Ok(false);
        }
        let stretch = Stretch::behind(connection, self.after, self.end, ROWS)?;
        let begin = self.after;
        self.after = stretch.last.max(begin);
        if stretch.rows == 0 {
            self.after = self.end;
        } else if stretch.is_sparse() {
            let mut next = last_row(connection)?;
            let mut rows =
                connection.prepare_cached("SELECT id FROM document WHERE id > ?1 AND id <= ?2 ORDER BY id")?;
            let rows = rows.query_map([begin, stretch.last], |row| row.get(0))?;
            // Collected first: they are not to be met again where they are moved to.
            for row in rows.collect::<rusqlite::Result<Vec<i64>>>()? {
                next = next.checked_add(1).ok_or_else(|| {
                    Failure::new(ErrorKind::Unsuitable, "the rows are used up, or the database was tampered with")
                })?;
                connection.prepare_cached("UPDATE document SET id = ?2 WHERE id = ?1")?.execute([row, next])?;
            }
        }
        Ok(self.after < self.end)
    }
}

impl Stretch {
    fn behind(connection: &Connection, after: i64, end: i64, rows: i64) -> Attempt<Self> {
        let mut select = connection.prepare_cached(
            "SELECT count(*), coalesce(min(id), ?1), coalesce(max(id), ?1), coalesce(sum(length(value)), 0)
             FROM (SELECT id, value FROM document WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3)",
        )?;
        Ok(select.query_row([after, end, rows], |row| {
            Ok(Self { rows: row.get(0)?, first: row.get(1)?, last: row.get(2)?, bytes: row.get(3)? })
        })?)
    }

    /// Returns how many numbers there are from the first row to the last.
    const fn span(&self) -> i64 {
        if self.rows == 0 { 0 } else { self.last.saturating_sub(self.first).saturating_add(1) }
    }

    /// Says whether a fifth is missing, of rows that share their pages with others.
    const fn is_sparse(&self) -> bool {
        self.rows > 0
            && self.bytes / self.rows < PAGE_LEN as i64 / 2
            && self.rows.saturating_mul(5) < self.span().saturating_mul(4)
    }
}

/// Tells how many of a hundred rows are missing, by looks at a few places.
fn sparsity(connection: &Connection) -> Attempt<i64> {
    let mut select = connection.prepare_cached("SELECT coalesce(min(id), 0) FROM document")?;
    let first: i64 = select.query_row([], |row| row.get(0))?;
    let end = last_row(connection)?;
    let (mut rows, mut span) = (0, 0_i64);
    for probe in 0..PROBES {
        let after = first.saturating_sub(1).saturating_add(end.saturating_sub(first) / PROBES * probe);
        let stretch = Stretch::behind(connection, after, end, PROBED_ROWS)?;
        rows += stretch.rows;
        span = span.saturating_add(stretch.span());
    }
    Ok(if span == 0 { 0 } else { span.saturating_sub(rows).saturating_mul(100) / span })
}

fn last_row(connection: &Connection) -> Attempt<i64> {
    let mut select = connection.prepare_cached("SELECT coalesce(max(id), 0) FROM document")?;
    Ok(select.query_row([], |row| row.get(0))?)
}

fn page_count(connection: &Connection) -> Attempt<i64> {
    Ok(connection.prepare_cached("PRAGMA page_count")?.query_row([], |row| row.get(0))?)
}

fn free_pages(connection: &Connection) -> Attempt<i64> {
    Ok(connection.prepare_cached("PRAGMA freelist_count")?.query_row([], |row| row.get(0))?)
}

fn bytes(pages: i64) -> u64 {
    u64::try_from(pages).unwrap_or_default().saturating_mul(PAGE_LEN.unsigned_abs().into())
}
