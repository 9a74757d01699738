//! Exports: whatever strangers put into fields, lines stay lines.

use std::time::Duration;

use bulla_backend::Timestamp;
use bulla_guard::audit::{Batch, Class, Code, Event, Export, Filter, LoggedEvent, Outcome, Severity, Stored, Value};
use pollster::block_on;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::ground::Ground;

const EVIL: &[u8] =
    b"x\"}\n{\"class\":\"forged\"}\r\n\x1b[2J\x1b]0;title\x07\0\x7f\xff\xfe\xc2\x9b31m\xe2\x80\xae\xe2\x80\xa8\\u0041";

fn logged(ground: &Ground, events: impl IntoIterator<Item = Event>) -> Vec<Stored> {
    let log = ground.open();
    events.into_iter().for_each(|event| assert!(block_on(log.append(event)).is_ok()));
    drop(log);
    ground.reader().events(0).unwrap().map(Result::unwrap).collect()
}

fn parsed(line: &str) -> Json {
    assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line}");
    serde_json::from_str(line).unwrap()
}

#[test]
fn nothing_in_a_field_ends_a_line_or_reaches_a_terminal() {
    let ground = Ground::new();
    let event = Event::security_violation(Code::new("injection"), Severity::Critical)
        .principal(EVIL)
        .address(EVIL)
        .resource(EVIL)
        .text(Code::new("detail"), EVIL);
    for stored in logged(&ground, [event]) {
        for export in [Export::Json, Export::Ocsf] {
            parsed(&export.line(&stored));
        }
        let json = parsed(&Export::Json.line(&stored));
        let detail = json["fields"]["detail"].as_str().unwrap();
        assert!(detail.contains("\\xff\\xfe") && detail.contains("\u{1b}[2J"), "{detail}");
        assert_eq!(json["class"], "security_violation");
        // Shown on a terminal, nothing of it is obeyed.
        let event = stored.event().unwrap();
        let shown = event.resource.unwrap().to_string();
        assert!(!shown.chars().any(char::is_control) && !shown.contains('\u{202e}'), "{shown}");
    }
}

#[test]
fn a_line_of_json_says_all_of_an_event() {
    let ground = Ground::new();
    let batch = Batch::of(["a", "b"]).unwrap();
    let event = Event::query_processing("top_ten", b"select", Duration::from_millis(12), true)
        .principal("alice")
        .resource("reports")
        .batch(batch)
        .digest(Code::new("answer"), [7; 32])
        .secret(Code::new("token"));
    let stored = &logged(&ground, [event])[0];
    let json = parsed(&Export::Json.line(stored));
    assert_eq!(json["index"], 0);
    assert_eq!(json["time"], "2023-11-14T22:13:20.000Z");
    assert_eq!((&json["class"], &json["action"]), (&Json::from("query_processing"), &Json::from("query")));
    assert_eq!(
        (&json["phase"], &json["outcome"], &json["level"]),
        (&"notice".into(), &"success".into(), &"INFO".into())
    );
    assert_eq!(json["fields"]["cache_hit"], true);
    assert_eq!(json["fields"]["duration_ms"], 12);
    assert_eq!(json["fields"]["token"], "[secret]");
    assert_eq!(json["fields"]["answer"], format!("sha256:{}", "07".repeat(32)));
    assert!(json["fields"]["query"].as_str().unwrap().starts_with("id:"));
    assert!(json["principal"].as_str().unwrap().starts_with("id:"));
    assert_eq!(json["batch"]["count"], 2);
    assert_eq!(json["process"].as_str().unwrap().len(), 16);
}

#[test]
fn each_class_has_its_class_of_ocsf() {
    let ground = Ground::new();
    let events =
        Class::ALL.iter().map(|class| Event::new(*class, Code::new("create"), Outcome::Success).principal("a"));
    let expected = [3002, 6003, 6003, 2004, 3004, 3004, 3004, 6005, 6003, 3004, 3004];
    let required: [(u64, &[&str]); 5] = [
        (3002, &["user", "service"]),
        (3004, &["entity", "actor"]),
        (6003, &["actor", "api", "src_endpoint"]),
        (6005, &["actor", "src_endpoint", "databucket"]),
        (2004, &["finding_info"]),
    ];
    for (stored, class) in logged(&ground, events).iter().zip(expected) {
        let json = parsed(&Export::Ocsf.line(stored));
        assert_eq!(json["class_uid"], class);
        assert_eq!(json["category_uid"], class / 1_000);
        assert_eq!(json["type_uid"], class * 100 + json["activity_id"].as_u64().unwrap());
        assert_eq!(json["metadata"]["version"], "1.6.0");
        for member in ["time", "severity_id", "activity_id"] {
            assert!(json[member].is_u64(), "{member}");
        }
        let (_, members) = required.iter().find(|(required, _)| *required == class).unwrap();
        members.iter().for_each(|member| assert!(json[*member].is_object(), "{class}: {member}"));
    }
}

#[test]
fn an_event_of_the_future_is_exported_as_it_is_stored() {
    let stored = Stored { index: 3, bytes: b"\xa1\x18\x63\x01".to_vec() };
    assert!(stored.event().is_err());
    assert_eq!(parsed(&Export::Json.line(&stored))["stored"], "oRhjAQ==");
}

#[test]
fn a_filter_lets_through_what_fits_all_of_it() {
    let ground = Ground::new();
    let log = ground.open();
    for (number, class) in Class::ALL.iter().enumerate() {
        let outcome = if number % 2 == 0 { Outcome::Success } else { Outcome::Failure };
        let event = Event::new(*class, Code::new("act"), outcome).resource(number.to_string());
        block_on(log.append(event.principal(["alice", "bob"][number % 2]))).unwrap();
        ground.clock.advance(1_000);
    }
    let count = |filter: Filter| ground.reader().search(&filter).unwrap().count();
    let start = 1_700_000_000_000;
    assert_eq!(count(Filter::default()), 11);
    assert_eq!(count(Filter { from: Some(Timestamp(start + 9_000)), ..Filter::default() }), 2);
    assert_eq!(count(Filter { until: Some(Timestamp(start + 2_000)), ..Filter::default() }), 2);
    assert_eq!(count(Filter { classes: vec![Class::Key, Class::Store], ..Filter::default() }), 2);
    assert_eq!(count(Filter { action: Some(Code::new("other")), ..Filter::default() }), 0);
    assert_eq!(count(Filter { principals: vec![log.blind(b"bob")], ..Filter::default() }), 5);
    assert_eq!(count(Filter { addresses: vec![log.blind(b"bob")], ..Filter::default() }), 0);
    assert_eq!(count(Filter { resource: Some(b"10".to_vec()), ..Filter::default() }), 1);
    assert_eq!(count(Filter { outcome: Some(Outcome::Failure), ..Filter::default() }), 5);
    assert_eq!(count(Filter { level: Some(bulla_guard::audit::Level::Error), ..Filter::default() }), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_field_holds_a_line_is_one_object(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut event = LoggedEvent::parse(b"\xa7\x01\x00\x02\x01\x03cput\x04\x00\x05\x01\x06\x00\x07\x48abcdefgh").unwrap();
        event.resource = Some(Value::Text(bulla_guard::audit::Text::new(&bytes)));
        let stored = Stored { index: 0, bytes: event.encode() };
        prop_assert_eq!(stored.event().unwrap(), event);
        for export in [Export::Json, Export::Ocsf] {
            let json = parsed(&export.line(&stored));
            if export == Export::Json && let Ok(text) = std::str::from_utf8(&bytes) {
                prop_assert_eq!(json["resource"].as_str(), Some(text));
            }
        }
    }
}
