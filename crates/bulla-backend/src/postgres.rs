//! Documents and blobs in a PostgreSQL database.
//!
//! `spec/backend-postgres.md` states the URL, the tables, and why nothing that was answered is lost.

mod blobs;
mod error;
mod place;
mod read;
mod server;
mod tls;
mod url;
mod write;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::{blobs::PostgresBlobs, server::PostgresServer, url::PostgresUrl};
use self::{
    place::Place,
    write::{Outcome, Unmet},
};
use crate::{
    BackendError, Capabilities, ChangeMark, Collection, DiskUsage, Document, DocumentKey, Documents, ErrorKind,
    Expected, Filed, Filing, ListQuery, MAX_COMMIT_WRITES, MAX_PAGE_DOCUMENTS, Page, Rerank, Result, Revision,
    Timestamp, Usage, Write, document::check_reranks,
};

/// Documents in a schema of a PostgreSQL database, which any number of processes of any number of machines may use at once.
///
/// # Security
/// What the server says is bounded where it is read, but not verified: that is for the seals of those who wrote it.
#[derive(Debug)]
pub struct PostgresDocuments {
    place: Place,
    statements: Arc<Statements>,
}

#[derive(Debug)]
struct Statements {
    read: read::Statements,
    write: write::Statements,
}

impl PostgresDocuments {
    /// Opens the schema whose name is the one of the URL and `suffix` behind it; makes it, with its tables, if `create` says so and
    /// it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Unsuitable`](crate::ErrorKind::Unsuitable) if the server is too old or does not sync, if the schema is not ours or of a newer version, or is
    /// missing and not to be made, or if the server cannot prove who it is; [`ErrorKind::Permission`](crate::ErrorKind::Permission) if it does not let us in;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if it does not answer.
    pub async fn open(server: &PostgresServer, suffix: &str, create: bool) -> Result<Self> {
        let place = Place::open(server, suffix, create).await?;
        let statements = Statements { read: read::Statements::new(&place), write: write::Statements::new(&place) };
        Ok(Self { place, statements: Arc::new(statements) })
    }

    async fn write_one(&self, operation: &'static str, write: Write) -> Result<(Outcome, Revision)> {
        let drawn = write::draw(operation)?;
        let (statements, shared) = (self.statements.clone(), Arc::new(write));
        let write = shared.clone();
        let work = move |lease| {
            let (statements, write) = (statements.clone(), write.clone());
            async move { write::one(&lease, &statements.write, &write, drawn).await }
        };
        match self.place.server.write(operation, work).await? {
            Outcome::Conflict => Err(BackendError::conflict(operation, shared.key())),
            made => Ok((made, Revision(drawn.unsigned_abs()))),
        }
    }
}

#[async_trait]
impl Documents for PostgresDocuments {
    fn capabilities(&self) -> Capabilities {
        Capabilities { commit: true, watch: true, persistent: true, multi_process: true, filing: true }
    }

    async fn get(&self, collection: Collection, key: &DocumentKey) -> Result<Option<Document>> {
        let (statements, key) = (self.statements.clone(), key.clone());
        let work = move |lease| {
            let (statements, key) = (statements.clone(), key.clone());
            async move { read::get(&lease, &statements.read, collection, &key).await }
        };
        self.place.server.read("read a document", work).await
    }

    async fn put(
        &self,
        collection: Collection,
        key: &DocumentKey,
        value: &[u8],
        expected: Expected,
    ) -> Result<Revision> {
        Write::check_value(value)?;
        let write = Write::Put { collection, key: key.clone(), value: value.to_vec(), expected };
        self.write_one("write a document", write).await.map(|(_, revision)| revision)
    }

    async fn delete(&self, collection: Collection, key: &DocumentKey, expected: Expected) -> Result<bool> {
        let write = Write::Delete { collection, key: key.clone(), expected };
        let (outcome, _) = self.write_one("delete a document", write).await?;
        Ok(outcome == Outcome::Made { was_there: true })
    }

