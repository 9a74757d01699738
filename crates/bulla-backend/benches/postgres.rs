//! The PostgreSQL driver beside tokio-postgres used directly, in one run, as ratios.
//!
//! `eval "$(cargo xtask services up)" && cargo bench -p bulla-backend --features postgres --bench postgres`. The peer is what a careful program would
//! write without the driver: the same table of documents, prepared statements, as many connections as the driver's pool has, calls that are
//! awaited where they are made. It has no revisions, no marks and no expectations. The two take turns, and the best of several rounds counts.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first surprise, and prints")]

use std::{
    env,
    future::Future,
    hint::black_box,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bulla_backend::{
    Collection, DocumentKey, Documents, Durability, Expected, ListQuery, PostgresDocuments, PostgresServer,
};
use tokio::{runtime::Runtime, task::JoinSet};
use tokio_postgres::{Client, NoTls, Statement};

const DURABLE: Collection = Collection::new("bench", Durability::Durable);
const VALUE: [u8; 1024] = [0x5A; 1024];
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(700);
/// As many as the driver opens unless told otherwise.
const CONNECTIONS: usize = 16;
const DOCUMENTS: usize = 10_000;

type Done<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// What is measured: the driver, or its peer.
trait Store: Send + Sync {
    fn put(&self, durability: Durability, number: usize) -> Done<'_>;
    fn get(&self, number: usize) -> Done<'_>;
    fn list(&self) -> Done<'_>;
    /// Learns whether anything changed; the peer has nothing better than to ask the table for its newest row.
    fn mark(&self) -> Done<'_>;
}

impl Store for PostgresDocuments {
    fn put(&self, durability: Durability, number: usize) -> Done<'_> {
        Box::pin(async move {
            let collection = DURABLE.with_durability(durability);
            Documents::put(self, collection, &document_key(number), &VALUE, Expected::Any).await.map(drop).unwrap();
        })
    }

    fn get(&self, number: usize) -> Done<'_> {
        Box::pin(async move {
            black_box(Documents::get(self, DURABLE, &document_key(number)).await.unwrap().unwrap());
        })
    }

    fn list(&self) -> Done<'_> {
        Box::pin(async move {
            let page = Documents::list(self, DURABLE, &ListQuery { limit: 100, ..ListQuery::default() }).await.unwrap();
            assert_eq!(page.documents.len(), 100);
        })
    }

    fn mark(&self) -> Done<'_> {
        Box::pin(async move {
            black_box(self.change_mark(DURABLE).await.unwrap());
        })
    }
}

/// tokio-postgres, used directly.
struct Direct {
    connections: Vec<Connection>,
    next: AtomicUsize,
}

struct Connection {
    client: Client,
    put: [Statement; 2],
    get: Statement,
    list: Statement,
    one: Statement,
}

impl Direct {
    async fn open(url: &str, schema: &str) -> Self {
        let mut connections = Vec::new();
        for number in 0..CONNECTIONS {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            if number == 0 {
                let tables = format!(
                    "CREATE SCHEMA {schema}; CREATE TABLE {schema}.document (
                         collection text COLLATE \"C\" NOT NULL, key bytea NOT NULL, value bytea NOT NULL, PRIMARY KEY (collection, key));
                     ALTER TABLE {schema}.document ALTER value SET STORAGE EXTERNAL"
                );
                client.batch_execute(&tables).await.unwrap();
            }
            let settings = format!(
                "SET search_path TO {schema}; SET plan_cache_mode TO force_generic_plan; SET enable_seqscan TO off"
            );
            client.batch_execute(&settings).await.unwrap();
            let upsert = "INSERT INTO document VALUES ('bench', $1, $2) ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value";
            let relaxed = format!(
                "WITH put AS ({upsert} RETURNING 1) SELECT set_config('synchronous_commit', 'off', true) FROM put"
            );
            let put = [client.prepare(&relaxed).await.unwrap(), client.prepare(upsert).await.unwrap()];
            let get =
                client.prepare("SELECT value FROM document WHERE collection = 'bench' AND key = $1").await.unwrap();
            let list =
                client.prepare("SELECT key, value FROM document WHERE collection = 'bench' ORDER BY key LIMIT 100");
            let list = list.await.unwrap();
            let one = client.prepare("SELECT 1").await.unwrap();
            connections.push(Connection { client, put, get, list, one });
        }
        Self { connections, next: AtomicUsize::new(0) }
    }

