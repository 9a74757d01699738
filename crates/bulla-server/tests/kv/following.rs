//! Two servers on one storage: what one mounts, the other answers for within a second, and a storage that fails is borne for a while.

use std::sync::Arc;
use std::time::Duration;

use bulla::Project;
use bulla_server::transit::TransitOptions;
use bulla_server::{ApiError, App};
use bulla_store::{ExpectedVersion, PutOptions};
use tokio::time::{Instant, advance, sleep};

use super::door::{Guard, ROOT, send};

const ENABLE: &str = r#"{"type":"kv-v2"}"#;

async fn servers() -> (Arc<Project>, Arc<App>, Arc<App>) {
    let project = Arc::new(Project::in_memory().await.unwrap());
    let app = || App::builder(project.clone(), Guard::default()).engines(TransitOptions::default()).build().unwrap();
    let (one, other) = (app(), app());
    (project, one, other)
}

async fn status(app: &Arc<App>, method: &str, target: &str, body: &str) -> u16 {
    send(app, ROOT, method, target, body).await.status
}

/// Says what a list in an engine that has nothing is answered: 404 with and without the engine, so that something is written there.
async fn writes(app: &Arc<App>, engine: &str) -> u16 {
    status(app, "POST", &format!("{engine}/data/a"), r#"{"data":{}}"#).await
}

#[tokio::test(start_paused = true)]
async fn a_server_sees_within_a_second_what_another_mounts() {
    let (_project, one, other) = servers().await;
    assert_eq!((writes(&one, "secret").await, writes(&other, "secret").await), (200, 200));
    assert_eq!(status(&one, "POST", "sys/mounts/team", ENABLE).await, 204);
    // At once where it was done, soon elsewhere.
    assert_eq!(writes(&one, "team").await, 200);
    assert_eq!(writes(&other, "team").await, 404);
    advance(Duration::from_secs(1)).await;
    assert_eq!(writes(&other, "team").await, 200);
    assert_eq!(status(&other, "DELETE", "sys/mounts/team", "").await, 204);
    assert_eq!(writes(&other, "team").await, 404);
    advance(Duration::from_secs(1)).await;
    assert_eq!(writes(&one, "team").await, 404);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_idle_does_not_begin_with_an_old_table() {
    let (_project, one, other) = servers().await;
    assert_eq!(writes(&other, "secret").await, 200);
    status(&one, "POST", "sys/mounts/team", ENABLE).await;
    advance(Duration::from_secs(3_600)).await;
    // None of many that come at once goes by the old one.
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let other = other.clone();
            tokio::spawn(async move { writes(&other, "team").await })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_program_mounts_itself_stays() {
    let (_project, one, _) = servers().await;
    one.catch_up().await;
    let paths = |app: &App| {
        let mut paths: Vec<_> = app.mounts().iter().map(|mount| mount.path().to_owned()).collect();
        paths.sort();
        paths
    };
    assert_eq!(paths(&one), ["cubbyhole", "secret", "transit"]);
    one.mount(bulla_server::Mount::new("own/keys", bulla_server::transit::TRANSIT)).unwrap();
    // Nothing is enabled over it.
    for path in ["own", "own/keys", "own/keys/more"] {
        assert_eq!(status(&one, "POST", &format!("sys/mounts/{path}"), ENABLE).await, 400, "{path}");
    }
    status(&one, "POST", "sys/mounts/team", ENABLE).await;
    assert_eq!(paths(&one), ["cubbyhole", "own/keys", "secret", "team", "transit"]);
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_fails_is_borne_for_half_a_minute_and_no_longer() {
    let (project, one, _) = servers().await;
    assert_eq!(status(&one, "POST", "sys/mounts/team", ENABLE).await, 204);
    let namespace = project.entries().namespace("secrets/engines").unwrap();
    let whole = namespace.get(b"table", &Default::default()).await.unwrap().bytes;
    namespace.put(b"table", b"other bytes", &PutOptions::default()).await.unwrap();
    let broken = Instant::now();
    while broken.elapsed() < Duration::from_secs(29) {
        assert_eq!(writes(&one, "team").await, 200, "after {:?}", broken.elapsed());
        sleep(Duration::from_millis(700)).await;
    }
    sleep(Duration::from_secs(3)).await;
    let refused = send(&one, ROOT, "GET", "team/data/a", "").await;
    assert_eq!((refused.status, refused.json["code"].as_str()), (503, Some("mounts_unknown")));
    // What needs no table is answered all the while, and the rest as soon as there is one.
    assert_eq!(status(&one, "GET", "sys/seal-status", "").await, 200);
    let options = PutOptions { expected: ExpectedVersion::Any, ..PutOptions::default() };
    namespace.put(b"table", &whole, &options).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(writes(&one, "team").await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_saw_a_table_routes_nothing() -> Result<(), ApiError> {
    let (project, one, _) = servers().await;
    let namespace = project.entries().namespace("secrets/engines")?;
    namespace.put(b"table", b"other bytes", &PutOptions::default()).await?;
    assert_eq!(writes(&one, "secret").await, 503);
    assert_eq!(status(&one, "GET", "sys/mounts", "").await, 500);
    Ok(())
}
