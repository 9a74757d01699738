//! Contexts.

use std::collections::BTreeMap;

use bulla_guard::input::{Bounds, Context, ContextValue, InputError};

fn context(values: impl IntoIterator<Item = (String, ContextValue)>) -> Result<Context, InputError> {
    Context::new("context", values.into_iter().collect(), &Bounds::DEFAULT)
}

fn one(key: &str, value: ContextValue) -> Result<Context, InputError> {
    context([(key.to_owned(), value)])
}

fn text(len: usize) -> ContextValue {
    ContextValue::Text("é".repeat(len))
}

#[test]
fn keys_have_the_alphabet_of_names() {
    let long = "k".repeat(100);
    for key in ["a", "user.name", "X-Request-Id", "_", "0", &long] {
        assert!(one(key, ContextValue::Bool(true)).is_ok(), "{key}");
    }
    let longer = "k".repeat(101);
    for (key, message) in [
        ("", "/context/: is empty"),
        ("a b", "/context/a b: no name: a name has only letters, digits, `_`, `.` and `-`, this one has ' '"),
        ("é", "/context/é: no name: a name has only letters, digits, `_`, `.` and `-`, this one has 'é'"),
        ("<script>", "/context/<script>: no name: a name has only letters, digits, `_`, `.` and `-`, this one has '<'"),
        (longer.as_str(), &format!("/context/{}…: longer than 100 characters", "k".repeat(64))),
    ] {
        assert_eq!(one(key, ContextValue::Bool(true)).unwrap_err().to_string(), message);
    }
}

#[test]
fn everything_counts_towards_fifty_thousand_characters() {
    assert!(one("k", text(49_999)).is_ok());
    let error = one("k", text(50_000)).unwrap_err();
    assert_eq!(error.to_string(), "/context: longer than 50000 characters");
    // One too many, in each kind of value.
    let with = |value| context([("k".to_owned(), text(49_990)), ("l".to_owned(), value)]);
    let list = |count| ContextValue::List(vec![ContextValue::Bool(true); count]);
    let map = |name: &str| ContextValue::Map(BTreeMap::from([(name.to_owned(), ContextValue::Bool(true))]));
    for (fits, too_long) in [
        (text(8), text(9)),
        (ContextValue::Unsigned(12_345_678), ContextValue::Unsigned(123_456_789)),
        (ContextValue::Signed(-1_234_567), ContextValue::Signed(-12_345_678)),
        (ContextValue::Float(0.25), ContextValue::Float(0.123_456_789)),
        (list(4), list(5)),
        (map("123456"), map("1234567")),
    ] {
        assert!(with(fits.clone()).is_ok(), "{fits:?}");
        assert!(with(too_long.clone()).is_err(), "{too_long:?}");
    }
    assert!(context((0..30_000).map(|n| (format!("{n:05}"), list(0)))).is_err());
}
