//! Arbitrary bytes under an arbitrary key and context: every opener says the same, and only what was sealed so opens.
//!
//! Input: material and its length (2 bytes), key-version id (8 bytes), encoded context and its length (2 bytes), sealed value.
#![no_main]

use bulla_fuzz::{Input, context, open_in_every_way};
use bulla_seal::{Header, KeyVersionId, SealKey, danger, text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let material = input.counted();
    let id = KeyVersionId(input.array());
    let Some(Ok(context)) = context::decode(input.counted()).map(|builder| builder.build()) else { return };
    let Ok(key) = SealKey::new(id, material) else { return };
    let sealed = input.0;

    assert_eq!(text::decode(&text::encode(sealed)).as_deref(), Ok(sealed));
    if let Ok(message) = open_in_every_way(&key, &context, sealed) {
        let params = Header::parse(sealed).expect("it was opened").params();
        let salt = sealed[16..40].try_into().expect("24 bytes");
        let again = danger::seal_with_salt(&key, params, &context, &salt, &message).expect("it was sealed once");
        assert_eq!(again, sealed);
    }
});
