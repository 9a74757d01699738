//! An arbitrary record of the trust log: it is refused, or is the one encoding of what it says, which anyone could sign anew.
#![no_main]

use std::sync::LazyLock;

use bulla_keyring::TrustPin;
use bulla_keyring::format::{MAX_RECORD_LEN, SignedRecord};
use bulla_seal::{Secret, SigningKey};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_seed(Secret::build(|seed| seed.fill(7))).expect("a key from any seed"));

fuzz_target!(|data: &[u8]| {
    if let Some(Ok(pin)) = std::str::from_utf8(data).ok().map(str::parse::<TrustPin>) {
        assert_eq!(pin.to_string().as_bytes(), data);
    }
    let Some(signed) = SignedRecord::decode(data) else { return };
    assert!(data.len() <= MAX_RECORD_LEN);
    assert_eq!(signed.encode(), data);
    assert!(!signed.verifies(&KEY.verifying_key()), "nobody else has this key");

    let ours = signed.record().clone().sign(&KEY).expect("any record can be signed");
    assert!(ours.verifies(&KEY.verifying_key()));
    let read = SignedRecord::decode(&ours.encode()).expect("our own record");
    assert_eq!(read, ours);
    assert_eq!(read.record(), signed.record());
});
