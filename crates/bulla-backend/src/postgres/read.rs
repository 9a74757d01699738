//! Reading documents and change marks.

use tokio_postgres::Row;

use super::{
    error::{Attempt, Failure},
    place::Place,
    server::Lease,
    write::{revision, whole},
};
use crate::{
    ChangeMark, Collection, DiskUsage, Document, DocumentKey, Filed, Filing, ListQuery, MAX_DOCUMENT_LEN,
    MAX_PAGE_BYTES, Page, Timestamp, Usage, range::Range,
};

/// The statements that read from a place.
#[derive(Debug)]
pub(super) struct Statements {
    get: String,
    list: String,
    list_up_to: String,
    mark: String,
    due: String,
    due_in_all: String,
    due_behind: String,
    due_in_all_behind: String,
    lowest: String,
    usage: String,
    disk: String,
}

impl Statements {
    pub(super) fn new(place: &Place) -> Self {
        let schema = &place.schema;
        // The server knows how long a value is without loading it: what is too long is not sent.
        let value = format!("CASE WHEN octet_length(value) <= {MAX_DOCUMENT_LEN} THEN value END");
        // Nor is what lies behind the end of a page: what comes after `before` bytes.
        let list = |end: &str| {
            format!(
                "SELECT key, revision, {value}, total
                 FROM (SELECT key, revision, value, count(*) OVER () AS total,
                              sum(octet_length(value)) OVER (ORDER BY key) - octet_length(value) AS before
                       FROM (SELECT key, revision, value FROM {schema}.document
                             WHERE collection = $1 AND key >= $2 {end} ORDER BY key LIMIT $3) AS page) AS page
                 WHERE before <= {MAX_PAGE_BYTES} ORDER BY key"
            )
        };
        let filed = "key, revision, due, rank, extra, octet_length(group_name)";
        let due = |behind: &str, order: &str| {
            format!(
                "SELECT {filed} FROM {schema}.document
                 WHERE collection = $1 AND group_name = $4 AND due <= $2 {behind} ORDER BY {order} LIMIT $3"
            )
        };
        // Of each group the earliest, by its index.
        let due_in_all = |behind: &str, order: &str| {
            format!(
                "SELECT found.* FROM {schema}.total AS total CROSS JOIN LATERAL (
                     SELECT {filed} FROM {schema}.document
                     WHERE collection = total.collection AND group_name = total.name AND due <= $2 {behind}
                     ORDER BY {order} LIMIT $3
                 ) AS found WHERE total.collection = $1 ORDER BY {order} LIMIT $3"
            )
        };
        Self {
            due: due("", "due"),
            due_in_all: due_in_all("", "due"),
            due_behind: due("AND due >= $5 AND (due > $5 OR key > $6)", "due, key"),
            due_in_all_behind: due_in_all("AND due >= $4 AND (due > $4 OR key > $5)", "due, key"),
            lowest: format!(
                "SELECT {filed} FROM {schema}.document
                 WHERE collection = $1 AND group_name = $4 AND rank <= $2 ORDER BY rank LIMIT $3"
            ),
            usage: format!("SELECT documents, bytes FROM {schema}.total WHERE collection = $1 AND name = $2"),
            disk: format!(
                "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
                 WHERE relkind = 'r' AND relnamespace = '{schema}'::regnamespace"
            ),
            get: format!("SELECT revision, {value} FROM {schema}.document WHERE collection = $1 AND key = $2"),
            list: list(""),
            list_up_to: list("AND key < $4"),
            mark: format!("SELECT coalesce(bit_xor(mark), 0) FROM {schema}.mark WHERE collection = $1"),
        }
    }
}

/// Reads one document.
pub(super) async fn get(
    lease: &Lease,
    statements: &Statements,
    collection: Collection,
    key: &DocumentKey,
) -> Attempt<Option<Document>> {
    let rows = lease.query(&statements.get, &[&collection.name(), &key.as_bytes()]).await?;
    rows.first().map(|row| document(key.clone(), row, 0)).transpose()
}

/// Reads one page.
pub(super) async fn list(
    lease: &Lease,
    statements: &Statements,
    collection: Collection,
    query: &ListQuery,
) -> Attempt<Page> {
    let Range { start, end } = Range::of(query);
    let most = query.page_len();
    let limit = i64::try_from(most + 1).unwrap_or(i64::MAX);
    let rows = match &end {
        None => lease.query(&statements.list, &[&collection.name(), &start, &limit]).await?,
        Some(end) => lease.query(&statements.list_up_to, &[&collection.name(), &start, &limit, end]).await?,
    };
    let total: i64 = rows.first().map_or(Ok(0), |row| row.try_get(3))?;
    let mut page = Page::default();
    for row in rows.iter().take(most) {
        let key: Vec<u8> = row.try_get(0)?;
        let key = DocumentKey::new(key)
            .map_err(|error| Failure::corrupt(format!("a document has an impossible key: {error}")))?;
        page.documents.push(document(key, row, 1)?);
    }
    if usize::try_from(total).is_ok_and(|total| total > page.documents.len()) {
        page.next = page.documents.last().map(|last| last.key.clone());
    }
    Ok(page)
}

