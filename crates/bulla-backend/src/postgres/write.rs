//! Writing documents: `spec/backend-postgres.md`, "Writing".

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::rand;
use tokio_postgres::types::ToSql;

use super::{
    error::{Attempt, Failure},
    place::Place,
    server::{Flight, Lease},
};
use crate::{BackendError, Collection, DocumentKey, Durability, ErrorKind, Expected, Rerank, Result, Revision, Write};

/// The slot of `mark` that this connection writes to.
const SLOT: &str = "pg_backend_pid() & 63";
const MAX_RANK: i64 = i64::MAX;
/// Is true, and leaves this transaction unsynced.
pub(super) const RELAXED: &str = "set_config('synchronous_commit', 'off', true) = 'off'";

/// What became of one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was made; says whether there was a document to delete.
    Made { was_there: bool },
    /// What it expected does not hold.
    Conflict,
}

/// The statements that write to a place.
#[derive(Debug)]
pub(super) struct Statements {
    /// By how durable a write is: relaxed, durable.
    single: [Single; 2],
    parts: Parts,
}

/// Statements that write one document and its mark, which is their third parameter. `delete` says how many it deleted; of the
/// others, the number of rows that they changed says whether they wrote.
#[derive(Debug)]
struct Single {
    put: String,
    put_absent: String,
    put_revision: String,
    delete: String,
    delete_absent: String,
    delete_revision: String,
}

/// Statements that a commit consists of.
#[derive(Debug)]
struct Parts {
    put: String,
    put_absent: String,
    put_revision: String,
    file: String,
    file_absent: String,
    file_revision: String,
    /// Brings the totals of groups up to date.
    count: String,
    /// Finds a group if it is within a limit.
    limit: String,
    raise: String,
    add: String,
    /// Claims a key, whatever is there.
    claim: String,
    /// Claims a key of which nothing is there.
    claim_absent: String,
    delete: String,
    delete_revision: String,
    check_revision: String,
    mark: String,
}

impl Statements {
    pub(super) fn new(place: &Place) -> Self {
        let parts = Parts::new(&place.schema);
        let single = [Durability::Cache, Durability::Durable];
        Self { single: single.map(|durability| Single::new(&place.schema, &parts, durability)), parts }
    }

    fn single(&self, durability: Durability) -> &Single {
        &self.single[usize::from(durability == Durability::Durable)]
    }
}

