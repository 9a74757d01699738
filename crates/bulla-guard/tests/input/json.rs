//! What the JSON reader reads, and what it says of types.

use std::collections::BTreeMap;

use bulla_guard::input::{Bounds, Context, ContextValue, Fault, InputError, Name, QueryText, json};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::read;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    query: String,
    #[serde(default)]
    context: BTreeMap<String, ContextValue>,
    limit: Option<u32>,
    mode: Option<Mode>,
    role: Option<Name>,
    note: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Mode {
    Fast,
    Until(u64),
    Pair(u8, u8),
    Between { from: u64, to: u64 },
}

fn ask(document: &str) -> Result<Ask, InputError> {
    json::from_slice(document.as_bytes(), &Bounds::DEFAULT)
}

#[test]
fn a_request_is_read_into_its_type() {
    let document = r#" {"query": "how many?", "context": {"user": "é\u00e9\ud83d\ude00", "deep": [1, -1, 0.5, true, {"a": []}]},
        "limit": 20, "mode": {"between": {"from": 1, "to": 2}}, "role": "team/reader"} "#;
    let Ask { query, context, limit, mode, role, note } = ask(document).unwrap();
    assert_eq!(
        (query.as_str(), limit, mode, note),
        ("how many?", Some(20), Some(Mode::Between { from: 1, to: 2 }), None)
    );
    assert_eq!(role.unwrap().as_str(), "team/reader");
    assert_eq!(context["user"], ContextValue::Text("éé😀".into()));
    let deep = [
        ContextValue::Unsigned(1),
        ContextValue::Signed(-1),
        ContextValue::Float(0.5),
        ContextValue::Bool(true),
        ContextValue::Map([("a".into(), ContextValue::List(vec![]))].into()),
    ];
    assert_eq!(context["deep"], ContextValue::List(deep.into()));
}

