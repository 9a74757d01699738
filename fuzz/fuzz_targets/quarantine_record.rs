//! An arbitrary quarantine record: it is refused, or it is the one encoding of what it says.
#![no_main]

use bulla_store::{MAX_QUARANTINED_LEN, QuarantineRecord};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(record) = QuarantineRecord::parse(data) else { return };
    assert!(record.document.len() <= MAX_QUARANTINED_LEN);
    assert_eq!(record.encode(), data);
});