impl Parts {
    fn new(schema: &str) -> Self {
        let insert =
            format!("INSERT INTO {schema}.document (collection, key, revision, value) VALUES ($1, $2, $3, $4)");
        let file = format!(
            "INSERT INTO {schema}.document (collection, key, revision, value, group_name, due, rank, extra)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        );
        let claim = format!(
            "INSERT INTO {schema}.document AS document (collection, key, revision, value) VALUES ($1, $2, 0, '')"
        );
        let absent = "ON CONFLICT (collection, key) DO NOTHING";
        Self {
            put: format!(
                "{insert} ON CONFLICT (collection, key) DO UPDATE SET revision = excluded.revision, value = excluded.value,
                 group_name = NULL, due = NULL, rank = NULL, extra = NULL"
            ),
            put_absent: format!("{insert} {absent}"),
            put_revision: format!(
                "UPDATE {schema}.document SET revision = $3, value = $4, group_name = NULL, due = NULL, rank = NULL, extra = NULL
                 WHERE collection = $1 AND key = $2 AND revision = $5"
            ),
            file: format!(
                "{file} ON CONFLICT (collection, key) DO UPDATE SET revision = excluded.revision, value = excluded.value,
                 group_name = excluded.group_name, due = excluded.due, rank = excluded.rank, extra = excluded.extra"
            ),
            file_absent: format!("{file} {absent}"),
            file_revision: format!(
                "UPDATE {schema}.document SET revision = $3, value = $4, group_name = $5, due = $6, rank = $7, extra = $8
                 WHERE collection = $1 AND key = $2 AND revision = $9"
            ),
            count: "SET CONSTRAINTS ALL IMMEDIATE".to_owned(),
            limit: format!(
                "SELECT FROM {schema}.total WHERE collection = $1 AND name = $2 AND documents <= $3 AND bytes <= $4"
            ),
            raise: format!("UPDATE {schema}.document SET rank = $3 WHERE collection = $1 AND key = $2 AND rank < $3"),
            add: format!(
                "UPDATE {schema}.document SET rank = least(rank, {MAX_RANK} - $3) + $3
                 WHERE collection = $1 AND key = $2 AND rank IS NOT NULL"
            ),
            claim: format!("{claim} ON CONFLICT (collection, key) DO UPDATE SET revision = document.revision"),
            claim_absent: format!("{claim} {absent}"),
            delete: format!("DELETE FROM {schema}.document WHERE collection = $1 AND key = $2"),
            delete_revision: format!(
                "DELETE FROM {schema}.document WHERE collection = $1 AND key = $2 AND revision = $3"
            ),
            check_revision: format!(
                "SELECT FROM {schema}.document WHERE collection = $1 AND key = $2 AND revision = $3 FOR SHARE"
            ),
            mark: format!(
                "INSERT INTO {schema}.mark (collection, slot, mark) VALUES ($1, {SLOT}, $2)
                 ON CONFLICT (collection, slot) DO UPDATE SET mark = excluded.mark"
            ),
        }
    }
}

impl Single {
    /// Makes statements that change one row of `mark` if they wrote, and none if they did not.
    fn new(schema: &str, parts: &Parts, durability: Durability) -> Self {
        let (condition, and_condition) = match durability {
            Durability::Cache => (format!("WHERE {RELAXED}"), format!("AND {RELAXED}")),
            Durability::Durable => Default::default(),
        };
        let mark = |source: &str| {
            format!(
                "INSERT INTO {schema}.mark (collection, slot, mark) SELECT $1::text, {SLOT}, $3::bigint {source}
                 ON CONFLICT (collection, slot) DO UPDATE SET mark = excluded.mark"
            )
        };
        let if_written = format!("FROM written {condition}");
        let after = |write: &str| format!("WITH written AS ({write} RETURNING 1) {}", mark(&if_written));
        let delete_revision =
            format!("DELETE FROM {schema}.document WHERE collection = $1 AND key = $2 AND revision = $4");
        let absent = format!("NOT EXISTS (SELECT FROM {schema}.document WHERE collection = $1 AND key = $2)");
        // A durable deletion writes its mark in any case, so that there is something to sync.
        let if_deleted = if durability == Durability::Durable { "" } else { &if_written };
        Self {
            put: after(&parts.put),
            put_absent: after(&parts.put_absent),
            put_revision: after(&parts.put_revision),
            delete: format!(
                "WITH written AS ({} RETURNING 1), marked AS ({}) SELECT count(*) FROM written",
                parts.delete,
                mark(if_deleted)
            ),
            delete_absent: mark(&format!("WHERE {absent} {and_condition}")),
            delete_revision: after(&delete_revision),
        }
    }
}

/// Draws what nobody has drawn before: a revision, a mark, the number of an upload.
pub(super) fn draw(operation: &'static str) -> Result<i64> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes)
        .map_err(|_| BackendError::new(ErrorKind::Unavailable, operation, "the system gave no random bytes"))?;
    Ok(i64::from_be_bytes(bytes) & i64::MAX)
}

/// Returns the revision that a number stands for.
pub(super) fn revision(number: i64) -> Attempt<Revision> {
    u64::try_from(number).map(Revision).map_err(|_| Failure::corrupt(format!("there is a revision {number}")))
}

fn number(revision: Revision) -> i64 {
    // One that we never gave is one that is never there.
    i64::try_from(revision.0).unwrap_or(-1)
}

/// Makes one write, which gets the revision `drawn`.
pub(super) async fn one(lease: &Lease, statements: &Statements, write: &Write, drawn: i64) -> Attempt<Outcome> {
    let single = statements.single(write.collection().durability());
    let (collection, key) = (write.collection().name(), write.key().as_bytes());
    let changed = match write {
        Write::Put { value, expected, .. } => {
            let value = value.as_slice();
            match expected {
                Expected::Any => lease.execute(&single.put, &[&collection, &key, &drawn, &value]).await?,
                Expected::Absent => lease.execute(&single.put_absent, &[&collection, &key, &drawn, &value]).await?,
                Expected::Revision(found) => {
                    let found = number(*found);
                    lease.execute(&single.put_revision, &[&collection, &key, &drawn, &value, &found]).await?
                }
            }
        }
        Write::Delete { expected: Expected::Any, .. } => {
            let row = lease.query_one(&single.delete, &[&collection, &key, &drawn]).await.map_err(Failure::of_write)?;
            let deleted: i64 = row.try_get(0)?;
            return Ok(Outcome::Made { was_there: deleted > 0 });
        }
        Write::Delete { expected: Expected::Absent, .. } => {
            let changed = lease.execute(&single.delete_absent, &[&collection, &key, &drawn]).await?;
            return Ok(if changed > 0 { Outcome::Made { was_there: false } } else { Outcome::Conflict });
        }
        Write::Delete { expected: Expected::Revision(found), .. } => {
            lease.execute(&single.delete_revision, &[&collection, &key, &drawn, &number(*found)]).await?
        }
        Write::Check { .. } | Write::PutFiled { .. } => {
            return Err(Failure::new(
                ErrorKind::InvalidInput,
                "a check alone writes nothing, and filing takes a commit",
            ));
        }
    };
    Ok(if changed > 0 { Outcome::Made { was_there: true } } else { Outcome::Conflict })
}

/// Why a commit was not made, and which write is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmet {
    /// What it expected does not hold.
    Expected(usize),
    /// Its group would pass the limit.
    Limit(usize),
}