/// Reads the mark of a collection.
pub(super) async fn mark(lease: &Lease, statements: &Statements, collection: Collection) -> Attempt<ChangeMark> {
    let row = lease.query_one(&statements.mark, &[&collection.name()]).await?;
    let mark: i64 = row.try_get(0)?;
    Ok(ChangeMark(mark.cast_unsigned()))
}

/// Lists what is due, of one group or of all.
pub(super) async fn due(
    lease: &Lease,
    statements: &Statements,
    collection: Collection,
    group: Option<&[u8]>,
    moment: Timestamp,
    after: Option<(Timestamp, Vec<u8>)>,
    limit: i64,
) -> Attempt<Vec<Filed>> {
    let (name, latest) = (collection.name(), whole(moment.0));
    let after = after.map(|(moment, key)| (whole(moment.0), key));
    let rows = match (&group, &after) {
        (Some(group), None) => lease.query(&statements.due, &[&name, &latest, &limit, group]).await?,
        (None, None) => lease.query(&statements.due_in_all, &[&name, &latest, &limit]).await?,
        (Some(group), Some((at, key))) => {
            lease.query(&statements.due_behind, &[&name, &latest, &limit, group, at, key]).await?
        }
        (None, Some((at, key))) => {
            lease.query(&statements.due_in_all_behind, &[&name, &latest, &limit, at, key]).await?
        }
    };
    rows.iter().map(filed).collect()
}

/// Lists the lowest ranks of a group.
pub(super) async fn lowest(
    lease: &Lease,
    statements: &Statements,
    collection: Collection,
    group: &[u8],
    limit: i64,
) -> Attempt<Vec<Filed>> {
    let rows = lease.query(&statements.lowest, &[&collection.name(), &i64::MAX, &limit, &group]).await?;
    rows.iter().map(filed).collect()
}

/// Says how much there is of a group.
pub(super) async fn usage(
    lease: &Lease,
    statements: &Statements,
    collection: Collection,
    group: &[u8],
) -> Attempt<Usage> {
    let rows = lease.query(&statements.usage, &[&collection.name(), &group]).await?;
    let Some(row) = rows.first() else { return Ok(Usage::default()) };
    Ok(Usage { documents: count(row, 0)?.unwrap_or_default(), bytes: count(row, 1)?.unwrap_or_default() })
}

/// Says how much room the tables take.
pub(super) async fn disk_usage(lease: &Lease, statements: &Statements) -> Attempt<DiskUsage> {
    let row = lease.query_one(&statements.disk, &[]).await?;
    Ok(DiskUsage { total: count(&row, 0)?.unwrap_or_default(), free: 0 })
}

fn filed(row: &Row) -> Attempt<Filed> {
    let key: Vec<u8> = row.try_get(0)?;
    let key = DocumentKey::new(key)
        .map_err(|error| Failure::corrupt(format!("a document has an impossible key: {error}")))?;
    let group_len: Option<i32> = row.try_get(5)?;
    let filing = Filing {
        group_len: group_len.and_then(|len| usize::try_from(len).ok()).unwrap_or_default(),
        due: count(row, 2)?.map(Timestamp),
        rank: count(row, 3)?,
        extra_bytes: count(row, 4)?.unwrap_or_default(),
        limit: None,
    };
    Ok(Filed { key, revision: revision(row.try_get(1)?)?, filing })
}

/// Reads a number; what is negative was written by nobody, and stands for nothing.
fn count(row: &Row, column: usize) -> Attempt<Option<u64>> {
    let number: Option<i64> = row.try_get(column)?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or_default()))
}

/// Makes a document of a row that has its revision and value at `column`; the value is left out where it is too long to be read.
fn document(key: DocumentKey, row: &Row, column: usize) -> Attempt<Document> {
    let number: i64 = row.try_get(column)?;
    let value: Option<Vec<u8>> = row.try_get(column + 1)?;
    let value = value.ok_or_else(|| {
        Failure::corrupt(format!(
            "the document `{key}` is longer than {MAX_DOCUMENT_LEN} bytes, which no writer of ours left"
        ))
    })?;
    Ok(Document { key, revision: revision(number)?, value })
}
