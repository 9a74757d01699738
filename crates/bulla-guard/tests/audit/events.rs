//! Events: what is stored of them, and what is not.

use bulla_guard::audit::{
    Batch, Class, Code, Event, Filter, Identifier, Level, LoggedEvent, Outcome, Phase, Severity, Value,
};
use bulla_keyring::SystemKey;
use pollster::block_on;
use proptest::prelude::*;

use super::ground::Ground;

/// Logs one event, and reads its bytes.
fn stored(ground: &Ground, event: Event) -> Vec<u8> {
    let log = ground.open();
    let index = block_on(log.append(event)).unwrap();
    drop(log);
    ground.reader().events(index).unwrap().next().unwrap().unwrap().bytes
}

#[test]
fn secrets_and_identifiers_are_not_in_the_log() {
    let ground = Ground::new();
    let event = Event::authentication("password", Outcome::Success)
        .principal("alice@example.com")
        .address("192.0.2.7")
        .identifier(Code::new("key"), "bulla_live_key_7")
        .secret(Code::new("password"))
        .text(Code::new("user_agent"), "curl/8");
    assert!(!format!("{event:?}").contains("alice"));
    let bytes = stored(&ground, event);
    let text = String::from_utf8_lossy(&bytes);
    for hidden in ["alice", "example.com", "192.0.2.7", "bulla_live"] {
        assert!(!text.contains(hidden), "{hidden}");
    }
    assert!(text.contains("curl/8"));
    let event = LoggedEvent::parse(&bytes).unwrap();
    assert_eq!(event.field("password"), Some(&Value::Secret));
    assert_eq!(event.principal, Some(Identifier::blind(&ground.key, b"alice@example.com")));
    assert_eq!(event.field("key"), Some(&Value::Identifier(Identifier::blind(&ground.key, b"bulla_live_key_7"))));
}

#[test]
fn who_has_the_key_finds_somebody_through_all_its_versions() {
    let ground = Ground::new();
    let log = ground.open();
    let by = |name: &str| Event::new(Class::Key, Code::new("rotate"), Outcome::Success).principal(name);
    block_on(log.append(by("alice"))).unwrap();
    block_on(log.append(by("bob"))).unwrap();
    block_on(ground.keyring.rotate_system_key(&SystemKey::audit())).unwrap();
    let newer = block_on(ground.keyring.system_key(&SystemKey::audit())).unwrap();
    log.set_key(newer.clone());
    block_on(log.append(by("alice"))).unwrap();
    let principals = [&ground.key, &newer].map(|key| Identifier::blind(key, b"alice")).to_vec();
    let filter = Filter { principals, ..Filter::default() };
    let reader = ground.reader();
    let found: Vec<u64> = reader.search(&filter).unwrap().map(|found| found.unwrap().0).collect();
    assert_eq!(found, [0, 2]);
    assert_eq!(log.blind(b"alice"), Identifier::blind(&newer, b"alice"));
}

#[test]
fn levels_follow_from_outcome_and_severity() {
    let ground = Ground::new();
    let level = |event| LoggedEvent::parse(&stored(&ground, event)).unwrap().level;
    assert_eq!(level(Event::authentication("key", Outcome::Success)), Level::Info);
    assert_eq!(level(Event::authentication("key", Outcome::Failure)), Level::Warning);
    let severities = [Severity::Low, Severity::default(), Severity::High, Severity::Critical];
    let levels = severities.map(|severity| level(Event::security_violation(Code::new("probe"), severity)));
    assert_eq!(levels, [Level::Info, Level::Warning, Level::Error, Level::Critical]);
    assert_eq!(levels.map(Level::name), ["INFO", "WARNING", "ERROR", "CRITICAL"]);
}

