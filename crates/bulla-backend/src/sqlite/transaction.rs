//! What happens in a transaction: expectations are checked, documents written, revisions drawn, and groups counted.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    commit::Shared,
    error::{Attempt, Failure},
    queue::{Outcome, Task},
    share::{Place, share},
};
use crate::{
    BackendError, Collection, DocumentKey, Durability, ErrorKind, Filing, Rerank, Result, Revision, Usage, Write,
};

/// How many revisions are set aside durably at a time.
const RESERVED_REVISIONS: i64 = 1 << 20;
/// The most that a group's total says: far from where a sum leaves the integers.
const MOST: i64 = 1 << 62;

/// Looks up the number that stands for a collection.
pub(super) fn find_collection(connection: &Connection, collection: Collection) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM collection WHERE name = ?1")?
        .query_row([collection.name()], |row| row.get(0))
        .optional()
}

/// Looks up the number that stands for a group of a collection.
pub(super) fn find_group(connection: &Connection, collection: i64, name: &[u8]) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM document_group WHERE collection = ?1 AND name = ?2")?
        .query_row(params![collection, name], |row| row.get(0))
        .optional()
}

/// Looks up how much there is of a group.
pub(super) fn find_usage(connection: &Connection, group: i64) -> rusqlite::Result<Usage> {
    let mut select = connection.prepare_cached("SELECT documents, bytes FROM state WHERE id = ?1")?;
    let row = select.query_row([group], |row| {
        // Nothing but damage makes them negative, and counting anew is all that can be done about it.
        let count = |column| row.get(column).map(|count: i64| u64::try_from(count).unwrap_or_default());
        Ok(Usage { documents: count(0)?, bytes: count(1)? })
    });
    Ok(row.optional()?.unwrap_or_default())
}

/// Reads a revision out of a column.
pub(super) fn stored(revision: i64) -> Attempt<Revision> {
    u64::try_from(revision)
        .map(Revision)
        .map_err(|_| Failure::new(ErrorKind::Corrupt, format!("a document has revision {revision}, which none has")))
}

/// Counts the writes of the database.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The newest revision.
    pub(super) revision: i64,
    /// The last revision that may be given out. Raised in synced commits only, so that no power cut brings a revision back.
    pub(super) reserved: i64,
}

impl Sequence {
    pub(super) fn read(connection: &Connection) -> Attempt<Self> {
        let mut select = connection.prepare_cached("SELECT revision, reserved FROM state WHERE id = 0")?;
        Ok(select.query_row([], |row| Ok(Self { revision: row.get(0)?, reserved: row.get(1)? }))?)
    }

    pub(super) fn save(&self, connection: &Connection) -> Attempt<()> {
        let mut update = connection.prepare_cached("UPDATE state SET revision = ?1, reserved = ?2 WHERE id = 0")?;
        update.execute([self.revision, self.reserved])?;
        Ok(())
    }

    pub(super) fn next(&mut self) -> Attempt<i64> {
        self.revision = self.revision.checked_add(1).ok_or_else(used_up)?;
        Ok(self.revision)
    }

    pub(super) fn reserve(&mut self) -> Attempt<()> {
        self.reserved = self.revision.checked_add(RESERVED_REVISIONS).ok_or_else(used_up)?;
        Ok(())
    }
}

fn used_up() -> Failure {
    Failure::new(ErrorKind::Unsuitable, "the revisions are used up, or the database was tampered with")
}

/// A transaction that has begun.
pub(super) struct Transaction<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
    sequence: Sequence,
    /// The newest revision as it began.
    before: i64,
    /// Whether anything but revisions has changed.
    has_changed: bool,
    /// Collections that got their number in it.
    named: Vec<(Collection, i64)>,
    /// Groups that got their number in it: collection, name, number.
    grouped: Vec<(i64, Box<[u8]>, i64)>,
    /// What it adds to the totals of groups. Written once, at its end, however often they change.
    totals: Vec<Total>,
}

/// What a transaction adds to the total of a group.
#[derive(Debug, Default)]
struct Total {
    group: i64,
    /// As it was before, if somebody has asked.
    before: Option<Usage>,
    documents: i64,
    bytes: i64,
}

/// A document that is there already.
struct Found {
    id: i64,
    revision: Revision,
    value_len: u64,
    /// How it is filed, if it is.
    place: Option<Place>,
}

impl<'a> Transaction<'a> {
    pub(super) const fn new(connection: &'a Connection, shared: &'a Shared, sequence: Sequence) -> Self {
        Self {
            connection,
            shared,
            before: sequence.revision,
            sequence,
            has_changed: false,
            named: Vec::new(),
            grouped: Vec::new(),
            totals: Vec::new(),
        }
    }

