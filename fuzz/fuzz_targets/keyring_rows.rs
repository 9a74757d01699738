//! Arbitrary rows of a keyring's database: each is refused, or is the one encoding of what it says.
#![no_main]

use bulla_keyring::format::{IdRow, KeyRow, VersionRow, Wrap};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let encoded = [
        KeyRow::decode(data).map(|row| row.encode()),
        VersionRow::decode(data).map(|row| row.encode()),
        IdRow::decode(data).map(|row| row.encode()),
        Wrap::decode(data).map(|wrap| wrap.encode()),
    ];
    assert!(encoded.iter().flatten().all(|encoded| encoded == data));
    assert!(encoded.iter().flatten().count() <= 1, "a row of two kinds");
});
