//! Blobs as chunks: `spec/backend-postgres.md`, "Blobs".

mod reader;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use self::{reader::Reader, writer::Writer};
use super::{
    PostgresServer,
    error::{Attempt, Failure},
    place::Place,
    server::Lease,
    write::{RELAXED, draw},
};
use crate::{BlobId, BlobPage, BlobReader, BlobStat, BlobWriter, Blobs, Durability, Result, Timestamp};

/// Length of every chunk but the last, in bytes.
const CHUNK_LEN: usize = 256 * 1024;
/// Most chunks that one statement deletes.
const MAX_DELETED: u64 = 64;
/// Most statements of one opening that remove what killed writers left.
const MAX_SWEEPS: u32 = 64;
/// The server's time, in milliseconds since 1970.
const NOW: &str = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Blobs in a schema of a PostgreSQL database, which any number of processes of any number of machines may use at once.
///
/// Memory is bounded: a writer holds less than a chunk of 256 KiB, a reader what it was asked for and at most 4 MiB.
#[derive(Debug)]
pub struct PostgresBlobs {
    shared: Arc<Shared>,
}

/// What a place's writers and readers share.
#[derive(Debug)]
struct Shared {
    place: Place,
    statements: Statements,
}

#[derive(Debug)]
struct Statements {
    find: String,
    list: String,
    read: String,
    first_chunk: String,
    next_chunk: String,
    /// By how durable the blob is: relaxed, durable.
    finish_small: [String; 2],
    finish: [String; 2],
    delete_small: String,
    retire: String,
    give_up: String,
    give_up_old: String,
    delete_chunks: String,
    delete_upload: String,
}

impl PostgresBlobs {
    /// Opens the schema whose name is the one of the URL and `suffix` behind it; makes it, with its tables, if `create` says so and
    /// it is not there. It may be that of a [`PostgresDocuments`](super::PostgresDocuments).
    ///
    /// # Errors
    /// As [`PostgresDocuments::open`](super::PostgresDocuments::open).
    pub async fn open(server: &PostgresServer, suffix: &str, create: bool) -> Result<Self> {
        let place = Place::open(server, suffix, create).await?;
        let statements = Statements::new(&place.schema);
        let shared = Arc::new(Shared { place, statements });
        // Whoever may only read cannot, and need not; the next opening tries again.
        let _ = shared.sweep().await;
        Ok(Self { shared })
    }
}

#[async_trait]
impl Blobs for PostgresBlobs {
    async fn create(&self, id: &BlobId, durability: Durability) -> Result<Box<dyn BlobWriter>> {
        let upload = draw("begin a blob")?;
        Ok(Box::new(Writer::new(self.shared.clone(), *id, upload, durability)))
    }

    async fn open(&self, id: &BlobId) -> Result<Option<Box<dyn BlobReader>>> {
        let (shared, id) = (self.shared.clone(), *id);
        let work = move |lease: Lease| {
            let shared = shared.clone();
            async move { shared.find(&lease, &id).await }
        };
        let found = self.shared.place.server.read("open a blob", work).await?;
        Ok(found
            .map(|(upload, len)| Box::new(Reader::new(self.shared.clone(), id, upload, len)) as Box<dyn BlobReader>))
    }

    async fn delete(&self, id: &BlobId) -> Result<bool> {
        let (shared, id) = (self.shared.clone(), *id);
        let work = move |lease: Lease| {
            let shared = shared.clone();
            async move { shared.delete(&lease, &id).await }
        };
        self.shared.place.server.write("delete a blob", work).await
    }

    async fn list(&self, after: Option<&BlobId>, limit: usize) -> Result<BlobPage> {
        let (shared, after) = (self.shared.clone(), after.copied());
        let work = move |lease: Lease| {
            let shared = shared.clone();
            async move { shared.list(&lease, after.as_ref(), limit).await }
        };
        self.shared.place.server.read("list blobs", work).await
    }
}