#[test]
fn what_must_not_go_on_unlogged_is_strict_and_denials_are_not() {
    let strict = |class, outcome| Event::new(class, Code::new("act"), outcome).is_strict();
    assert!(strict(Class::Authentication, Outcome::Success));
    assert!(strict(Class::Authorization, Outcome::Success));
    assert!(!strict(Class::Authentication, Outcome::Failure));
    assert!(!strict(Class::Authorization, Outcome::Failure));
    assert!(!strict(Class::SecurityViolation, Outcome::Failure));
    for class in [Class::Key, Class::Machine, Class::Grant, Class::Store, Class::Object, Class::Configuration] {
        assert!(strict(class, Outcome::Success) && strict(class, Outcome::Failure));
    }
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let ground = Ground::new();
    let long = "é".repeat(5_000);
    let event = Event::new(Class::Store, Code::new("put"), Outcome::Success)
        .resource(&long)
        .text(Code::new("bytes"), vec![0xff; 3_000])
        .text(Code::new("odd"), format!("a{long}"));
    let event = LoggedEvent::parse(&stored(&ground, event)).unwrap();
    let Some(Value::Text(resource)) = &event.resource else { panic!("{:?}", event.resource) };
    assert_eq!((resource.as_bytes(), resource.len()), (&long.as_bytes()[..2_048], 10_000));
    assert!(resource.is_cut() && resource.to_string().ends_with('…'));
    let Some(Value::Text(odd)) = event.field("odd") else { panic!() };
    assert_eq!(odd.as_bytes().len(), 2_047);
    let wanted = Filter { resource: Some(long.into_bytes()), ..Filter::default() };
    assert!(wanted.lets_through(&event));
}

#[test]
fn an_event_of_everything_fits_an_entry_bundle() {
    let ground = Ground::new();
    let names: Vec<Code> =
        (0..40).map(|number| format!("a_name_as_long_as_a_name_gets_{number:02}").parse().unwrap()).collect();
    let mut event =
        Event::new(Class::Store, Code::new("put"), Outcome::Success).resource(vec![0xff; 10_000]).principal("a");
    for name in names {
        event = event.text(name, vec![0xfe; 10_000]);
    }
    let bytes = stored(&ground, event);
    assert!(bytes.len() > 40_000 && bytes.len() <= 65_535, "{}", bytes.len());
    assert_eq!(LoggedEvent::parse(&bytes).unwrap().fields.len(), 24);
}

#[test]
fn a_batch_is_one_event_with_the_root_of_its_items() {
    let batch = Batch::of(["a", "b", "c"]).unwrap();
    assert_eq!(batch.count, 3);
    assert_ne!(batch.root, Batch::of(["a", "c", "b"]).unwrap().root);
    assert_eq!(Batch::of([""; 0]), None);
    let ground = Ground::new();
    let event = Event::new(Class::Store, Code::new("put"), Outcome::Success).batch(batch);
    assert_eq!(LoggedEvent::parse(&stored(&ground, event)).unwrap().batch, Some(batch));
}

#[test]
fn codes_have_one_form() {
    for good in ["a", "put", "sys.key_new-2", &"a".repeat(64)] {
        assert_eq!(good.parse::<Code>().unwrap().as_str(), good);
    }
    for bad in ["", "A", "1a", "_a", "a b", "a\n", "é", &"a".repeat(65)] {
        assert!(bad.parse::<Code>().is_err(), "{bad}");
    }
}

#[test]
fn names_of_numbers_are_theirs() {
    assert_eq!(Class::ALL.len(), 11);
    assert_eq!(Phase::ALL.iter().map(|phase| phase.name()).collect::<Vec<_>>(), ["notice", "intent", "outcome"]);
    assert_eq!(Outcome::ALL.len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_are_read_they_are_the_one_encoding(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(event) = LoggedEvent::parse(&bytes) {
            prop_assert_eq!(event.encode(), bytes);
        }
    }

    #[test]
    fn a_changed_byte_gives_another_event_or_none(at in any::<prop::sample::Index>(), with in 1_u8..) {
        let bytes = b"\xa7\x01\x1a\x00\x01\x02\x03\x02\x08\x03cput\x04\x00\x05\x01\x06\x00\x07\x48abcdefgh".to_vec();
        let event = LoggedEvent::parse(&bytes).unwrap();
        let mut changed = bytes.clone();
        changed[at.index(bytes.len())] ^= with;
        if let Ok(other) = LoggedEvent::parse(&changed) {
            prop_assert_ne!(&other, &event);
            prop_assert_eq!(other.encode(), changed);
        }
    }
}
