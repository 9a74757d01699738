//! API keys.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::testing::{CallFaults, FaultyDocuments};
use bulla_guard::access::{
    ACCESS, ACCESS_TOKENS, ACCESS_USED, AccessSettings, NewApiKey, Permission, Permissions, RevocationReason,
    SecretText,
};
use bulla_keyring::SystemKey;

use super::setting::{DAY, HOUR, Scene, block, code, grant, p, present, signed_in, user_with_key, within};

/// Another text of the same id, with its checksum: what somebody sends who knows the id and guesses.
pub(crate) fn guess(of: &str) -> String {
    let scene = Scene::begin();
    let access = scene.open();
    let other = user_with_key(&access, "mallory", &[]);
    let id = |text: &str| text.split('_').nth(2).unwrap().to_owned();
    let body = other.replace(&id(&other), &id(of));
    let body = &body[..body.len() - 6];
    // The checksum is no secret: it is computed here as the specification says.
    let mut rest = !body.bytes().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut checksum = [b'0'; 6];
    for digit in checksum.iter_mut().rev() {
        *digit = digits[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{body}{}", std::str::from_utf8(&checksum).unwrap())
}

#[test]
fn the_id_of_a_key_with_another_secret_lets_nobody_in() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[grant("user")]);
    assert_eq!(signed_in(&access, &text), "ok");
    for _ in 0..20 {
        let guess = guess(&text);
        assert_eq!(SecretText::parse(&guess).unwrap().id(), SecretText::parse(&text).unwrap().id());
        assert_eq!(signed_in(&access, &guess), "wrong_secret");
    }
    // To whoever asks, it is the same as for a key that never was.
    let unknown = user_with_key(&Scene::begin().open(), "eve", &[]);
    let (wrong, unknown) = (present(&access, &guess(&text)).unwrap_err(), present(&access, &unknown).unwrap_err());
    assert_eq!(wrong.to_string(), unknown.to_string());
    assert_eq!(unknown.reason().name(), "unknown");
}

#[test]
fn neither_the_environment_nor_the_case_can_be_exchanged() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[]);
    for other in [text.replace("_live_", "_test_"), text.to_lowercase()] {
        assert!(SecretText::parse(&other).is_err(), "the checksum covers it");
    }
}

#[test]
fn an_unknown_id_costs_as_many_looks_as_a_known_one() {
    let scene = Scene::begin();
    let text = user_with_key(&scene.open(), "ann", &[]);
    let faults = CallFaults::new();
    let access = scene.open_on(Arc::new(FaultyDocuments::new(scene.documents.clone(), faults.clone())), None).unwrap();
    let unknown = user_with_key(&Scene::begin().open(), "eve", &[]);
    let calls = |text: &str| {
        let before = faults.calls();
        let _ = present(&access, text);
        faults.calls() - before
    };
    let wrong = guess(&text);
    calls(&wrong);
    calls(&unknown);
    assert!(calls(&unknown).abs_diff(calls(&wrong)) <= 1, "{} {}", calls(&unknown), calls(&wrong));
}

#[test]
fn no_secret_is_in_the_database() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "annabella", &[within("user", "keys/orders-*")]);
    assert_eq!(signed_in(&access, &text), "ok");
    let secret = text.split('_').nth(3).unwrap();
    for collection in [ACCESS, ACCESS_TOKENS, ACCESS_USED] {
        for document in scene.all(collection) {
            let stored = [document.key.as_bytes(), &document.value].concat();
            for hidden in [secret, "annabella", "orders"] {
                let found = stored.windows(hidden.len()).any(|window| window == hidden.as_bytes());
                assert!(!found, "{hidden} in {}", document.key);
            }
        }
    }
}

#[test]
fn a_key_expires_after_ninety_days_and_is_marked_when_it_is_met() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[]);
    let id = SecretText::parse(&text).unwrap().id();
    scene.clock.advance(90 * DAY - Duration::from_millis(1));
    assert_eq!(signed_in(&access, &text), "ok");
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(signed_in(&access, &guess(&text)), "wrong_secret");
    assert!(block(access.key(id)).unwrap().revoked.is_none(), "who has not the secret marks nothing");
    assert_eq!(signed_in(&access, &text), "expired");
    let revoked = block(scene.open().key(id)).unwrap().revoked.unwrap();
    assert_eq!(revoked.reason, RevocationReason::Expired);
    assert_eq!(signed_in(&access, &text), "revoked");
}

