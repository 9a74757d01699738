//! Guessing.

use std::time::Duration;

use bulla::SessionOptions;
use bulla_guard::limits::GuessSettings;
use serde_json::json;

use super::hostile::with_checksum;
use super::setting::{World, network, wide};

const SELF: &str = "auth/token/lookup-self";
const GUESSES: usize = 10_000;

#[tokio::test]
async fn each_wrong_secret_makes_its_source_wait_longer_and_nobody_else() {
    let world = World::with(SessionOptions::default().quotas(wide())).await;
    let key = world.user("ann", &[("viewer", None)]).await;
    // The id of a key that there is, and another secret each time.
    let id: String = key.chars().take(28).collect();
    let guess = async |number: usize| {
        let wrong = with_checksum(&format!("{id}{number:043}_"));
        world.ask_from(network("203.0.113.1"), Some(&wrong), "GET", SELF, "").await
    };
    let wait = |got: &super::setting::Got| got.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    guess(0).await.refused(403, "bad_credential");
    let mut looked_at = 1;
    let mut waits = Vec::new();
    for number in 1..GUESSES {
        let got = guess(number).await;
        if got.status == 403 {
            looked_at += 1;
            continue;
        }
        got.refused(429, "too_many_wrong_secrets");
        if waits.last() != Some(&wait(&got)) {
            waits.push(wait(&got));
        }
    }
    println!("{GUESSES} guesses, {looked_at} looked at");
    assert!(looked_at < 10, "{looked_at}");
    // The one who waits is not let in with a right one either; others are.
    world.ask_from(network("203.0.113.1"), Some(&key), "GET", SELF, "").await.refused(429, "too_many_wrong_secrets");
    world.ask_from(network("203.0.113.2"), Some(&key), "GET", SELF, "").await.ok();
    assert_eq!(world.session.guard().slowed_sources(), 1);
    // Nor does it wait for logins by another road.
    let login = r#"{"role_id": "a", "secret_id": "bas.a"}"#;
    let got = world.ask_from(network("203.0.113.1"), None, "POST", "auth/approle/login", login).await;
    got.refused(429, "too_many_wrong_secrets");
    let forgive =
        async |source: &str| world.root("POST", "limits/forgive", &json!({"source": source}).to_string()).await;
    assert_eq!(forgive("203.0.113.1").await.at("/data/forgiven"), &json!(true));
    assert_eq!(forgive("203.0.113.1").await.at("/data/forgiven"), &json!(false));
    forgive("nowhere").await.refused(400, "invalid_field");
    world.ask_from(network("203.0.113.1"), Some(&key), "GET", SELF, "").await.ok();
    // The second costs more than the first.
    guess(1).await.refused(403, "bad_credential");
    assert_eq!(wait(&guess(2).await), 1);
    world.clock.advance(Duration::from_millis(1_050));
    guess(3).await.refused(403, "bad_credential");
    assert_eq!(wait(&guess(4).await), 3);
}

#[tokio::test]
async fn guesses_for_one_key_raise_one_alert_and_fill_no_memory() {
    let guesses = GuessSettings { delays: vec![Duration::ZERO], entries: 256, ..GuessSettings::default() };
    let world = World::with(SessionOptions::default().quotas(wide()).guesses(guesses)).await;
    let key = world.user("ann", &[("viewer", None)]).await;
    let other = world.user("bob", &[("viewer", None)]).await;
    // The id of one key with the secret of another: the checksum is right, and the secret is wrong.
    let id: String = key.chars().take(28).collect();
    let wrong = with_checksum(&format!("{id}{}_", other.split('_').nth(3).unwrap()));
    for number in 0..GUESSES {
        let from = format!("10.{}.{}.1", number / 250, number % 250);
        world.ask_from(network(&from), Some(&wrong), "GET", SELF, "").await.refused(403, "bad_credential");
    }
    let sources = world.session.guard().slowed_sources();
    assert!(sources <= 256, "{sources}");
    let alerts = world.actions().await.iter().filter(|action| *action == "secret_guessed").count();
    println!("{GUESSES} wrong secrets from as many sources: {sources} are remembered, {alerts} alert");
    assert_eq!(alerts, 1);
    // Its owner is not locked out.
    world.ask(Some(&key), "GET", SELF, "").await.ok();
}
