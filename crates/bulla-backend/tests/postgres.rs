//! The PostgreSQL driver, on a real server.

mod client;
mod damage;
mod faults;
mod filing;
mod forks;
mod protection;
mod server;

use std::sync::Arc;

use bulla_backend::{
    BackendError, Blobs, Collection, Documents, Durability, PostgresBlobs, PostgresDocuments, PostgresServer,
    testing::conformance,
};
use pollster::block_on;

use self::client::Client;
use crate::model;

const DURABLE: Collection = Collection::new("durable", Durability::Durable);
const CACHE: Collection = Collection::new("cache", Durability::Cache);

/// A fresh schema on the server that the tests share.
struct Place {
    url: String,
    schema: String,
}

impl Place {
    fn new() -> Self {
        Self::on(&shared_server())
    }

    /// Names a schema that was never used, by a URL with or without parameters.
    fn on(server: &str) -> Self {
        let mut seed = [0; 8];
        aws_lc_rs::rand::fill(&mut seed).unwrap();
        let schema = format!("t{}", data_encoding::HEXLOWER.encode(&seed));
        Self { url: with(server, &format!("schema={schema}")), schema }
    }

    fn server(&self) -> PostgresServer {
        PostgresServer::new(self.url.parse().unwrap())
    }

    fn documents(&self) -> PostgresDocuments {
        self.try_documents().unwrap()
    }

    fn try_documents(&self) -> Result<PostgresDocuments, BackendError> {
        block_on(PostgresDocuments::open(&self.server(), "", true))
    }

    fn blobs(&self) -> PostgresBlobs {
        block_on(PostgresBlobs::open(&self.server(), "", true)).unwrap()
    }

    /// Connects without the driver.
    fn client(&self) -> Client {
        Client::connect(&self.url)
    }
}

/// Adds parameters to a URL.
fn with(url: &str, parameters: &str) -> String {
    format!("{url}{}{parameters}", if url.contains('?') { '&' } else { '?' })
}

/// Returns the URL of the server that all tests share.
#[track_caller]
fn shared_server() -> String {
    variable("BULLA_TEST_POSTGRES")
}

#[track_caller]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: run `cargo xtask test --only tests`, or see `cargo xtask services up`")
    })
}

#[test]
fn documents_pass_the_suite() {
    conformance::documents(|| {
        let place = Place::new();
        move || Arc::new(place.documents()) as Arc<dyn Documents>
    });
}

#[test]
fn blobs_pass_the_suite() {
    conformance::blobs(|| {
        let place = Place::new();
        move || Arc::new(place.blobs()) as Arc<dyn Blobs>
    });
}

#[test]
fn documents_do_what_a_map_does() {
    model::documents(8, || {
        let place = Place::new();
        move || Arc::new(place.documents()) as Arc<dyn Documents>
    });
}

#[test]
fn blobs_do_what_a_map_does() {
    model::blobs(8, || {
        let place = Place::new();
        move || Arc::new(place.blobs()) as Arc<dyn Blobs>
    });
}
