//! Arbitrary segments of paths and query strings: what is read can be written again, and what is not allowed is not in it.
#![no_main]

use bulla_guard::input::percent::{self, Allowed};
use bulla_guard::input::{Bounds, Query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    assert_eq!(percent::segment("name", &percent::encode(data), Allowed::ANYTHING).expect("our own encoding"), data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(decoded) = percent::segment("name", text, Allowed::ANYTHING) {
        assert!(decoded.len() <= text.len());
        let strict = percent::text_segment("name", text, Allowed::default());
        let harmless = std::str::from_utf8(&decoded)
            .is_ok_and(|text| !text.contains('\0') && text != "." && text != ".." && !text.contains(['/', '\\']));
        assert_eq!(strict.is_ok(), harmless);
    }
    if let Ok(query) = Query::parse(text, &Bounds::DEFAULT) {
        for pair in text.split('&').filter(|_| !text.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            let name = String::from_utf8(percent_decoded(name)).expect("text, as it was read");
            assert!(query.text(&name).is_some_and(|value| !value.contains('\0')));
            assert!(query.only(&[]).is_err());
        }
    }
});

/// Decodes what is known to be well-formed.
fn percent_decoded(text: &str) -> Vec<u8> {
    let spaced = text.replace('+', " ");
    let mut parts = spaced.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        decoded.push(u8::from_str_radix(digits, 16).expect("two digits"));
        decoded.extend_from_slice(rest.as_bytes());
    }
    decoded
}
