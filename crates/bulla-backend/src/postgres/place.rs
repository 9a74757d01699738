//! A place on a server: a schema with our tables.

use super::{
    error::{Attempt, Failure},
    server::{Lease, PostgresServer},
};
use crate::{ErrorKind, Filing, Result};

/// The number of the schema that this driver makes and knows.
const VERSION: i32 = 2;
/// The first version of PostgreSQL that has all that we use: `bit_xor`.
const OLDEST_SERVER: i32 = 140_000;
/// Longest name of a schema in PostgreSQL, in bytes.
const MAX_NAME_LEN: usize = 63;

/// A schema of which the tables are known to be ours.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) server: PostgresServer,
    /// The schema's name in quotes; its letters, digits and `_` need no escapes.
    pub(super) schema: String,
}

impl Place {
    /// Opens a place, and makes it if that is wanted and it is not there.
    pub(super) async fn open(server: &PostgresServer, suffix: &str, create: bool) -> Result<Self> {
        const OPERATION: &str = "open a database";
        let schema = format!("{}{suffix}", server.url().schema());
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if !schema.bytes().all(is_plain) || schema.len() > MAX_NAME_LEN {
            let detail = format!("the name of a schema has at most {MAX_NAME_LEN} of a to z, 0 to 9 and `_`");
            return Err(Failure::new(ErrorKind::InvalidInput, detail).during(OPERATION));
        }
        let name = schema.clone();
        let open = move |lease| {
            let name = name.clone();
            async move { prepare(&lease, &name, create).await }
        };
        server.write(OPERATION, open).await?;
        Ok(Self { server: server.clone(), schema: format!("\"{schema}\"") })
    }
}

async fn prepare(lease: &Lease, schema: &str, create: bool) -> Attempt<()> {
    check_server(lease).await?;
    match found(lease, schema).await? {
        Found::Ours { version: VERSION } => return Ok(()),
        Found::Ours { .. } => {}
        Found::Nothing { .. } if create => {}
        Found::Nothing { .. } => {
            let detail = format!("there is no schema `{schema}` with our tables in this database");
            return Err(Failure::new(ErrorKind::Unsuitable, detail));
        }
    }
    lease.begin("BEGIN; SET LOCAL synchronous_commit TO on", Vec::new()).await?;
    lease.batch(&format!("SELECT pg_advisory_xact_lock(hashtextextended('bulla place {schema}', 0))")).await?;
    // Whoever had the lock before us may have made it.
    match found(lease, schema).await? {
        Found::Ours { version: VERSION } => return lease.roll_back().await,
        Found::Ours { .. } => {}
        Found::Nothing { is_there } => lease.batch(&tables(schema, is_there)).await?,
    }
    lease.batch(&filing(schema)).await?;
    lease.commit().await
}

async fn check_server(lease: &Lease) -> Attempt<()> {
    let row = lease
        .query_one(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('fsync')",
            &[],
        )
        .await?;
    let (number, version, fsync): (i32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if number < OLDEST_SERVER {
        let detail = format!("the server is PostgreSQL {version}; 14 or later is needed");
        return Err(Failure::new(ErrorKind::Unsuitable, detail));
    }
    if fsync != "on" {
        let detail = "the server has `fsync` off, so a power cut loses what it said was written; turn it on";
        return Err(Failure::new(ErrorKind::Unsuitable, detail));
    }
    Ok(())
}

/// What a schema's name stands for.
enum Found {
    Ours {
        version: i32,
    },
    /// No tables; the schema itself may be there.
    Nothing {
        is_there: bool,
    },
}

async fn found(lease: &Lease, schema: &str) -> Attempt<Found> {
    let row = lease
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
                    EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = $1),
                    EXISTS (SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                            WHERE nspname = $1 AND relname = 'format')",
            &[&schema],
        )
        .await?;
    let (is_there, has_relations, has_format): (bool, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !has_format {
        return match has_relations {
            false => Ok(Found::Nothing { is_there }),
            true => {
                let detail = format!("the schema `{schema}` holds tables of another program; name another by `schema`");
                Err(Failure::new(ErrorKind::Unsuitable, detail))
            }
        };
    }
    let rows = lease.query(&format!("SELECT version FROM \"{schema}\".format WHERE id = 1"), &[]).await?;
    let version: Option<i32> = rows.first().map(|row| row.try_get(0)).transpose()?;
    match version {
        Some(version @ 1..=VERSION) => Ok(Found::Ours { version }),
        Some(version) if version > VERSION => Err(Failure::new(
            ErrorKind::Unsuitable,
            format!("its schema is number {version}, and this program knows up to {VERSION}; update it"),
        )),
        Some(version) => Err(Failure::corrupt(format!("its schema is number {version}, which none is"))),
        None => Err(Failure::corrupt("its schema has no number")),
    }
}

/// Returns what a filed document is counted with, as an expression: `spec/backend-postgres.md`, "Filing".
fn share_of(row: &str) -> String {
    format!(
        "(2 * octet_length({row}.key) + octet_length({row}.value) + octet_length({row}.value) / 40 + {SHARE}
          + CASE WHEN {row}.due IS NULL THEN 0 ELSE {ORDER} + octet_length({row}.group_name) END
          + CASE WHEN {row}.rank IS NULL THEN 0 ELSE {ORDER} + octet_length({row}.group_name) END
          + coalesce({row}.extra, 0))"
    )
}

