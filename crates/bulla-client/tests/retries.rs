//! What is tried again, and what is not; connections that are kept.

use std::time::{Duration, Instant};

use bulla_client::{ClientError, Expect};
use serde_json::json as value;

use crate::wire::{Reply, SECRET, Wire, json};

/// A server that is busy for some requests, then answers.
fn busy_for(times: usize, header: &'static str, answer: &'static str) -> Wire {
    Wire::start(move |number, _| {
        Reply::Keep(if number < times { json(503, header, "{\"errors\":[\"later\"]}") } else { json(200, "", answer) })
    })
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_so() {
    let wire = busy_for(2, "Retry-After: 0\r\n", SECRET);
    assert_eq!(wire.client().kv("secret").read("a").await.unwrap().metadata.version, 1);
    assert_eq!((wire.requests().len(), wire.connections()), (3, 1));

    let wire = busy_for(usize::MAX, "Retry-After: 0\r\n", SECRET);
    let refused = wire.client().kv("secret").list("").await.unwrap_err();
    assert!(matches!(refused, ClientError::Busy { retry_after: Some(Duration::ZERO), .. }), "{refused}");
    assert_eq!(wire.requests().len(), 3);
    wire.builder().attempts(1).build().unwrap().kv("secret").read("a").await.unwrap_err();
    assert_eq!(wire.requests().len(), 4);

    // Encrypting twice does no harm.
    let wire = busy_for(1, "Retry-After: 0\r\n", r#"{"data":{"ciphertext":"vault:v1:x"}}"#);
    assert_eq!(wire.client().transit("transit").encrypt("k", &b"x"[..]).await.unwrap().ciphertext, "vault:v1:x");
    assert_eq!(wire.requests().len(), 2);
}

#[tokio::test]
async fn what_changes_something_is_not_sent_twice() {
    let wire = busy_for(usize::MAX, "Retry-After: 0\r\n", SECRET);
    let client = wire.client();
    client.kv("secret").put("a", &value!({}), Expect::Anything).await.unwrap_err();
    client.kv("secret").delete("a").await.unwrap_err();
    client.transit("transit").rotate("k").await.unwrap_err();
    client.token().renew_self(None).await.unwrap_err();
    assert_eq!(wire.requests().len(), 4);

    let wire = Wire::always("");
    let refused = wire.client().kv("secret").put("a", &value!({}), Expect::Anything).await.unwrap_err();
    assert!(matches!(refused, ClientError::Broken { .. }), "{refused}");
    assert_eq!(wire.requests().len(), 1);
    assert!(refused.hint().is_some_and(|hint| hint.contains("may have done")));
}

#[tokio::test]
async fn a_server_that_says_nothing_of_when_or_too_late_is_not_asked_again() {
    for header in ["", "Retry-After: 86400\r\n", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", "Retry-After: x\r\n"]
    {
        let wire = busy_for(usize::MAX, header, SECRET);
        let begun = Instant::now();
        let refused = wire.client().kv("secret").read("a").await.unwrap_err();
        assert!(matches!(refused, ClientError::Busy { .. }), "{refused}");
        assert_eq!(wire.requests().len(), 1);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_a_new_one_made_when_it_is_gone() {
    let wire = Wire::start(|_, _| Reply::Keep(json(200, "", SECRET)));
    let client = wire.client();
    for _ in 0..5 {
        client.kv("secret").read("a").await.unwrap();
    }
    assert_eq!(wire.connections(), 1);

    // Each connection ends after one answer, as with a server that restarts between requests.
    let wire = Wire::start(|_, _| Reply::Close(json(200, "", SECRET)));
    let client = wire.client();
    for _ in 0..5 {
        client.kv("secret").read("a").await.unwrap();
    }
    assert_eq!(wire.connections(), 5);
}

#[tokio::test]
async fn no_more_connections_than_there_may_be() {
    let wire = Wire::start(|_, _| Reply::Keep(json(200, "", SECRET)));
    let client = wire.client();
    let tasks: Vec<_> = (0..300)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.kv("secret").read("a").await.unwrap().metadata.version })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 1);
    }
    assert!(wire.connections() <= 30, "{}", wire.connections());
    assert_eq!(wire.requests().len(), 300);
}
