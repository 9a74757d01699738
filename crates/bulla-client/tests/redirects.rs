//! Servers that send their clients elsewhere.

use bulla_client::{ClientError, Expect};
use serde_json::json;

use crate::wire::{Reply, SECRET, TOKEN, Wire, json};

/// A server that sends everybody to a place.
fn sending(status: u16, location: &str) -> Wire {
    Wire::answering(json(status, &format!("Location: {location}\r\n"), ""))
}

#[tokio::test]
async fn the_token_goes_to_no_other_server() {
    let other = Wire::answering(json(200, "", SECRET));
    for status in [301, 302, 303, 307, 308] {
        for location in [
            format!("{}/v1/secret/data/a", other.url()),
            format!("{}/{TOKEN}", other.url()),
            format!("https{}/v1/a", other.url().trim_start_matches("http")),
        ] {
            let wire = sending(status, &location);
            let refused = wire.client().kv("secret").read("a").await.unwrap_err();
            assert_eq!(refused.code(), "redirected");
            let message = refused.to_string();
            assert!(message.contains("the token is for this server only") && !message.contains(TOKEN), "{message}");
            assert!(message.contains(&location[..20]), "{message}");
        }
    }
    for location in ["//127.0.0.1:1/v1/a", "ftp:/x", "?", "\u{1}", ""] {
        let refused = sending(307, location).client().kv("secret").read("a").await.unwrap_err();
        assert!(matches!(refused.code(), "redirected" | "connection_broken"), "{location:?}: {refused}");
    }
    let nowhere = Wire::answering(json(307, "", "")).client().kv("secret").read("a").await.unwrap_err();
    assert!(nowhere.to_string().ends_with("redirects to nowhere: the answer names no place"), "{nowhere}");
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn a_standby_leads_to_the_active_server_where_that_is_allowed() {
    let active = Wire::answering(json(200, "", r#"{"data":{"version":8,"created_time":"now"}}"#));
    let standby = sending(307, &format!("{}/v1/secret/data/a", active.url()));
    let client = standby.builder().follow_to(&active.url()).unwrap().build().unwrap();
    let written = client.kv("secret").put("a", &json!({ "b": 1 }), Expect::Anything).await.unwrap();
    assert_eq!(written.version, 8);
    let requests = active.requests();
    assert!(requests[0].starts_with("POST /v1/secret/data/a ") && requests[0].contains(TOKEN), "{requests:?}");
    assert!(requests[0].ends_with("{\"data\":{\"b\":1}}"), "{requests:?}");
}

#[tokio::test]
async fn within_one_server_redirects_are_followed_but_not_for_ever() {
    let wire = Wire::start(|number, _| match number {
        0 => Reply::Keep(json(301, "Location: /v1/elsewhere?version=2\r\n", "")),
        _ => Reply::Keep(json(200, "", SECRET)),
    });
    assert_eq!(wire.client().kv("secret").read("a").await.unwrap().metadata.version, 1);
    assert!(wire.requests()[1].starts_with("GET /v1/elsewhere?version=2 "), "{:?}", wire.requests());

    let round = sending(307, "/v1/round");
    let refused = round.client().kv("secret").read("a").await.unwrap_err();
    assert!(refused.to_string().ends_with("it has done so again and again"), "{refused}");
    assert_eq!(round.requests().len(), 4);

    let other = sending(302, "/v1/other");
    let refused = other.client().kv("secret").delete("a").await.unwrap_err();
    assert!(matches!(&refused, ClientError::Redirected { .. }), "{refused}");
    assert!(refused.to_string().ends_with("the request would become another one"), "{refused}");
    assert_eq!(other.requests().len(), 1);
}