#[test]
fn no_key_lives_longer_than_the_project_allows() {
    let scene = Scene::begin();
    let access = scene.open();
    block(access.create_user(&p("ann"), &[])).unwrap();
    let make = |days: u32| {
        let new = NewApiKey { lifetime: Some(days * DAY), ..NewApiKey::default() };
        code(block(access.create_key(&p("ann"), &new)))
    };
    assert_eq!((make(365), make(366), make(0)), ("ok", "invalid_input", "invalid_input"));
    let settings = AccessSettings { key_lifetime: 7 * DAY, max_key_lifetime: 30 * DAY, ..AccessSettings::default() };
    block(access.change_settings(settings)).unwrap();
    assert_eq!((make(30), make(31)), ("ok", "invalid_input"));
    let key = block(access.create_key(&p("ann"), &NewApiKey::default())).unwrap().key;
    assert_eq!(key.expires.0 - key.created.0, 7 * 86_400_000);
    let wrong = AccessSettings { key_lifetime: 31 * DAY, ..settings };
    assert_eq!(code(block(access.change_settings(wrong))), "invalid_input");
    assert_eq!(block(scene.open().settings()).unwrap(), settings);
}

#[test]
fn a_successor_has_the_scope_and_the_old_key_its_own_end() {
    let scene = Scene::begin();
    let access = scene.open();
    block(access.create_user(&p("ann"), &[grant("user")])).unwrap();
    let new = NewApiKey { pattern: Some(p("keys/orders-*")), label: "orders".to_owned(), ..NewApiKey::default() };
    let old = block(access.create_key(&p("ann"), &new)).unwrap();
    let next = block(access.roll_key(old.key.id, HOUR)).unwrap();
    assert_eq!((next.key.pattern.clone(), next.key.label.as_str()), (Some(p("keys/orders-*")), "orders"));
    assert_eq!(next.key.predecessor, Some(old.key.id));
    assert_eq!(block(access.key(old.key.id)).unwrap().successor, Some(next.key.id));
    assert_eq!(signed_in(&access, old.secret.expose()), "ok");
    assert_eq!(code(block(access.roll_key(old.key.id, HOUR))), "api_key_ended", "it has a successor");
    scene.clock.advance(HOUR);
    assert_eq!(signed_in(&access, old.secret.expose()), "expired");
    assert_eq!(signed_in(&access, next.secret.expose()), "ok");
    // Near its end, an overlap does not give it a longer life.
    scene.clock.advance(90 * DAY - HOUR - HOUR);
    block(access.roll_key(next.key.id, 10 * DAY)).unwrap();
    assert_eq!(block(access.key(next.key.id)).unwrap().expires, next.key.expires);
    // Without an overlap, it is over at once.
    let third = block(access.create_key(&p("ann"), &new)).unwrap();
    block(access.roll_key(third.key.id, Duration::ZERO)).unwrap();
    assert_eq!(signed_in(&access, third.secret.expose()), "revoked");
    let revoked = block(access.key(third.key.id)).unwrap().revoked.unwrap();
    assert_eq!(revoked.reason, RevocationReason::Superseded);
}

#[test]
fn a_revoked_key_lets_nobody_in_within_a_second_in_any_process() {
    let scene = Scene::begin();
    let (here, there) = (scene.open(), scene.open());
    let text = user_with_key(&here, "ann", &[]);
    let id = SecretText::parse(&text).unwrap().id();
    scene.wait();
    assert_eq!(signed_in(&there, &text), "ok");
    assert!(block(here.revoke_key(id, RevocationReason::Compromised, "seen in a log")).unwrap());
    assert_eq!(signed_in(&here, &text), "revoked");
    scene.wait();
    assert_eq!(signed_in(&there, &text), "revoked");
    assert!(!block(here.revoke_key(id, RevocationReason::default(), "")).unwrap(), "the first reason stays");
    let revoked = block(there.key(id)).unwrap().revoked.unwrap();
    assert_eq!((revoked.reason.name(), revoked.words.as_str()), ("compromised", "seen in a log"));
    let long = "x".repeat(201);
    assert_eq!(code(block(here.revoke_key(id, RevocationReason::Other, &long))), "invalid_input");
    assert_eq!(RevocationReason::default().to_string(), "manual_revocation");
    assert_eq!("owner_left".parse(), Ok(RevocationReason::OwnerLeft));
    assert!("owner".parse::<RevocationReason>().is_err());
}