#[test]
fn null_is_nothing_for_what_may_be_absent() {
    let read = ask(r#"{"query": "q", "limit": null, "mode": null, "role":null, "note": null}"#).unwrap();
    assert_eq!((read.limit, read.mode, read.role, read.note), (None, None, None, None));
}

#[test]
fn every_kind_of_variant_is_read() {
    for (text, mode) in [
        (r#""fast""#, Mode::Fast),
        (r#"{"fast": null}"#, Mode::Fast),
        (r#"{"until": 7}"#, Mode::Until(7)),
        (r#"{"pair": [1, 2]}"#, Mode::Pair(1, 2)),
        (r#"{"between" : {"to": 2, "from": 1} }"#, Mode::Between { from: 1, to: 2 }),
    ] {
        assert_eq!(json::from_slice::<Mode>(text.as_bytes(), &Bounds::DEFAULT).unwrap(), mode, "{text}");
        assert_eq!(serde_json::from_str::<Mode>(text).unwrap(), mode, "{text}");
    }
}

#[test]
fn a_text_without_escapes_is_borrowed() {
    assert_eq!(
        json::from_slice::<[&str; 2]>(r#"["plain", "größe"]"#.as_bytes(), &Bounds::DEFAULT).unwrap(),
        ["plain", "größe"]
    );
    let error = json::from_slice::<[&str; 1]>(br#"["two\nlines"]"#, &Bounds::DEFAULT).unwrap_err();
    assert_eq!(error.to_string(), "/0: expected a borrowed string, found a text");
}

#[test]
fn an_error_names_the_field_and_the_rule_and_no_value() {
    for (document, message) in [
        (r#"{}"#, "the field `query` is missing"),
        (r#"{"query": 5}"#, "/query: expected a string, found a number"),
        (r#"{"query": "q", "secret": "hunter2"}"#, "/secret: unknown here"),
        (r#"{"query": "q", "limit": "hunter2"}"#, "/limit: expected u32, found a text"),
        (r#"{"query": "q", "limit": -12345}"#, "/limit: expected u32, found another value"),
        (r#"{"query": "q", "limit": 4294967296}"#, "/limit: expected u32, found another value"),
        (r#"{"query": "q", "limit": 1.0}"#, "/limit: expected u32, found a number"),
        (
            r#"{"query": "q", "mode": "hunter2"}"#,
            "/mode: expected one of fast, until, pair, between, found another text",
        ),
        (
            r#"{"query": "q", "mode": {"between": {"from": 1, "to": true}}}"#,
            "/mode/between/to: expected u64, found a boolean",
        ),
        (
            r#"{"query": "q", "mode": {"pair": [1]}}"#,
            "/mode/pair: expected tuple variant Mode::Pair with 2 elements, found another number of elements",
        ),
        (r#"{"query": "q", "mode": {"pair": [1, 2, 3]}}"#, "/mode/pair: expected no further element, found another"),
        (r#"{"query": "q", "mode": {"fast": null, "until": 1}}"#, "/mode: expected no further member, found another"),
        (r#"{"query": "q", "mode": {}}"#, "/mode: not JSON: expected the name of a member"),
        (
            r#"{"query": "q", "context": {"a": [1, {"b": null}]}}"#,
            "/context/a/1/b: expected a text, number, boolean, list or object, found null",
        ),
        (r#"{"query": "q", "context": [1]}"#, "/context: expected a map, found a list"),
        (
            r#"{"query": "q", "role": "a b"}"#,
            "/role: no name: a name has only letters, digits, `_`, `.` and `-`, this one has ' '",
        ),
        (r#"{"query": "q", "query": "q"}"#, "/query: is there twice"),
        (r#"{"query": "q", "note": "a", "n\u006fte": "b"}"#, "/note: is there twice"),
        (r#"["q"]"#, "expected struct Ask, found a list"),
        (
            r#"{"query": "q", "mode": {"hunter2": 1}}"#,
            "/mode: expected one of fast, until, pair, between, found another text",
        ),
    ] {
        assert_eq!(ask(document).unwrap_err().to_string(), message, "{document}");
    }
}

#[test]
fn names_in_pointers_are_escaped_and_cut() {
    let document = json!({ "query": "q", "a/b~c\u{1b}[31m\n\u{202e}": 1 }).to_string();
    assert_eq!(ask(&document).unwrap_err().field(), "/a~1b~0c\\u{1b}[31m\\n\\u{202e}");
    let document = json!({ "query": "q", "x".repeat(1_000): 1 }).to_string();
    assert_eq!(ask(&document).unwrap_err().field(), format!("/{}…", "x".repeat(64)));
    let deep = format!("{}true{}", r#"{"a":[0,"#.repeat(15), "]}".repeat(15));
    let error = json::from_slice::<Value>(deep.replace("true", "tru").as_bytes(), &Bounds::DEFAULT).unwrap_err();
    assert_eq!(error.field(), "/a/1/a/1/…/a/1/a/1");
}

#[test]
fn codes_are_for_programs() {
    for (document, code) in [
        ("{", "not_json"),
        (r#"{"query": "q", "x": 1}"#, "unknown_field"),
        (r#"{"query": "q", "query": 1}"#, "duplicate_field"),
        (r#"{}"#, "missing_field"),
        (r#"{"query": 1}"#, "wrong_type"),
        (r#"{"query": 1e999}"#, "number"),
    ] {
        assert_eq!(ask(document).unwrap_err().fault().code(), code, "{document}");
    }
}

#[test]
fn a_query_is_neither_empty_nor_long_and_not_altered() {
    let new = |text: &str| QueryText::new("query", text.to_owned(), &Bounds::DEFAULT);
    for text in [" <b>é\0  two  spaces</b>\n", "x", &"é".repeat(10_000)] {
        assert_eq!(new(text).unwrap().into_string(), text);
    }
    for (text, message) in [
        ("", "/query: is empty"),
        (" \t\r\n\u{a0}\u{3000}", "/query: is empty"),
        (&"é".repeat(10_001), "/query: longer than 10000 characters"),
    ] {
        assert_eq!(new(text).unwrap_err().to_string(), message);
    }
}

#[test]
fn a_context_is_taken_whole() {
    let ask = ask(r#"{"query": "q", "context": {"user.name": " <i>&amp; \u0000"}}"#).unwrap();
    let context = Context::new("context", ask.context, &Bounds::DEFAULT).unwrap();
    assert_eq!(context.values()["user.name"], ContextValue::Text(" <i>&amp; \0".into()));
}

/// Values as `serde_json` makes them, with numbers of every kind.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\\\\\"\\x00-\\x20a-z/\u{7f}-\u{9f}\u{2028}\u{d7ff}\u{e000}\u{feff}😀]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Compares, where `serde_json` reads fractions to the last bits but a few.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            one == other || one.to_bits().abs_diff(other.to_bits()) <= 4
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_written_is_read_as_it_was(value in value(), pretty in any::<bool>()) {
        let document = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let ours = read(&document).unwrap();
        // A fraction that was written in full is the same fraction, which is more than serde_json promises.
        prop_assert_eq!(&ours, &value, "{}", document);
        prop_assert!(same(&ours, &serde_json::from_str(&document).unwrap()));
    }

    #[test]
    fn what_is_damaged_is_read_as_serde_json_reads_it_or_refused(value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut document = serde_json::to_vec(&value).unwrap();
        let at = at.index(document.len());
        document[at] = byte;
        if let Ok(ours) = read(&document) {
            match serde_json::from_slice(&document) {
                Ok(theirs) => prop_assert!(same(&ours, &theirs), "{}", String::from_utf8_lossy(&document)),
                // It rounds before it compares with the largest.
                Err(error) => prop_assert!(error.to_string().contains("out of range"), "{}", error),
            }
        }
    }

    #[test]
    fn tokens_in_any_order_are_read_as_serde_json_reads_them_or_refused(
        tokens in proptest::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "null", "true", "0", "-1", "1.5e3", "\"a\"", "\"\\u0061\"", "\"b\"", " ", "\"", "-", "\\",
        ]), 0..12),
    ) {
        let document = tokens.concat();
        let (ours, theirs) = (read(&document), serde_json::from_str::<Value>(&document));
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert!(same(ours, theirs), "{}", document),
            (Err(error), Ok(_)) => prop_assert_eq!(error.fault(), &Fault::Duplicate, "{}", document),
            (Ok(_), Err(_)) => prop_assert!(false, "{} is read", document),
            (Err(_), Err(_)) => {}
        }
    }
}
