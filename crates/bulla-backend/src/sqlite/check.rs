//! What can be wrong with a database.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{
    error::Attempt,
    share::share,
    transaction::{find_usage, place},
};
use crate::Usage;

/// What each row that it finds is wrong with.
const CHECKS: [&str; 5] = [
    "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
    "SELECT 'document ' || id || ' belongs to no collection' FROM document
     WHERE collection NOT IN (SELECT id FROM collection)",
    "SELECT 'document ' || id || ' has revision ' || revision || ', which none has' FROM document
     WHERE revision < 1 OR revision > (SELECT revision FROM state WHERE id = 0)",
    "SELECT 'revision ' || revision || ' was not set aside' FROM state WHERE revision > reserved",
    "SELECT 'document ' || document.id || ' is filed in a group that is not its own' FROM document
     LEFT JOIN document_group ON document_group.id = group_id
     WHERE group_id IS NOT NULL AND (document_group.collection IS NOT document.collection
                                     OR substr(key, 1, length(name)) IS NOT name)",
];

/// Lists what is wrong.
pub(super) fn check(connection: &Connection) -> Attempt<Vec<String>> {
    // As of one moment: others write meanwhile.
    let moment = connection.unchecked_transaction()?;
    let mut found = Vec::new();
    for check in CHECKS {
        let mut select = moment.prepare(check)?;
        for problem in select.query_map([], |row| row.get(0))? {
            found.push(problem?);
        }
    }
    for (group, counted) in count(&moment)? {
        let kept = find_usage(&moment, group)?;
        if kept != counted {
            found.push(format!(
                "group {group} has {} documents and {} bytes, and is said to have {} and {}",
                counted.documents, counted.bytes, kept.documents, kept.bytes
            ));
        }
    }
    Ok(found)
}

/// Counts every group anew.
fn count(connection: &Connection) -> Attempt<BTreeMap<i64, Usage>> {
    let mut counted = BTreeMap::new();
    let mut select = connection.prepare("SELECT id FROM state WHERE id <> 0")?;
    for group in select.query_map([], |row| row.get(0))? {
        counted.insert(group?, Usage::default());
    }
    let mut select = connection.prepare(
        "SELECT length(key), length(value), group_id, due, rank, extra FROM document WHERE group_id IS NOT NULL",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (key_len, value_len): (i64, i64) = (row.get(0)?, row.get(1)?);
        let Some(place) = place(row, 2)? else { continue };
        let share = share(usize::try_from(key_len).unwrap_or_default(), value_len.unsigned_abs(), &place);
        let usage: &mut Usage = counted.entry(place.group).or_default();
        usage.documents += 1;
        usage.bytes = usage.bytes.saturating_add(share.unsigned_abs());
    }
    Ok(counted)
}
