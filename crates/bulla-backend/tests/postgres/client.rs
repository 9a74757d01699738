//! A client without the driver, for what the driver would never do.

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Config, NoTls, Row};

/// One connection, with a runtime of its own.
pub(super) struct Client {
    runtime: Runtime,
    client: tokio_postgres::Client,
    schema: String,
}

impl Client {
    /// Connects to the server of a URL; tables without a schema are those of the URL's.
    pub(super) fn connect(url: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (server, parameters) = url.split_once('?').unwrap_or((url, ""));
        let schema = parameters.split('&').find_map(|pair| pair.strip_prefix("schema=")).unwrap_or("public").to_owned();
        let config: Config = server.parse().unwrap();
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&format!("SET search_path TO {schema}")).await.unwrap();
            client
        });
        Self { runtime, client, schema }
    }

    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    #[track_caller]
    pub(super) fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    #[track_caller]
    pub(super) fn rows(&self, sql: &str) -> Vec<Row> {
        self.runtime.block_on(self.client.query(sql, &[])).unwrap()
    }

    #[track_caller]
    pub(super) fn number(&self, sql: &str) -> i64 {
        self.rows(sql)[0].get(0)
    }
}
