//! An arbitrary entry: it is refused, or it is the one encoding of what it says.
#![no_main]

use bulla_store::Entry;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok((entry, value)) = Entry::parse(data) else { return };
    assert_eq!(entry.check(), Ok(()));
    assert!(entry.blob.is_none() || value.is_empty());
    assert_eq!(entry.encode(value, 0), data);
});
