//! A server, and the connections that a process has to it.

use std::{
    fmt,
    fs::File,
    future::{Future, poll_fn},
    io::Read,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod, Runtime};
use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, NoTls, Row, Socket, Statement, config::SslMode, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;
use zeroize::Zeroizing;

use super::{
    error::{Attempt, Failure},
    tls,
    url::{Host, PostgresUrl},
};
use crate::{
    ErrorKind, Result,
    remote::{self, PerProcess},
};

/// Most calls that wait for a connection.
const MAX_WAITING: usize = 4_096;
/// How much longer than the server the driver waits for an answer, so that the server can say itself that it gave up.
const GRACE: Duration = Duration::from_secs(2);
/// Longest password file, in bytes.
const MAX_PASSWORD_LEN: usize = 4_096;
/// Most tries of a transaction that the server undoes because of others.
const MAX_TRIES: u32 = 5;

/// What is polled to have one statement of a flight executed, and how many rows it changed.
type Flying<'a> = Pin<Box<dyn Future<Output = std::result::Result<u64, tokio_postgres::Error>> + Send + 'a>>;

/// A PostgreSQL server, and this process's connections to it, which all places on it share.
///
/// Nothing is connected before it is used. A forked child makes connections of its own, and leaves the parent's alone.
#[derive(Clone)]
pub struct PostgresServer(Arc<Shared>);

struct Shared {
    url: PostgresUrl,
    pools: PerProcess<Pool>,
}

impl PostgresServer {
    /// Names a server; connects to nothing yet.
    #[must_use]
    pub fn new(url: PostgresUrl) -> Self {
        Self(Arc::new(Shared { url, pools: PerProcess::new() }))
    }

    /// Returns the URL that it was named by.
    #[must_use]
    pub fn url(&self) -> &PostgresUrl {
        &self.0.url
    }

