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
use self::{place::Place, write::Outcome};
use crate::{
    BackendError, Capabilities, ChangeMark, Collection, Document, DocumentKey, Documents, Expected, ListQuery, Page,
    Result, Revision, Write,
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
        Capabilities { commit: true, watch: true, persistent: true, multi_process: true }
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
        if let Some(unmet) = self.place.server.write(OPERATION, work).await? {
            let subject = writes.get(unmet).map(|write| write.key().to_string()).unwrap_or_default();
            return Err(BackendError::conflict(OPERATION, subject));
        }
        let revision = Revision(drawn.unsigned_abs());
        Ok(writes.iter().map(|write| matches!(write, Write::Put { .. }).then_some(revision)).collect())
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
}