#[test]
fn a_key_has_at_most_what_its_owner_has() {
    let scene = Scene::begin();
    let access = scene.open();
    let ann = p("ann");
    block(access.create_user(&ann, &[within("user", "keys/**"), grant("viewer")])).unwrap();
    let refused = NewApiKey { roles: Some(vec![p("admin")]), ..NewApiKey::default() };
    let error = block(access.create_key(&ann, &refused)).unwrap_err();
    assert_eq!(error.to_string(), "unknown role: admin");
    let new = NewApiKey {
        roles: Some(vec![p("user")]),
        permissions: Some(Permissions::of(&[Permission::UseKeys, Permission::AdminSystem])),
        pattern: Some(p("keys/orders-*")),
        requests_per_minute: Some(7),
        ..NewApiKey::default()
    };
    let text = block(access.create_key(&ann, &new)).unwrap().secret.expose().to_owned();
    let allowed = |permission, resource: &str| present(&access, &text).unwrap().allows(permission, &p(resource));
    assert!(allowed(Permission::UseKeys, "keys/orders-7"));
    assert!(!allowed(Permission::UseKeys, "keys/invoices"), "outside of its pattern");
    assert!(!allowed(Permission::WriteStore, "keys/orders-7"), "not among its permissions");
    assert!(!allowed(Permission::ViewMetrics, "metrics"), "of a role that it has not");
    assert!(!allowed(Permission::AdminSystem, "keys/orders-7"), "its owner has not got it");
    let principal = present(&access, &text).unwrap();
    assert_eq!(principal.requests_per_minute(), Some(7));
    assert_eq!((principal.user(), principal.roles()), (Some(&ann), &[p("user")][..]));
    // What the owner loses, the key loses.
    block(access.remove(&ann, &p("user"))).unwrap();
    assert!(!allowed(Permission::UseKeys, "keys/orders-7"));
}

#[test]
fn a_rotated_pepper_is_taken_up_at_the_next_sign_in() {
    let scene = Scene::begin();
    let access = scene.open();
    let text = user_with_key(&access, "ann", &[]);
    let before = access.pin().generation();
    assert_eq!(signed_in(&access, &text), "ok");
    assert_eq!(access.pin().generation(), before, "nothing to change");
    block(scene.keyring.rotate_system_key(&SystemKey::pepper())).unwrap();
    scene.wait();
    assert_eq!(signed_in(&access, &text), "ok");
    assert_eq!(access.pin().generation(), before + 1, "its HMAC is under the new version now");
    assert_eq!(signed_in(&access, &text), "ok");
    assert_eq!(access.pin().generation(), before + 1);
    assert_eq!(signed_in(&scene.open(), &text), "ok");
    assert_eq!(signed_in(&access, &guess(&text)), "wrong_secret");
}

#[test]
fn the_last_use_is_written_at_most_once_an_hour() {
    let scene = Scene::begin();
    let (here, there) = (scene.open(), scene.open());
    let text = user_with_key(&here, "ann", &[]);
    let id = SecretText::parse(&text).unwrap().id();
    assert_eq!(block(here.last_used(id)).unwrap(), None);
    scene.wait();
    let mut writes = 0;
    let mut known = None;
    for minute in 0..150 {
        for access in [&here, &there] {
            assert_eq!(signed_in(access, &text), "ok");
            let stored = scene.all(ACCESS_USED);
            let revision = stored.first().map(|document| document.revision);
            writes += u32::from(revision != known);
            known = revision;
        }
        scene.clock.advance(Duration::from_secs(60));
        assert!(minute < 60 || writes > 1);
    }
    assert_eq!(writes, 3, "at 0:00, 1:00 and 2:00");
    assert!(block(there.last_used(id)).unwrap().is_some());
    // What is lost or damaged is no reason to refuse anybody.
    let mut damaged = scene.all(ACCESS_USED).remove(0);
    damaged.value.truncate(20);
    scene.overwrite(ACCESS_USED, &damaged);
    assert_eq!(block(here.last_used(id)).unwrap(), None);
    assert_eq!(signed_in(&here, &text), "ok");
}

#[test]
fn keys_are_listed_and_those_that_ended_long_ago_forgotten() {
    let scene = Scene::begin();
    let access = scene.open();
    let texts = [user_with_key(&access, "ann", &[]), user_with_key(&access, "bob", &[])];
    let ids = texts.map(|text| SecretText::parse(&text).unwrap().id());
    assert_eq!(block(access.keys(None)).unwrap().len(), 2);
    assert_eq!(block(access.keys(Some(&p("ann")))).unwrap()[0].id, ids[0]);
    block(access.revoke_key(ids[0], RevocationReason::Manual, "")).unwrap();
    scene.clock.advance(DAY);
    let now = bulla_backend::Clock::now(&*scene.clock);
    assert_eq!(block(access.forget_keys(now)).unwrap(), 1);
    assert_eq!(block(access.forget_keys(now)).unwrap(), 0);
    assert_eq!(code(block(access.key(ids[0]))), "unknown_api_key");
    assert_eq!(code(block(access.key(ids[1]))), "ok");
}
