//! The server's own endpoints.

use std::sync::Arc;

use async_trait::async_trait;
use bulla_server::{App, Check, NotReady, Requires};
use serde_json::{Value, json};

use super::setting::{LOOKER, TestDoor, app, ask, builder, request, send};

struct Never;

#[async_trait]
impl Check for Never {
    fn name(&self) -> &'static str {
        "never"
    }

    async fn check(&self, _: &App) -> Result<(), NotReady> {
        Err(NotReady("not_today"))
    }
}

#[tokio::test]
async fn a_server_says_that_it_lives_and_what_it_lacks_to_be_ready() {
    let (app, _) = app().await;
    for path in ["/livez", "/health"] {
        assert_eq!(send(&app, request("GET", path, None, "")).await.json(), json!({"status": "ok"}));
    }
    for path in ["/readyz", "/ready"] {
        let got = send(&app, request("GET", path, None, "")).await;
        assert_eq!(got.json(), json!({"status": "ready", "checks": {"keyring": "ok"}}));
    }
    let app = builder(&TestDoor::default()).await.check(Never).build().unwrap();
    let got = send(&app, request("GET", "/readyz", None, "")).await;
    assert_eq!(got.status, 503);
    assert_eq!(got.json(), json!({"status": "not ready", "checks": {"keyring": "ok", "never": "not_today"}}));
    assert_eq!(send(&app, request("GET", "/livez", None, "")).await.status, 200);
    assert!(!app.is_ready().await);
}

#[tokio::test]
async fn vaults_clients_find_what_they_look_for() {
    let (app, _) = app().await;
    let got = send(&app, request("GET", "/v1/sys/health?standbyok=true", None, "")).await;
    let health = got.json();
    assert_eq!(got.status, 200);
    assert_eq!(
        (&health["initialized"], &health["sealed"], &health["standby"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert!(health["server_time_utc"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!(health["cluster_id"], app.project().id().to_string());
    assert_eq!(send(&app, request("HEAD", "/v1/sys/health", None, "")).await.status, 200);
    assert_eq!(send(&app, request("GET", "/v1/sys/health?activecode=299", None, "")).await.status, 299);
    assert_eq!(send(&app, request("GET", "/v1/sys/health?activecode=x", None, "")).await.status, 400);

    let seal = send(&app, request("GET", "/v1/sys/seal-status", None, "")).await.json();
    assert_eq!(
        (&seal["sealed"], &seal["t"], &seal["n"], &seal["storage_type"]),
        (&json!(false), &json!(1), &json!(1), &json!("memory"))
    );
    assert_eq!(send(&app, request("GET", "/v1/sys/leader", None, "")).await.json()["is_self"], true);

    app.drain();
    let got = send(&app, request("GET", "/v1/sys/health", None, "")).await;
    assert_eq!((got.status.as_u16(), &got.json()["sealed"]), (503, &json!(true)));
    assert_eq!(send(&app, request("GET", "/v1/sys/health?sealedcode=200", None, "")).await.status, 200);
}

#[tokio::test]
async fn numbers_and_the_machine_are_shown_to_those_who_may() {
    let (app, _) = app().await;
    for path in ["/v1/metrics", "/v1/sys/metrics?format=prometheus", "/v1/sys/host-info"] {
        for token in [None, Some(LOOKER)] {
            assert_eq!(send(&app, request("GET", path, token, "")).await.status, 403, "{path}");
        }
    }
    let host = ask(&app, "GET", "/v1/sys/host-info", "").await.json();
    assert!(host["data"]["memory"]["total"].as_u64().unwrap() > 0);
    assert!(!host["data"]["host"]["hostname"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn requests_are_counted_by_endpoint_and_never_by_what_they_say() {
    let (app, _) = app().await;
    for number in 0..50 {
        ask(&app, "GET", &format!("/v1/box/data/secret-{number}"), "").await;
        ask(&app, "GET", &format!("/v1/nothing/secret-{number}"), "").await;
    }
    ask(&app, "POST", "/v1/box/echo/a", "no JSON").await;
    let got = ask(&app, "GET", "/v1/metrics", "").await;
    assert!(got.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    for line in [
        "bulla_http_requests_total{endpoint=\"box.read\",status=\"2xx\"} 50",
        "bulla_http_requests_total{endpoint=\"none\",status=\"4xx\"} 50",
        "bulla_http_requests_total{endpoint=\"box.echo\",status=\"4xx\"} 1",
        "bulla_http_request_seconds_bucket{endpoint=\"box.read\",le=\"+Inf\"} 50",
        "bulla_http_request_seconds_count{endpoint=\"box.read\"} 50",
        "bulla_http_requests_in_flight 1",
    ] {
        assert!(got.text.lines().any(|found| found == line), "{line}\n{}", got.text);
    }
    assert!(!got.text.contains("secret"));
    // What Prometheus reads: a name, labels, a number; each metric begun once.
    let mut begun = std::collections::HashSet::new();
    for line in got.text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(metric) => assert!(begun.insert(metric.to_owned()), "{line}"),
            None if line.starts_with('#') => {}
            None => assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}"),
        }
    }
}

#[tokio::test]
async fn every_endpoint_is_described_and_every_reference_leads_somewhere() {
    let (app, _) = app().await;
    let got = send(&app, request("GET", "/v1/openapi.json", None, "")).await;
    let api = got.json();
    assert_eq!(api["openapi"], "3.1.0");
    let mut ids = std::collections::HashSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
            let is_ours = operation["tags"][0] == "sys";
            assert!(!is_ours || operation["summary"].as_str().unwrap().ends_with('.'), "{path}");
            assert!(operation["responses"].as_object().unwrap().len() > 1, "{path}");
            for name in path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(
                    parameters.iter().any(|parameter| parameter["name"] == name && parameter["in"] == "path"),
                    "{path}"
                );
            }
        }
    }
    for endpoint in app.table().endpoints() {
        assert!(ids.contains(endpoint.id()), "{}", endpoint.id());
    }
    assert_eq!(api["paths"]["/v1/{box_mount}/data/{path}"]["get"]["x-bulla-permission"], "look");
    assert_eq!(api["paths"]["/v1/{box_mount}/data/{path}/"]["get"]["operationId"], "box.list");
    let open = app.table().endpoints().filter(|endpoint| endpoint.requires() == Requires::Nothing).count();
    assert!(open > 0 && open < app.table().endpoints().count());
    check_references(&api, &api);
}

fn check_references(api: &Value, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let target = reference.strip_prefix('#').unwrap();
                assert!(api.pointer(target).is_some(), "{reference}");
            }
            members.values().for_each(|member| check_references(api, member));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(api, item)),
        _ => {}
    }
}

#[tokio::test]
async fn the_table_in_the_documentation_is_the_one_that_is_served() {
    const DOCUMENTED: &str = include_str!("../../../../docs/server.md");
    let project = Arc::new(bulla::Project::in_memory().await.unwrap());
    let table = App::builder(project, TestDoor::default()).build().unwrap().table().to_markdown();
    assert!(DOCUMENTED.contains(&table), "docs/server.md should have\n{table}");
}
