//! Arbitrary text: it is refused, or it is the one text of what it stands for.
#![no_main]

use bulla_seal::{KeyVersionId, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    if let Ok(sealed) = text::decode(data) {
        assert_eq!(text::encode(&sealed), data);
    }
    if let Ok(id) = data.parse::<KeyVersionId>() {
        assert_eq!(id.to_string(), data);
    }
});
