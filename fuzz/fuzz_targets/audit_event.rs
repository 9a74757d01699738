//! Arbitrary stored bytes: they are no event, or the one encoding of what they say, and every export of them is one line of ASCII.
#![no_main]

use bulla_guard::audit::{Export, LoggedEvent, Stored};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = LoggedEvent::parse(data) {
        assert_eq!(event.encode(), data);
        assert!(!event.resource.map_or(String::new(), |resource| resource.to_string()).contains(char::is_control));
    }
    let stored = Stored { index: 0, bytes: data.to_vec() };
    for export in [Export::Json, Export::Ocsf] {
        assert!(export.line(&stored).bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
});