/// Returns the same of a document that is not written yet. No sum of them leaves the integers of the server.
pub(super) fn share(key_len: usize, value_len: usize, filing: &Filing) -> u64 {
    let orders = u64::from(filing.due.is_some()) + u64::from(filing.rank.is_some());
    let (key_len, value_len) = (key_len as u64, value_len as u64);
    2 * key_len + value_len + value_len / 40 + SHARE + orders * (ORDER + filing.group_len as u64) + filing.extra_bytes
}

/// What a filed document has beside its key and value: the heads of its row and of its entry in the index.
const SHARE: u64 = 120;
/// What an entry of the index of moments, or of ranks, has beside the name of the group.
const ORDER: u64 = 48;

/// Makes schema 2 of schema 1: `spec/backend-postgres.md`, "Filing".
fn filing(schema: &str) -> String {
    let (old, new) = (share_of("OLD"), share_of("NEW"));
    let trigger = |event: &str, condition: &str| {
        format!(
            r#"CREATE CONSTRAINT TRIGGER count_{event} AFTER {event} ON "{schema}".document DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION "{schema}".count_filed();"#
        )
    };
    let triggers = [
        trigger("insert", "NEW.group_name IS NOT NULL"),
        trigger("update", "OLD.group_name IS NOT NULL OR NEW.group_name IS NOT NULL"),
        trigger("delete", "OLD.group_name IS NOT NULL"),
    ]
    .concat();
    format!(
        r#"ALTER TABLE "{schema}".document ADD COLUMN group_name bytea, ADD COLUMN due bigint, ADD COLUMN rank bigint,
            ADD COLUMN extra bigint;
        CREATE INDEX document_due ON "{schema}".document (collection, group_name, due) WHERE due IS NOT NULL;
        CREATE INDEX document_rank ON "{schema}".document (collection, group_name, rank) WHERE rank IS NOT NULL;
        CREATE TABLE "{schema}".total (
            collection text COLLATE "C" NOT NULL, name bytea NOT NULL, documents bigint NOT NULL, bytes bigint NOT NULL,
            PRIMARY KEY (collection, name)) WITH (fillfactor = 20);
        CREATE FUNCTION "{schema}".count_filed() RETURNS trigger LANGUAGE plpgsql AS $count$
        BEGIN
            IF TG_OP = 'UPDATE' AND OLD.revision = NEW.revision THEN
                RETURN NULL;
            END IF;
            IF TG_OP <> 'INSERT' AND OLD.group_name IS NOT NULL THEN
                UPDATE "{schema}".total AS total
                SET documents = greatest(0, total.documents - 1), bytes = greatest(0, total.bytes - {old})
                WHERE total.collection = OLD.collection AND total.name = OLD.group_name;
            END IF;
            IF TG_OP <> 'DELETE' AND NEW.group_name IS NOT NULL THEN
                INSERT INTO "{schema}".total AS total (collection, name, documents, bytes)
                VALUES (NEW.collection, NEW.group_name, 1, {new})
                ON CONFLICT (collection, name) DO UPDATE
                SET documents = total.documents + 1, bytes = total.bytes + excluded.bytes;
            END IF;
            RETURN NULL;
        END $count$;
        {triggers}
        UPDATE "{schema}".format SET version = {VERSION};"#
    )
}

/// Makes the tables of schema 1: `spec/backend-postgres.md`, "Tables".
fn tables(schema: &str, is_there: bool) -> String {
    let create = if is_there { String::new() } else { format!("CREATE SCHEMA \"{schema}\";") };
    format!(
        r#"{create}
        CREATE TABLE "{schema}".format (id int PRIMARY KEY CHECK (id = 1), version int NOT NULL);
        INSERT INTO "{schema}".format (id, version) VALUES (1, 1);
        CREATE TABLE "{schema}".document (
            collection text COLLATE "C" NOT NULL, key bytea NOT NULL, revision bigint NOT NULL, value bytea NOT NULL,
            PRIMARY KEY (collection, key));
        CREATE TABLE "{schema}".mark (
            collection text COLLATE "C" NOT NULL, slot int NOT NULL, mark bigint NOT NULL,
            PRIMARY KEY (collection, slot)) WITH (fillfactor = 20);
        CREATE TABLE "{schema}".blob (id bytea PRIMARY KEY, upload bigint NOT NULL, len bigint NOT NULL, finished bigint NOT NULL);
        CREATE TABLE "{schema}".upload (id bigint PRIMARY KEY, touched timestamptz NOT NULL);
        CREATE TABLE "{schema}".chunk (
            upload bigint NOT NULL, number bigint NOT NULL, bytes bytea NOT NULL, PRIMARY KEY (upload, number));
        ALTER TABLE "{schema}".document ALTER value SET STORAGE EXTERNAL;
        ALTER TABLE "{schema}".chunk ALTER bytes SET STORAGE EXTERNAL;"#
    )
}