/// How a document is filed, as its row says.
struct Columns<'a> {
    group: &'a [u8],
    due: Option<i64>,
    rank: Option<i64>,
    extra: i64,
    /// The most documents and bytes of the group.
    limit: Option<(i64, i64)>,
}

impl<'a> Columns<'a> {
    fn of(write: &'a Write) -> Option<Self> {
        let Write::PutFiled { key, filing, .. } = write else { return None };
        Some(Self {
            group: filing.group(key),
            due: filing.due.map(|due| whole(due.0)),
            rank: filing.rank.map(whole),
            extra: whole(filing.extra_bytes),
            limit: filing.limit.map(|limit| (whole(limit.documents), whole(limit.bytes))),
        })
    }
}

/// Returns a number as the server holds it, or the largest that it holds.
pub(super) fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Makes several writes, all or none; all that are put get the revision `drawn`. Returns the first that cannot be made.
pub(super) async fn all(
    lease: &Lease,
    statements: &Statements,
    writes: &Arc<[Write]>,
    drawn: i64,
) -> Attempt<Option<Unmet>> {
    // All writers lock in one order, so that none waits for another that waits for it.
    let mut order: Vec<usize> = (0..writes.len()).collect();
    order.sort_by_key(|index| (writes[*index].collection().name(), writes[*index].key()));
    let numbers: Vec<i64> = writes.iter().map(|write| expected_number(write.expected())).collect();
    let names: Vec<&str> = writes.iter().map(|write| write.collection().name()).collect();
    let keys: Vec<&[u8]> = writes.iter().map(|write| write.key().as_bytes()).collect();
    let values: Vec<&[u8]> = writes.iter().map(value).collect();
    let filings: Vec<Option<Columns<'_>>> = writes.iter().map(Columns::of).collect();

    let parts = &statements.parts;
    let mut flight: Flight<'_> = Vec::new();
    // For each statement that has to change or find a row: what it means if it does not.
    let mut decides = Vec::new();
    let mut marked = BTreeMap::new();
    for index in order.iter().copied() {
        let write = &writes[index];
        let (c, k): (&(dyn ToSql + Sync), &(dyn ToSql + Sync)) = (&names[index], &keys[index]);
        let (expected, value): (&(dyn ToSql + Sync), &(dyn ToSql + Sync)) = (&numbers[index], &values[index]);
        let mut then = |decider: Option<usize>, sql: &str, parameters: Vec<_>| {
            decides.push(decider.map(Unmet::Expected));
            flight.push((sql.to_owned(), parameters));
        };
        match (write, write.expected(), &filings[index]) {
            (Write::Put { .. } | Write::PutFiled { .. }, expectation, Some(filed)) => {
                let mut parameters: Vec<&(dyn ToSql + Sync)> =
                    vec![c, k, &drawn, value, &filed.group, &filed.due, &filed.rank, &filed.extra];
                match expectation {
                    Expected::Any => then(None, &parts.file, parameters),
                    Expected::Absent => then(Some(index), &parts.file_absent, parameters),
                    Expected::Revision(_) => {
                        parameters.push(expected);
                        then(Some(index), &parts.file_revision, parameters);
                    }
                }
            }
            (Write::Put { .. } | Write::PutFiled { .. }, Expected::Any, None) => {
                then(None, &parts.put, vec![c, k, &drawn, value]);
            }
            (Write::Put { .. } | Write::PutFiled { .. }, Expected::Absent, None) => {
                then(Some(index), &parts.put_absent, vec![c, k, &drawn, value]);
            }
            (Write::Put { .. } | Write::PutFiled { .. }, Expected::Revision(_), None) => {
                then(Some(index), &parts.put_revision, vec![c, k, &drawn, value, expected]);
            }
            (Write::Delete { .. }, Expected::Any, _) => {
                then(None, &parts.claim, vec![c, k]);
                then(None, &parts.delete, vec![c, k]);
            }
            (Write::Delete { .. } | Write::Check { .. }, Expected::Absent, _) => {
                then(Some(index), &parts.claim_absent, vec![c, k]);
                then(None, &parts.delete, vec![c, k]);
            }
            (Write::Delete { .. }, Expected::Revision(_), _) => {
                then(Some(index), &parts.delete_revision, vec![c, k, expected]);
            }
            (Write::Check { .. }, Expected::Revision(_), _) => {
                then(Some(index), &parts.check_revision, vec![c, k, expected]);
            }
            (Write::Check { .. }, Expected::Any, _) => {}
        }
        if !matches!(write, Write::Check { .. }) {
            marked.insert(write.collection().name(), c);
        }
    }
    for collection in marked.values() {
        decides.push(None);
        flight.push((parts.mark.clone(), vec![*collection, &drawn]));
    }
    // Last of all: whoever files in the same group waits from here to the end.
    let mut limits = filings.iter().enumerate().filter_map(|(index, filed)| {
        let filed = filed.as_ref()?;
        Some((index, filed, filed.limit.as_ref()?))
    });
    if let Some(first) = limits.next() {
        decides.push(None);
        flight.push((parts.count.clone(), Vec::new()));
        for (index, filed, (documents, bytes)) in std::iter::once(first).chain(limits) {
            decides.push(Some(Unmet::Limit(index)));
            flight.push((parts.limit.clone(), vec![&names[index], &filed.group, documents, bytes]));
        }
    }
    if flight.is_empty() {
        return Ok(None);
    }
    let changed = lease.begin(begin(writes.iter().map(Write::collection)), flight).await?;
    let unmet = decides.into_iter().zip(changed).find_map(|(decider, changed)| decider.filter(|_| changed == 0));
    if unmet.is_some() {
        // What is not committed has not happened, whatever becomes of this.
        let _ = lease.roll_back().await;
        return Ok(unmet);
    }
    lease.commit().await.map(|()| None)
}

