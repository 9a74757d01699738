//! Arbitrary settings of a namespace: they are refused, or they are the one encoding of what they say.
#![no_main]

use bulla_store::StoredSettings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(stored) = StoredSettings::parse(data) else { return };
    assert_eq!(stored.settings.check(), Ok(()));
    assert!(stored.version > 0);
    assert_eq!(stored.settings.blinded_names, stored.index.is_some());
    assert_eq!(stored.encode(), data);
});
