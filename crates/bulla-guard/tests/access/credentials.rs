//! The text of credentials.

use bulla_guard::access::{CredentialKind, NewApiKey, SecretText};
use proptest::prelude::*;

use super::setting::{Scene, block, p, user_with_key};

#[test]
fn an_api_key_has_the_form_of_the_specification() {
    let access = Scene::begin().open();
    let text = user_with_key(&access, "ann", &[]);
    let parts: Vec<&str> = text.split('_').collect();
    assert_eq!(parts.len(), 5, "{text}");
    assert_eq!((parts[0], parts[1]), ("bulla", "live"));
    assert_eq!((parts[2].len(), parts[3].len(), parts[4].len()), (16, 43, 6));
    assert!(parts[2..].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    let parsed = SecretText::parse(&text).unwrap();
    assert_eq!(parsed.id().as_str(), parts[2]);
    assert_eq!(parsed.kind(), &CredentialKind::ApiKey { environment: "live".to_owned() });
    assert_eq!(parsed.expose(), text);
}

#[test]
fn the_secret_is_in_no_message() {
    let access = Scene::begin().open();
    let name = p("ann");
    block(access.create_user(&name, &[])).unwrap();
    let issued = block(access.create_key(&name, &NewApiKey::default())).unwrap();
    let secret = issued.secret.expose().split('_').nth(3).unwrap().to_owned();
    let parsed = SecretText::parse(issued.secret.expose()).unwrap();
    let listed = block(access.keys(None)).unwrap();
    for shown in [
        format!("{issued:?}"),
        format!("{:?} {}", issued.secret, issued.secret),
        format!("{parsed:?} {parsed}"),
        format!("{listed:?}"),
        format!("{access:?}"),
    ] {
        assert!(!shown.contains(&secret), "{shown}");
    }
    assert_eq!(parsed.to_string(), format!("{}…", parsed.id()));
}

#[test]
fn what_was_mistyped_is_refused_before_anything_is_looked_up() {
    let access = Scene::begin().open();
    let text = user_with_key(&access, "ann", &[]);
    for at in 0..text.len() {
        for other in ["x", "Y", "0", "_", "é", "\0", ""] {
            let mut altered = text.clone();
            altered.replace_range(at..=at, other);
            assert!(altered == text || SecretText::parse(&altered).is_err(), "{at} {other:?}");
        }
        assert!(SecretText::parse(&text[..at]).is_err(), "cut at {at}");
        if at > 0 {
            let mut swapped = text.clone().into_bytes();
            swapped.swap(at - 1, at);
            let swapped = String::from_utf8(swapped).unwrap();
            assert!(swapped == text || SecretText::parse(&swapped).is_err(), "swapped at {at}");
        }
    }
    for wrong in [
        format!("{text}x"),
        format!(" {text}"),
        format!("{text}\n"),
        text.to_uppercase(),
        text.replace("bulla_", "Bulla_"),
        text.replace("_live_", "__"),
        text.replace("_live_", "_LIVE_"),
        text.replace("_live_", "_live_live_"),
        text.replace("_live_", "_abcdefghijklmnopq_"),
        "bulla_".repeat(30),
        String::new(),
    ] {
        assert!(SecretText::parse(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_environment_has_its_bounds() {
    let access = Scene::begin().open();
    block(access.create_user(&p("ann"), &[])).unwrap();
    for (environment, is_one) in [("test", true), ("a", true), ("0123456789abcdef", true), ("", false), ("Live", false)]
        .into_iter()
        .chain([("0123456789abcdefg", false), ("a_b", false), ("ä", false)])
    {
        let new = NewApiKey { environment: environment.to_owned(), ..NewApiKey::default() };
        let issued = block(access.create_key(&p("ann"), &new));
        assert_eq!(issued.is_ok(), is_one, "{environment}");
        if let Ok(issued) = issued {
            assert!(SecretText::parse(issued.secret.expose()).is_ok());
        }
    }
}

proptest! {
    #[test]
    fn whatever_parses_is_written_the_same_way(text in "(bulla_[a-z]{1,3}_|bvs\\.|bas\\.)[0-9A-Za-z_]{50,80}|.{0,140}") {
        if let Ok(parsed) = SecretText::parse(&text) {
            prop_assert_eq!(parsed.expose(), text);
        }
    }
}