impl Statements {
    fn new(schema: &str) -> Self {
        let finish_small = |condition: &str| {
            format!(
                "WITH made AS (
                     INSERT INTO {schema}.blob (id, upload, len, finished) VALUES ($1, $2, $3, {NOW})
                     ON CONFLICT (id) DO NOTHING RETURNING upload)
                 INSERT INTO {schema}.chunk (upload, number, bytes) SELECT upload, 0, $4::bytea FROM made {condition}"
            )
        };
        let finish = |condition: &str| {
            format!(
                "WITH held AS (SELECT id FROM {schema}.upload WHERE id = $2 AND touched > '-infinity' FOR UPDATE),
                 made AS (
                     INSERT INTO {schema}.blob (id, upload, len, finished)
                     SELECT $1::bytea, id, $3::bigint, {NOW} FROM held {condition}
                     ON CONFLICT (id) DO NOTHING RETURNING upload),
                 last AS (
                     INSERT INTO {schema}.chunk (upload, number, bytes) SELECT upload, $5::bigint, $4::bytea FROM made),
                 ended AS (DELETE FROM {schema}.upload USING made WHERE upload.id = made.upload)
                 SELECT (SELECT count(*) FROM held), (SELECT count(*) FROM made)"
            )
        };
        let relaxed = format!("WHERE {RELAXED}");
        let max_small = MAX_DELETED * CHUNK_LEN as u64;
        Self {
            find: format!("SELECT upload, len FROM {schema}.blob WHERE id = $1"),
            list: format!("SELECT id, len, finished FROM {schema}.blob WHERE id > $1 ORDER BY id LIMIT $2"),
            read: format!(
                "SELECT number, substring(bytes
                     FROM (greatest($4 - number * {CHUNK_LEN}, 0) + 1)::int
                     FOR (least($5 - number * {CHUNK_LEN}, {CHUNK_LEN}) - greatest($4 - number * {CHUNK_LEN}, 0))::int)
                 FROM {schema}.chunk WHERE upload = $1 AND number BETWEEN $2 AND $3 ORDER BY number"
            ),
            first_chunk: format!(
                "WITH begun AS (INSERT INTO {schema}.upload (id, touched) VALUES ($1, clock_timestamp()) RETURNING id)
                 INSERT INTO {schema}.chunk (upload, number, bytes) SELECT id, $2::bigint, $3::bytea FROM begun {relaxed}"
            ),
            next_chunk: format!(
                "WITH touched AS (
                     UPDATE {schema}.upload SET touched = clock_timestamp() WHERE id = $1 AND touched > '-infinity' RETURNING id)
                 INSERT INTO {schema}.chunk (upload, number, bytes) SELECT id, $2::bigint, $3::bytea FROM touched {relaxed}"
            ),
            finish_small: [finish_small(&relaxed), finish_small("")],
            finish: [finish(&relaxed), finish("")],
            delete_small: format!(
                "WITH gone AS (DELETE FROM {schema}.blob WHERE id = $1 AND len <= {max_small} RETURNING upload),
                 chunks AS (DELETE FROM {schema}.chunk USING gone WHERE chunk.upload = gone.upload AND {RELAXED})
                 SELECT count(*) FROM gone"
            ),
            retire: format!(
                "WITH gone AS (DELETE FROM {schema}.blob WHERE id = $1 RETURNING upload)
                 INSERT INTO {schema}.upload (id, touched) SELECT upload, '-infinity' FROM gone {relaxed} RETURNING id"
            ),
            give_up: format!("UPDATE {schema}.upload SET touched = '-infinity' WHERE id = $1 AND {RELAXED}"),
            give_up_old: format!(
                "UPDATE {schema}.upload SET touched = '-infinity'
                 WHERE touched < clock_timestamp() - interval '1 day' AND {RELAXED} RETURNING id"
            ),
            delete_chunks: format!(
                "DELETE FROM {schema}.chunk WHERE {RELAXED} AND upload = $1 AND number IN (
                     SELECT number FROM {schema}.chunk WHERE upload = $1 ORDER BY number LIMIT {MAX_DELETED})"
            ),
            delete_upload: format!("DELETE FROM {schema}.upload WHERE id = $1 AND touched = '-infinity' AND {RELAXED}"),
        }
    }
}

