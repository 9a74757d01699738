//! Credentials that are not good.

use std::time::Duration;

use bulla_guard::access::{NewApiKey, SecretText};

use super::setting::{World, network, p};

const SELF: &str = "auth/token/lookup-self";

/// Asks from an address of its own, so that no wrong secret before slows it down.
async fn code(world: &World, number: &mut u8, credential: &str) -> (u16, String, String) {
    *number += 1;
    let got = world.ask_from(network(&format!("203.0.113.{number}")), Some(credential), "GET", SELF, "").await;
    let message = got.at("/errors/0").as_str().unwrap_or_default().to_owned();
    (got.status, got.at("/code").as_str().unwrap_or_default().to_owned(), message)
}

#[tokio::test]
async fn what_is_not_good_lets_nobody_in_and_says_no_more() {
    let (world, other) = (World::new().await, World::new().await);
    let key = world.user("ann", &[("user", None)]).await;
    let foreign = other.user("ann", &[("admin", None)]).await;
    let second = world.access().create_key(&p("ann"), &NewApiKey::default()).await.unwrap().secret.expose().to_owned();
    let revoked = world.access().create_key(&p("ann"), &NewApiKey::default()).await.unwrap();
    world.access().revoke_key(revoked.key.id, bulla_guard::access::RevocationReason::Compromised, "").await.unwrap();
    let short = NewApiKey { lifetime: Some(Duration::from_millis(1)), ..NewApiKey::default() };
    let expired = world.access().create_key(&p("ann"), &short).await.unwrap();
    world.clock.advance(Duration::from_millis(2));
    let gone = world.user("bob", &[("user", None)]).await;
    world.access().delete_user(&p("bob")).await.unwrap();
    // The secret of one with the id of another: anybody can compute the checksum.
    let parts: Vec<&str> = key.split('_').collect();
    let wrong_secret = with_checksum(&format!("bulla_live_{}_{}_", parts[2], second.split('_').nth(3).unwrap()));
    let other_environment = with_checksum(&format!("bulla_test_{}_{}_", parts[2], parts[3]));
    assert!(SecretText::parse(&wrong_secret).is_ok() && SecretText::parse(&other_environment).is_ok());
    let flipped = format!("{}{}", &key[..key.len() - 1], if key.ends_with('a') { 'b' } else { 'a' });
    let mut number = 0;
    let mut answers = Vec::new();
    let bad = [
        wrong_secret.as_str(),
        &other_environment,
        &flipped,
        &key[..key.len() - 1],
        &format!("{key}0"),
        &key.to_uppercase(),
        &foreign,
        &other.root,
        revoked.secret.expose(),
        expired.secret.expose(),
        &gone,
        "bvs.",
        "root",
        "null",
        "hvs.CAESIJlU02LQZq",
        &"a".repeat(8_000),
    ];
    for credential in bad {
        let answer = code(&world, &mut number, credential).await;
        assert_eq!(
            (answer.0, answer.1.as_str()),
            (403, "bad_credential"),
            "{}",
            &credential[..credential.len().min(20)]
        );
        answers.push(answer);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "all are answered alike");
    println!("{} credentials were refused alike", bad.len());
    assert_eq!(code(&world, &mut number, &key).await.0, 200);
    world.ask(None, "GET", SELF, "").await.refused(403, "no_credential");
    let actions = world.actions().await;
    let failures = actions.iter().filter(|action| *action == "token.lookup-self").count();
    assert!(failures > bad.len(), "each is on record");
    // No secret came to rest anywhere in the log.
    for entry in std::fs::read_dir(world.folder.path().join("audit")).unwrap() {
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        for secret in [parts[3], &world.root[20..63], second.split('_').nth(3).unwrap()] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }
}

/// Adds the checksum that a text of a credential has.
pub(super) fn with_checksum(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    let mut rest = !text.bytes().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)));
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{text}{}", std::str::from_utf8(&digits).unwrap())
}

#[tokio::test]
async fn what_was_taken_away_is_gone_for_the_next_request() {
    let world = World::new().await;
    let key = world.user("ann", &[("operator", None)]).await;
    let ask = async || world.ask(Some(&key), "POST", "transit/keys/a", "{}").await.status;
    assert_eq!(ask().await, 200);
    assert_eq!(world.root("DELETE", "users/ann/roles/operator", "").await.status, 204);
    assert_eq!(ask().await, 403);
    assert_eq!(world.root("POST", "users/ann/roles", r#"{"role": "operator"}"#).await.status, 204);
    assert_eq!(ask().await, 200);
    let id = key.split('_').nth(2).unwrap();
    assert_eq!(world.root("POST", &format!("keys/{id}/revoke"), "{}").await.status, 204);
    assert_eq!(ask().await, 403);
    // A policy that was changed binds tokens that were there before.
    let token = world.token("p", r#"path "transit/keys/*" { capabilities = ["read"] }"#).await;
    assert_eq!(world.ask(Some(&token), "GET", "transit/keys/a", "").await.status, 200);
    let deny = r#"{"policy": "path \"transit/keys/*\" { capabilities = [\"deny\"] }"}"#;
    assert_eq!(world.root("PUT", "sys/policies/acl/p", deny).await.status, 204);
    assert_eq!(world.ask(Some(&token), "GET", "transit/keys/a", "").await.status, 403);
}
