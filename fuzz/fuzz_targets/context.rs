//! Whatever a context is built of: it is refused, or its encoding is deterministic and says the same.
#![no_main]

use bulla_fuzz::context;
use bulla_seal::MAX_CONTEXT_LEN;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(builder) = context::decode(data) else { return };
    let built = builder.clone().build();
    let Ok(encoded) = builder.encode() else {
        assert!(built.is_err());
        return;
    };
    assert!(encoded.len() <= MAX_CONTEXT_LEN);
    context::check_deterministic(&encoded);
    let again = context::decode(&encoded).expect("what was encoded can be decoded");
    assert_eq!(again.clone().build(), built);
    assert_eq!(again.encode().as_ref(), Ok(&encoded));
});