    /// Runs work on the runtime of remote drivers, with a connection; repeats what the server undid because of others.
    pub(super) async fn write<T, W>(
        &self,
        operation: &'static str,
        work: impl Fn(Lease) -> W + Send + Sync + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Attempt<T>> + Send + 'static,
    {
        let server = self.clone();
        let tried = async move {
            let mut tries = 1;
            loop {
                match work(server.lease().await?).await {
                    Err(failure) if failure.is_race() && tries < MAX_TRIES => tries += 1,
                    done => return done,
                }
            }
        };
        remote::run(operation, async move { tried.await.map_err(|failure: Failure| failure.during(operation)) }).await
    }

    /// As [`Self::write`], for work that changes nothing: repeats it once on another connection if its own was lost.
    pub(super) async fn read<T, W>(
        &self,
        operation: &'static str,
        work: impl Fn(Lease) -> W + Send + Sync + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Attempt<T>> + Send + 'static,
    {
        let server = self.clone();
        let tried = async move {
            match work(server.lease().await?).await {
                Err(failure) if failure.is_of_connection() && !failure.is_silence() => {
                    work(server.lease().await?).await
                }
                done => done,
            }
        };
        remote::run(operation, async move { tried.await.map_err(|failure: Failure| failure.during(operation)) }).await
    }

    async fn lease(&self) -> Attempt<Lease> {
        let url = &self.0.url;
        let pool = self.0.pools.get_or_try_init(|| pool(url))?;
        if pool.status().waiting >= MAX_WAITING {
            let detail = format!("{MAX_WAITING} calls wait for a connection already; try again");
            return Err(Failure::new(ErrorKind::Unavailable, detail));
        }
        match pool.get().await {
            Ok(object) => Ok(Lease {
                object: Some(object),
                is_unfit: AtomicBool::new(false),
                limit: url.statement_timeout.saturating_add(GRACE),
            }),
            Err(error) => Err(Failure::of_pool(error, url.connections, url.connect_timeout.as_secs())),
        }
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresServer").field(&self.0.url).finish()
    }
}

/// A connection that is used by one call.
///
/// Dropped in the midst of a transaction, or after it failed, it is closed: nobody else may find what is left on it.
pub(super) struct Lease {
    /// `Some` until it is dropped.
    object: Option<Object>,
    is_unfit: AtomicBool,
    limit: Duration,
}

impl Lease {
    /// Returns a statement, which the server parses once a connection.
    pub(super) async fn prepare(&self, sql: &str) -> Attempt<Statement> {
        let object = self.object()?;
        self.within_limit(object.prepare_cached(sql)).await
    }

    /// Runs a statement, and returns how many rows it changed.
    pub(super) async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Attempt<u64> {
        let statement = self.prepare(sql).await?;
        self.within_limit(self.object()?.execute(&statement, parameters)).await.map_err(Failure::of_write)
    }

    /// Runs a statement, and returns what it found.
    pub(super) async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Attempt<Vec<Row>> {
        let statement = self.prepare(sql).await?;
        self.within_limit(self.object()?.query(&statement, parameters)).await
    }

    /// Runs a statement that finds one row.
    pub(super) async fn query_one(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Attempt<Row> {
        let rows = self.query(sql, parameters).await?;
        rows.into_iter().next().ok_or_else(|| Failure::corrupt("the server left a question without an answer"))
    }

    /// Begins a transaction together with statements, all in one go, and returns how many rows each changed.
    pub(super) async fn begin(&self, begin: &str, flight: Flight<'_>) -> Attempt<Vec<u64>> {
        let client: &Client = self.object()?;
        let mut statements = Vec::with_capacity(flight.len());
        for (sql, parameters) in flight {
            statements.push((self.prepare(&sql).await?, parameters));
        }
        self.is_unfit.store(true, Ordering::Relaxed);
        let begun: Flying<'_> = Box::pin(async move { client.batch_execute(begin).await.map(|()| 0) });
        let mut flight = vec![begun];
        for (statement, parameters) in &statements {
            flight.push(Box::pin(async move { client.execute(statement, parameters).await }));
        }
        let mut changed = self.within_limit(in_order(flight)).await?;
        changed.remove(0);
        Ok(changed)
    }

    /// Runs statements of a transaction that was begun.
    pub(super) async fn batch(&self, sql: &str) -> Attempt<()> {
        self.is_unfit.store(true, Ordering::Relaxed);
        self.within_limit(self.object()?.batch_execute(sql)).await
    }

    /// Ends a transaction, for better.
    pub(super) async fn commit(&self) -> Attempt<()> {
        let committed = self.within_limit(self.object()?.batch_execute("COMMIT")).await.map_err(Failure::of_write);
        self.ended(committed)
    }

    /// Ends a transaction, for worse. One that cannot be ended is ended by closing the connection.
    pub(super) async fn roll_back(&self) -> Attempt<()> {
        let rolled_back = self.within_limit(self.object()?.batch_execute("ROLLBACK")).await;
        self.ended(rolled_back)
    }

    fn ended(&self, ended: Attempt<()>) -> Attempt<()> {
        if ended.is_ok() {
            self.is_unfit.store(false, Ordering::Relaxed);
        }
        ended
    }

    fn object(&self) -> Attempt<&Object> {
        self.object.as_ref().ok_or_else(|| Failure::new(ErrorKind::Io, "a connection was given back already"))
    }

    async fn within_limit<T>(
        &self,
        work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Attempt<T> {
        let done = match timeout(self.limit, work).await {
            Ok(done) => done.map_err(Failure::from),
            Err(_) => Err(Failure::silence(self.limit.as_secs())),
        };
        if done.as_ref().is_err_and(Failure::is_of_connection) {
            self.is_unfit.store(true, Ordering::Relaxed);
        }
        done
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && *self.is_unfit.get_mut()
        {
            drop(Object::take(object));
        }
    }
}

/// Statements of a transaction, each with its parameters.
pub(super) type Flight<'a> = Vec<(String, Vec<&'a (dyn ToSql + Sync)>)>;

/// Polls all in their order, so that they are sent in it, and returns their results or the first failure.
async fn in_order(mut flight: Vec<Flying<'_>>) -> std::result::Result<Vec<u64>, tokio_postgres::Error> {
    let mut results: Vec<_> = flight.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (flying, result) in flight.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(ready) = flying.as_mut().poll(context)
            {
                *result = Some(ready);
            }
        }
        if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    // All of them are `Some`: what follows a failure in a transaction fails too, and says less.
    results.into_iter().flatten().collect()
}

fn pool(url: &PostgresUrl) -> Attempt<Pool> {
    let mut config = Config::new();
    match &url.host {
        Host::Socket(folder) => config.host_path(folder),
        Host::Name(name) => config.host(name),
    };
    config
        .port(url.port)
        .user(&url.user)
        .dbname(&url.database)
        .application_name("bulla")
        .connect_timeout(url.connect_timeout)
        .keepalives_idle(Duration::from_secs(60))
        .tcp_user_timeout(url.statement_timeout.saturating_add(GRACE));
    if let Some(password) = password(url)? {
        config.password(password.as_str());
    }
    let tls = tls::connector(url)?;
    config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
    let sessions = Sessions { tls, settings: settings(url) };
    let manager = Manager::from_connect(config, sessions, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(url.connections)
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(url.connect_timeout))
        .create_timeout(Some(url.connect_timeout))
        .build()
        .map_err(|error| Failure::new(ErrorKind::Io, format!("there is no pool of connections: {error}")))
}

fn password(url: &PostgresUrl) -> Attempt<Option<Zeroizing<String>>> {
    let Some(path) = &url.password_file else { return Ok(url.password.clone()) };
    read_password(path).map(Some).map_err(|reason| {
        Failure::new(ErrorKind::Permission, format!("the password file `{}` cannot be used: {reason}", path.display()))
    })
}

fn read_password(path: &Path) -> std::result::Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_PASSWORD_LEN + 1));
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_PASSWORD_LEN as u64 + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() > MAX_PASSWORD_LEN {
        return Err(format!("it is longer than {MAX_PASSWORD_LEN} bytes"));
    }
    let len = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(len);
    Ok(text)
}