    /// Does what is asked if all it expects holds; else does nothing.
    pub(super) fn apply(&mut self, operation: &'static str, task: &Task<'_>) -> Attempt<Result<Vec<Outcome>>> {
        match task {
            Task::Write(writes) => self.write(operation, writes),
            Task::Rerank(collection, changes) => self.rerank(*collection, changes).map(|()| Ok(Vec::new())),
        }
    }

    /// Says whether there is anything to commit.
    pub(super) fn has_changed(&self) -> bool {
        self.has_changed || self.revised().is_some()
    }

    /// Returns the newest revision, if it is of this transaction.
    pub(super) fn revised(&self) -> Option<i64> {
        (self.sequence.revision != self.before).then_some(self.sequence.revision)
    }

    /// Lends the connection to whoever changes how things are stored, but nothing that is.
    pub(super) const fn rearrange(&mut self) -> &'a Connection {
        self.has_changed = true;
        self.connection
    }

    /// Writes the totals and the newest revision. What is left is to commit.
    pub(super) fn finish(&self) -> Attempt<()> {
        for total in &self.totals {
            if total.documents == 0 && total.bytes == 0 {
                continue;
            }
            let mut add = self.connection.prepare_cached(
                "INSERT INTO state (id, documents, bytes) VALUES (?1, max(0, ?2), max(0, ?3))
                 ON CONFLICT (id) DO UPDATE SET documents = max(0, documents + ?2), bytes = max(0, min(bytes + ?3, ?4))",
            )?;
            let bytes = total.bytes.clamp(-MOST, MOST);
            add.execute([total.group, total.documents, bytes, MOST])?;
        }
        if self.revised().is_some() { self.sequence.save(self.connection) } else { Ok(()) }
    }

    /// Lets everybody know what was named in it, once it is committed.
    pub(super) fn learn(self) {
        for (collection, id) in self.named {
            self.shared.learn(collection, id);
        }
        for (collection, name, id) in self.grouped {
            self.shared.learn_group(collection, &name, id);
        }
    }

    fn write(&mut self, operation: &'static str, writes: &[Write]) -> Attempt<Result<Vec<Outcome>>> {
        let mut found = Vec::with_capacity(writes.len());
        for write in writes {
            let document = self.find(write)?;
            if !write.expected().holds(document.as_ref().map(|document| document.revision)) {
                return Ok(Err(BackendError::conflict(operation, write.key())));
            }
            found.push(document);
        }
        if let Some(refused) = self.check_limits(operation, writes, &found)? {
            return Ok(Err(refused));
        }
        let mut next = None;
        let mut outcomes = Vec::with_capacity(writes.len());
        for (write, found) in writes.iter().zip(found) {
            outcomes.push(match write {
                Write::Put { collection, key, value, .. } => {
                    let revision = self.revision(&mut next)?;
                    self.put(*collection, key, value, None, revision, found)?;
                    Outcome::Put(stored(revision)?)
                }
                Write::PutFiled { collection, key, value, filing, .. } => {
                    let revision = self.revision(&mut next)?;
                    self.put(*collection, key, value, Some(filing), revision, found)?;
                    Outcome::Put(stored(revision)?)
                }
                Write::Delete { collection, key, .. } => {
                    if let Some(found) = &found {
                        self.revision(&mut next)?;
                        self.count_out(key, found);
                        self.connection.prepare_cached("DELETE FROM document WHERE id = ?1")?.execute([found.id])?;
                    } else if collection.durability() == Durability::Durable {
                        // That it is not there may be the doing of a commit that was not synced; this one will be.
                        self.revision(&mut next)?;
                    }
                    Outcome::Deleted(found.is_some())
                }
                Write::Check { .. } => Outcome::Checked,
            });
        }
        Ok(Ok(outcomes))
    }

    /// Draws the revision that all writes of a request share.
    fn revision(&mut self, drawn: &mut Option<i64>) -> Attempt<i64> {
        match *drawn {
            Some(revision) => Ok(revision),
            None => Ok(*drawn.insert(self.sequence.next()?)),
        }
    }

    fn find(&self, write: &Write) -> Attempt<Option<Found>> {
        let Some(collection) = self.collection(write.collection())? else { return Ok(None) };
        let mut select = self.connection.prepare_cached(
            "SELECT id, revision, length(value), group_id, due, rank, extra FROM document
             WHERE collection = ?1 AND key = ?2",
        )?;
        let found = select.query_row(params![collection, write.key().as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, place(row, 3)?))
        });
        let found = found.optional()?.map(|(id, revision, value_len, place)| {
            Ok(Found { id, revision: stored(revision)?, value_len: value_len.unsigned_abs(), place })
        });
        found.transpose()
    }

    /// Looks whether a group would pass a limit that one of the writes states.
    fn check_limits(
        &mut self,
        operation: &'static str,
        writes: &[Write],
        found: &[Option<Found>],
    ) -> Attempt<Option<BackendError>> {
        let mut checked = None;
        for write in writes {
            let Write::PutFiled { collection, key, filing, .. } = write else { continue };
            let Some(limit) = filing.limit else { continue };
            let name = filing.group(key);
            if checked == Some((collection.name(), name, limit)) {
                continue;
            }
            let group = self.group(*collection, name)?;
            let mut after = Total { before: group.map(|group| self.total(group)).transpose()?, ..Total::default() };
            for (write, found) in writes.iter().zip(found) {
                let is_gone = !matches!(write, Write::Check { .. });
                if let Some((found, place)) = found.as_ref().and_then(|found| Some((found, found.place?)))
                    && is_gone
                    && Some(place.group) == group
                {
                    after.add(-1, -share(write.key().as_bytes().len(), found.value_len, &place));
                }
                if let Write::PutFiled { collection: of, key, value, filing, .. } = write
                    && of.name() == collection.name()
                    && filing.group(key) == name
                {
                    let place = columns(group.unwrap_or_default(), filing);
                    after.add(1, share(key.as_bytes().len(), value.len() as u64, &place));
                }
            }
            let after = after.sum();
            if !after.is_within(limit) {
                return Ok(Some(after.refused(operation, name, limit)));
            }
            checked = Some((collection.name(), name, limit));
        }
        Ok(None)
    }

    fn put(
        &mut self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        filing: Option<&Filing>,
        revision: i64,
        found: Option<Found>,
    ) -> Attempt<()> {
        let collection = match self.collection(collection)? {
            Some(known) => known,
            None => self.name(collection)?,
        };
        let place = match filing {
            Some(filing) => Some(columns(self.name_group(collection, filing.group(key))?, filing)),
            None => None,
        };
        if let Some(found) = &found {
            self.count_out(key, found);
        }
        if let Some(place) = &place {
            self.count(place.group, 1, share(key.as_bytes().len(), value.len() as u64, place));
        }
        match (found, place) {
            (Some(found), place) if found.place == place => {
                let mut update =
                    self.connection.prepare_cached("UPDATE document SET revision = ?2, value = ?3 WHERE id = ?1")?;
                update.execute(params![found.id, revision, value])?;
            }
            (Some(found), place) => {
                let mut update = self.connection.prepare_cached(
                    "UPDATE document SET revision = ?2, value = ?3, group_id = ?4, due = ?5, rank = ?6, extra = ?7
                     WHERE id = ?1",
                )?;
                let (group, due, rank, extra) = place.map_or((None, None, None, None), |place| {
                    (Some(place.group), place.due, place.rank, Some(place.extra))
                });
                update.execute(params![found.id, revision, value, group, due, rank, extra])?;
            }
            (None, None) => {
                let mut insert = self.connection.prepare_cached(
                    "INSERT INTO document (collection, key, revision, value) VALUES (?1, ?2, ?3, ?4)",
                )?;
                insert.execute(params![collection, key.as_bytes(), revision, value])?;
            }
            (None, Some(Place { group, due, rank, extra })) => {
                let mut insert = self.connection.prepare_cached(
                    "INSERT INTO document (collection, key, revision, value, group_id, due, rank, extra)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?;
                insert.execute(params![collection, key.as_bytes(), revision, value, group, due, rank, extra])?;
            }
        }
        Ok(())
    }

    fn rerank(&mut self, collection: Collection, changes: &[(DocumentKey, Rerank)]) -> Attempt<()> {
        let Some(collection) = self.collection(collection)? else { return Ok(()) };
        for (key, change) in changes {
            let changed = match change {
                Rerank::Raise(least) => self
                    .connection
                    .prepare_cached("UPDATE document SET rank = ?3 WHERE collection = ?1 AND key = ?2 AND rank < ?3")?
                    .execute(params![collection, key.as_bytes(), rank(*least)])?,
                Rerank::Add(0) => 0,
                Rerank::Add(more) => {
                    let more = rank(*more);
                    self.connection
                        .prepare_cached(
                            "UPDATE document SET rank = min(rank, ?4) + ?3
                             WHERE collection = ?1 AND key = ?2 AND rank IS NOT NULL",
                        )?
                        .execute(params![collection, key.as_bytes(), more, i64::MAX - more])?
                }
            };
            self.has_changed |= changed > 0;
        }
        Ok(())
    }

    fn collection(&self, collection: Collection) -> Attempt<Option<i64>> {
        let named = || self.named.iter().find(|(named, _)| named.name() == collection.name()).map(|(_, id)| *id);
        match self.shared.collection(collection).or_else(named) {
            Some(id) => Ok(Some(id)),
            None => Ok(find_collection(self.connection, collection)?),
        }
    }

    fn name(&mut self, collection: Collection) -> Attempt<i64> {
        self.connection.prepare_cached("INSERT INTO collection (name) VALUES (?1)")?.execute([collection.name()])?;
        let id = self.connection.last_insert_rowid();
        self.named.push((collection, id));
        Ok(id)
    }

    /// Returns the number of a group, if it has one.
    fn group(&self, collection: Collection, name: &[u8]) -> Attempt<Option<i64>> {
        match self.collection(collection)? {
            Some(collection) => self.known_group(collection, name),
            None => Ok(None),
        }
    }

    fn known_group(&self, collection: i64, name: &[u8]) -> Attempt<Option<i64>> {
        if let Some(id) = self.shared.group(collection, name) {
            return Ok(Some(id));
        }
        if let Some((_, _, id)) = self.grouped.iter().find(|(of, known, _)| *of == collection && **known == *name) {
            return Ok(Some(*id));
        }
        let found = find_group(self.connection, collection, name)?;
        if let Some(id) = found {
            self.shared.learn_group(collection, name, id);
        }
        Ok(found)
    }

    /// Returns the number of a group; gives it one if it has none.
    fn name_group(&mut self, collection: i64, name: &[u8]) -> Attempt<i64> {
        if let Some(known) = self.known_group(collection, name)? {
            return Ok(known);
        }
        self.connection
            .prepare_cached("INSERT INTO document_group (collection, name) VALUES (?1, ?2)")?
            .execute(params![collection, name])?;
        let id = self.connection.last_insert_rowid();
        self.grouped.push((collection, name.into(), id));
        Ok(id)
    }

    /// Takes a document that is deleted or replaced out of the total of its group.
    fn count_out(&mut self, key: &DocumentKey, found: &Found) {
        if let Some(place) = &found.place {
            self.count(place.group, -1, -share(key.as_bytes().len(), found.value_len, place));
        }
    }

    fn count(&mut self, group: i64, documents: i64, bytes: i64) {
        self.entry(group).add(documents, bytes);
    }

    /// Returns how much there is of a group at this point of the transaction.
    fn total(&mut self, group: i64) -> Attempt<Usage> {
        let connection = self.connection;
        let total = self.entry(group);
        if total.before.is_none() {
            total.before = Some(find_usage(connection, group)?);
        }
        Ok(total.sum())
    }

    fn entry(&mut self, group: i64) -> &mut Total {
        let at = self.totals.iter().position(|total| total.group == group).unwrap_or_else(|| {
            self.totals.push(Total { group, ..Total::default() });
            self.totals.len() - 1
        });
        &mut self.totals[at]
    }
}

impl Total {
    fn add(&mut self, documents: i64, bytes: i64) {
        self.documents = self.documents.saturating_add(documents);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn sum(&self) -> Usage {
        let before = self.before.unwrap_or_default();
        Usage {
            documents: before.documents.saturating_add_signed(self.documents),
            bytes: before.bytes.saturating_add_signed(self.bytes),
        }
    }
}

/// Reads how a document is filed, from four columns.
pub(super) fn place(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Place>> {
    let group: Option<i64> = row.get(first)?;
    let Some(group) = group else { return Ok(None) };
    let extra: Option<i64> = row.get(first + 3)?;
    Ok(Some(Place { group, due: row.get(first + 1)?, rank: row.get(first + 2)?, extra: extra.unwrap_or_default() }))
}

/// Returns how a row says how a document is filed.
pub(super) fn columns(group: i64, filing: &Filing) -> Place {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    Place {
        group,
        due: filing.due.map(|due| whole(due.0)),
        rank: filing.rank.map(rank),
        extra: whole(filing.extra_bytes),
    }
}

fn rank(rank: u64) -> i64 {
    i64::try_from(rank).unwrap_or(i64::MAX)
}
