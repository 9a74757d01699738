//! An arbitrary document: it is refused with a short message, or read as serde_json reads it, and read again from what is written of it.
#![no_main]

use bulla_guard::input::{Bounds, json};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const NARROW: Bounds = Bounds {
    body: 1 << 16,
    depth: 8,
    members: 20,
    elements: 20,
    values: 100,
    text: 100,
    member_name: 20,
    ..Bounds::DEFAULT
};

fuzz_target!(|data: &[u8]| {
    if let Err(error) = json::from_slice::<Value>(data, &NARROW) {
        let message = error.to_string();
        assert!(message.len() < 2_000 && !message.chars().any(char::is_control), "{message:?}");
    }
    let Ok(value) = json::from_slice::<Value>(data, &Bounds::DEFAULT) else { return };
    match serde_json::from_slice(data) {
        Ok(theirs) => assert!(same(&value, &theirs), "{value} {theirs}"),
        // It rounds before it compares with the largest.
        Err(error) => assert!(error.to_string().contains("out of range"), "{error}"),
    }
    let written = serde_json::to_vec(&value).expect("a value");
    assert_eq!(json::from_slice::<Value>(&written, &Bounds::BATCH).expect("our own document"), value);
});

/// Compares, where `serde_json` reads fractions to the last bits but a few.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
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
