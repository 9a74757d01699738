//! Arbitrary names: they are refused, or are written as they were read and can do no harm in a path.
#![no_main]

use bulla_keyring::{Fingerprint, KeyName, MachineName};
use bulla_store::{NamespaceName, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(place) = Place::parse(data) {
        assert!(is_harmless(place.namespace.as_str()));
        assert_eq!([place.namespace.as_str().as_bytes(), b"\0", place.name.as_bytes()].concat(), data);
        assert!(place.to_string().bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(name) = text.parse::<KeyName>() {
        assert!(is_harmless(text));
        assert_eq!(name.as_str(), text);
    }
    if let Ok(name) = text.parse::<MachineName>() {
        assert!(is_harmless(text) && !text.contains('/'));
        assert_eq!(name.as_str(), text);
    }
    if let Ok(name) = text.parse::<NamespaceName>() {
        assert!(is_harmless(text));
        assert_eq!(name.as_str(), text);
        assert_eq!(name.key().as_str(), format!("store/{text}"));
    }
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        assert_eq!(fingerprint.to_string(), text);
    }
});

fn is_harmless(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.split('/').all(|part| {
        (1..=128).contains(&part.len())
            && part.chars().all(plain)
            && !part.contains("..")
            && !part.starts_with(['.', '-'])
    })
}