/// Changes ranks in one transaction that is not synced.
pub(super) async fn rerank(
    lease: &Lease,
    statements: &Statements,
    collection: Collection,
    changes: &[(DocumentKey, Rerank)],
) -> Attempt<()> {
    // In the order in which others lock; changes of one document stay in theirs.
    let mut order: Vec<_> = changes.iter().collect();
    order.sort_by_key(|(key, _)| key);
    let name = collection.name();
    let numbers: Vec<(&[u8], &str, i64)> = order
        .into_iter()
        .filter_map(|(key, change)| match change {
            Rerank::Raise(least) => Some((key.as_bytes(), &*statements.parts.raise, whole(*least))),
            Rerank::Add(0) => None,
            Rerank::Add(more) => Some((key.as_bytes(), &*statements.parts.add, whole(*more))),
        })
        .collect();
    let flight: Flight<'_> = numbers
        .iter()
        .map(|(key, sql, number)| {
            let parameters: Vec<&(dyn ToSql + Sync)> = vec![&name, key, number];
            ((*sql).to_owned(), parameters)
        })
        .collect();
    if flight.is_empty() {
        return Ok(());
    }
    lease.begin(begin(std::iter::once(collection.with_durability(Durability::Cache))), flight).await?;
    lease.commit().await
}

/// Returns what a write puts.
fn value(write: &Write) -> &[u8] {
    match write {
        Write::Put { value, .. } | Write::PutFiled { value, .. } => value,
        Write::Delete { .. } | Write::Check { .. } => &[],
    }
}

fn expected_number(expected: Expected) -> i64 {
    if let Expected::Revision(revision) = expected { number(revision) } else { 0 }
}

/// Begins a transaction that is as durable as the most durable of the collections.
fn begin(mut collections: impl Iterator<Item = Collection>) -> &'static str {
    match collections.any(|collection| collection.durability() == Durability::Durable) {
        true => "BEGIN",
        false => "BEGIN; SET LOCAL synchronous_commit TO off",
    }
}