/// What each session begins with: `spec/backend-postgres.md`, "Connections".
fn settings(url: &PostgresUrl) -> String {
    format!(
        "SET search_path TO pg_catalog, pg_temp;
         SET row_security TO off;
         SET statement_timeout TO '{}s';
         SET idle_in_transaction_session_timeout TO '60s';
         SET default_transaction_isolation TO 'read committed';
         SET plan_cache_mode TO force_generic_plan;
         SET jit TO off;
         SET enable_seqscan TO off;
         SET enable_bitmapscan TO off;
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';",
        url.statement_timeout.as_secs()
    )
}

/// Makes sessions.
struct Sessions {
    tls: Option<MakeRustlsConnect>,
    settings: String,
}

impl Connect for Sessions {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = std::result::Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>>
    {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = match &self.tls {
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, drive(connection))
                }
                Some(tls) => {
                    let (client, connection) = config.connect(tls.clone()).await?;
                    (client, drive(connection))
                }
            };
            client.batch_execute(&self.settings).await?;
            Ok((client, connection))
        })
    }
}

/// Lets a connection exchange messages until it is lost or closed. Why it was lost, the calls on it are told.
fn drive<S>(connection: tokio_postgres::Connection<Socket, S>) -> JoinHandle<()>
where
    S: tokio_postgres::tls::TlsStream + Unpin + Send + 'static,
{
    tokio::spawn(async move { drop(connection.await) })
}

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use super::*;

    #[test]
    fn nobody_meets_a_transaction_that_was_left_open() {
        let url = std::env::var("BULLA_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!(
                "BULLA_TEST_POSTGRES is not set: run `cargo xtask test --only tests`, or see `cargo xtask services up`"
            )
        });
        let server = PostgresServer::new(format!("{url}?connections=1").parse().unwrap());
        let session = |leaves_open: bool| {
            let used = server.read("test", move |lease: Lease| async move {
                let row = lease.query_one("SELECT pg_backend_pid()", &[]).await?;
                if leaves_open {
                    lease.begin("BEGIN", Vec::new()).await?;
                    lease.batch("CREATE TEMPORARY TABLE left_open (id int)").await?;
                }
                row.try_get::<_, i32>(0).map_err(Failure::from)
            });
            block_on(used).unwrap()
        };
        let first = session(false);
        assert_eq!(session(true), first, "a session is used again");
        assert_ne!(session(false), first, "but for one with an open transaction");
    }

    #[test]
    fn what_is_sent_keeps_its_order() {
        let order = std::sync::Mutex::new(Vec::new());
        let order = &order;
        let flight = (0..40_u64)
            .map(|number| -> Flying<'_> {
                Box::pin(async move {
                    order.lock().unwrap().push(number);
                    Ok(number)
                })
            })
            .collect();
        let results = block_on(in_order(flight)).unwrap();
        assert_eq!(results, (0..40).collect::<Vec<_>>());
        assert_eq!(*order.lock().unwrap(), results);
    }
}