    async fn list(&self, collection: Collection, query: &ListQuery) -> Result<Page> {
        let (statements, query) = (self.statements.clone(), query.clone());
        let work = move |lease| {
            let (statements, query) = (statements.clone(), query.clone());
            async move { read::list(&lease, &statements.read, collection, &query).await }
        };
        self.place.server.read("list documents", work).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<Revision>>> {
        const OPERATION: &str = "commit";
        Write::check_commit(writes)?;
        let drawn = write::draw(OPERATION)?;
        let (statements, shared): (_, Arc<[Write]>) = (self.statements.clone(), writes.into());
        let work = move |lease| {
            let (statements, writes) = (statements.clone(), shared.clone());
            async move { write::all(&lease, &statements.write, &writes, drawn).await }
        };
        let unmet = self.place.server.write(OPERATION, work).await?;
        let blamed = |at: usize| writes.get(at).map(|write| write.key().to_string()).unwrap_or_default();
        match unmet {
            None => {}
            Some(Unmet::Expected(at)) => return Err(BackendError::conflict(OPERATION, blamed(at))),
            Some(Unmet::Limit(at)) => {
                let detail =
                    format!("with `{}` its group would pass its limit; delete some, or raise the limit", blamed(at));
                return Err(BackendError::new(ErrorKind::Limit, OPERATION, detail));
            }
        }
        let revision = Revision(drawn.unsigned_abs());
        let is_put = |write: &Write| matches!(write, Write::Put { .. } | Write::PutFiled { .. });
        Ok(writes.iter().map(|write| is_put(write).then_some(revision)).collect())
    }

    /// The mark is of this collection alone; it is read from at most 64 small rows.
    async fn change_mark(&self, collection: Collection) -> Result<Option<ChangeMark>> {
        let statements = self.statements.clone();
        let work = move |lease| {
            let statements = statements.clone();
            async move { read::mark(&lease, &statements.read, collection).await }
        };
        self.place.server.read("read a change mark", work).await.map(Some)
    }

    async fn due(
        &self,
        collection: Collection,
        group: Option<&[u8]>,
        moment: Timestamp,
        after: Option<(Timestamp, &[u8])>,
        limit: usize,
    ) -> Result<Vec<Filed>> {
        let (statements, group, limit) = (self.statements.clone(), group.map(<[u8]>::to_vec), page_len(limit));
        let after = after.map(|(moment, key)| (moment, key.to_vec()));
        let work = move |lease| {
            let (statements, group, after) = (statements.clone(), group.clone(), after.clone());
            async move { read::due(&lease, &statements.read, collection, group.as_deref(), moment, after, limit).await }
        };
        self.place.server.read("find what is due", work).await
    }

    async fn lowest(&self, collection: Collection, group: &[u8], limit: usize) -> Result<Vec<Filed>> {
        let (statements, group, limit) = (self.statements.clone(), group.to_vec(), page_len(limit));
        let work = move |lease| {
            let (statements, group) = (statements.clone(), group.clone());
            async move { read::lowest(&lease, &statements.read, collection, &group, limit).await }
        };
        self.place.server.read("find the lowest ranks", work).await
    }

    async fn usage(&self, collection: Collection, group: &[u8]) -> Result<Usage> {
        let (statements, group) = (self.statements.clone(), group.to_vec());
        let work = move |lease| {
            let (statements, group) = (statements.clone(), group.clone());
            async move { read::usage(&lease, &statements.read, collection, &group).await }
        };
        self.place.server.read("count a group", work).await
    }

    fn share(&self, key: &DocumentKey, value_len: usize, filing: &Filing) -> u64 {
        place::share(key.as_bytes().len(), value_len, filing)
    }

    async fn rerank(&self, collection: Collection, changes: &[(DocumentKey, Rerank)]) -> Result<()> {
        check_reranks(changes)?;
        // In parts, so that nobody waits for all of them.
        for part in changes.chunks(MAX_COMMIT_WRITES) {
            let (statements, changes): (_, Arc<[_]>) = (self.statements.clone(), part.into());
            let work = move |lease| {
                let (statements, changes) = (statements.clone(), changes.clone());
                async move { write::rerank(&lease, &statements.write, collection, &changes).await }
            };
            self.place.server.write("change ranks", work).await?;
        }
        Ok(())
    }

    async fn disk_usage(&self) -> Result<Option<DiskUsage>> {
        let statements = self.statements.clone();
        let work = move |lease| {
            let statements = statements.clone();
            async move { read::disk_usage(&lease, &statements.read).await }
        };
        self.place.server.read("measure a database", work).await.map(Some)
    }
}

/// Returns how many documents an answer has at most.
fn page_len(limit: usize) -> i64 {
    i64::try_from(limit.min(MAX_PAGE_DOCUMENTS)).unwrap_or(i64::MAX)
}