impl Shared {
    /// Finds the upload and the length of a blob.
    async fn find(&self, lease: &Lease, id: &BlobId) -> Attempt<Option<(i64, u64)>> {
        let rows = lease.query(&self.statements.find, &[&&id.0[..]]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some((row.try_get(0)?, unsigned(row.try_get(1)?)?)))
    }

    async fn list(&self, lease: &Lease, after: Option<&BlobId>, limit: usize) -> Attempt<BlobPage> {
        let most = BlobPage::len_for(limit);
        let after = after.map_or(&[][..], |after| &after.0);
        let limit = i64::try_from(most + 1).unwrap_or(i64::MAX);
        let rows = lease.query(&self.statements.list, &[&after, &limit]).await?;
        let mut page = BlobPage::default();
        for row in rows.iter().take(most) {
            let id: Vec<u8> = row.try_get(0)?;
            let id = id.try_into().map_err(|_| Failure::corrupt("there is a blob with an impossible id"))?;
            let (len, finished) = (unsigned(row.try_get(1)?)?, Timestamp(unsigned(row.try_get(2)?)?));
            page.blobs.push(BlobStat { id: BlobId(id), len, finished });
        }
        if rows.len() > most {
            page.next = page.blobs.last().map(|last| last.id);
        }
        Ok(page)
    }

    async fn delete(&self, lease: &Lease, id: &BlobId) -> Attempt<bool> {
        let id = &id.0[..];
        let row = lease.query_one(&self.statements.delete_small, &[&id]).await.map_err(Failure::of_write)?;
        if row.try_get::<_, i64>(0)? > 0 {
            return Ok(true);
        }
        let rows = lease.query(&self.statements.retire, &[&id]).await.map_err(Failure::of_write)?;
        let Some(row) = rows.first() else { return Ok(false) };
        // The blob is gone. What fails from here on, a later opening finishes.
        let _ = self.discard(lease, row.try_get(0)?, u32::MAX).await;
        Ok(true)
    }

    /// Gives up an upload, unless it was finished, and deletes what it left.
    async fn abandon(self: Arc<Self>, upload: i64) -> Result<()> {
        let shared = self.clone();
        let work = move |lease: Lease| {
            let shared = shared.clone();
            async move {
                if lease.execute(&shared.statements.give_up, &[&upload]).await? > 0 {
                    shared.discard(&lease, upload, u32::MAX).await?;
                }
                Ok(())
            }
        };
        self.place.server.write("give up a blob", work).await
    }

    /// Deletes the chunks of an upload that was given up, with at most so many statements; returns how many are left of these.
    async fn discard(&self, lease: &Lease, upload: i64, budget: u32) -> Attempt<u32> {
        let mut left = budget;
        while left > 0 {
            left -= 1;
            if lease.execute(&self.statements.delete_chunks, &[&upload]).await? < MAX_DELETED {
                lease.execute(&self.statements.delete_upload, &[&upload]).await?;
                break;
            }
        }
        Ok(left)
    }

    /// Deletes what writers left that were killed, or deletions that were.
    async fn sweep(self: &Arc<Self>) -> Result<()> {
        let shared = self.clone();
        let work = move |lease: Lease| {
            let shared = shared.clone();
            async move {
                let mut budget = MAX_SWEEPS;
                for row in lease.query(&shared.statements.give_up_old, &[]).await? {
                    budget = shared.discard(&lease, row.try_get(0)?, budget).await?;
                }
                Ok(())
            }
        };
        self.place.server.write("remove unfinished blobs", work).await
    }
}

fn unsigned(number: i64) -> Attempt<u64> {
    u64::try_from(number).map_err(|_| Failure::corrupt(format!("a blob has a length or time of {number}")))
}

fn by_durability(statements: &[String; 2], durability: Durability) -> &str {
    &statements[usize::from(durability == Durability::Durable)]
}