    fn connection(&self) -> &Connection {
        &self.connections[self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS]
    }
}

impl Store for Direct {
    fn put(&self, durability: Durability, number: usize) -> Done<'_> {
        Box::pin(async move {
            let connection = self.connection();
            let put = &connection.put[usize::from(durability == Durability::Durable)];
            connection.client.execute(put, &[&&key(number)[..], &&VALUE[..]]).await.map(drop).unwrap();
        })
    }

    fn get(&self, number: usize) -> Done<'_> {
        Box::pin(async move {
            let connection = self.connection();
            let row = connection.client.query_one(&connection.get, &[&&key(number)[..]]).await.unwrap();
            black_box(row.get::<_, Vec<u8>>(0));
        })
    }

    fn list(&self) -> Done<'_> {
        Box::pin(async move {
            let connection = self.connection();
            let rows = connection.client.query(&connection.list, &[]).await.unwrap();
            let page: Vec<(Vec<u8>, Vec<u8>)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
            assert_eq!(page.len(), 100);
        })
    }

    fn mark(&self) -> Done<'_> {
        Box::pin(async move {
            let connection = self.connection();
            black_box(connection.client.query_one(&connection.one, &[]).await.unwrap());
        })
    }
}

fn key(number: usize) -> [u8; 8] {
    // Scattered, as digests and random names are.
    (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()
}

fn document_key(number: usize) -> DocumentKey {
    DocumentKey::new(key(number)).unwrap()
}

fn main() {
    let url =
        env::var("BULLA_TEST_POSTGRES").expect("BULLA_TEST_POSTGRES is set by `eval \"$(cargo xtask services up)\"`");
    let runtime = Runtime::new().unwrap();
    let stores = runtime.block_on(async {
        let unique = format!("bench{}", std::process::id());
        let server = PostgresServer::new(format!("{url}?schema={unique}").parse().unwrap());
        let ours: Arc<dyn Store> = Arc::new(PostgresDocuments::open(&server, "", true).await.unwrap());
        let direct: Arc<dyn Store> = Arc::new(Direct::open(&url, &format!("{unique}_direct")).await);
        for store in [&ours, &direct] {
            for number in 0..DOCUMENTS {
                store.put(Durability::Cache, number).await;
            }
        }
        [ours, direct]
    });
    println!("1 KiB values, {DOCUMENTS} documents, {CONNECTIONS} connections\n");
    println!("{:<44} {:>10} {:>10} {:>6}", "per second", "driver", "direct", "ratio");
    type Operation = for<'a> fn(&'a dyn Store, usize) -> Done<'a>;
    let rows: [(&str, usize, Operation); 9] = [
        ("durable puts, 1 task", 1, |store, number| store.put(Durability::Durable, number)),
        ("durable puts, 64 tasks", 64, |store, number| store.put(Durability::Durable, number)),
        ("relaxed puts, 1 task", 1, |store, number| store.put(Durability::Cache, number)),
        ("relaxed puts, 64 tasks", 64, |store, number| store.put(Durability::Cache, number)),
        ("gets, 1 task", 1, |store, number| store.get(number)),
        ("gets, 64 tasks", 64, |store, number| store.get(number)),
        ("change mark (direct: SELECT 1), 1 task", 1, |store, _| store.mark()),
        ("change mark (direct: SELECT 1), 64 tasks", 64, |store, _| store.mark()),
        ("list pages of 100, 1 task", 1, |store, _| store.list()),
    ];
    for (name, tasks, operation) in rows {
        let mut best = [0.0_f64; 2];
        for _ in 0..ROUNDS {
            for (store, best) in stores.iter().zip(&mut best) {
                *best = best.max(runtime.block_on(rate(store, tasks, operation)));
            }
        }
        println!("{name:<44} {:>10.0} {:>10.0} {:>6.2}", best[0], best[1], best[0] / best[1]);
    }
}

/// Lets tasks do something over and over for a while; returns how often a second.
async fn rate(store: &Arc<dyn Store>, tasks: usize, operation: for<'a> fn(&'a dyn Store, usize) -> Done<'a>) -> f64 {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let store = store.clone();
        running.spawn(async move {
            let mut count = 0_usize;
            while begun.elapsed() < ROUND {
                operation(&*store, (task * 7_919 + count * 7) % DOCUMENTS).await;
                count += 1;
            }
            count
        });
    }
    let done: usize = running.join_all().await.into_iter().sum();
    done as f64 / begun.elapsed().as_secs_f64()
}
