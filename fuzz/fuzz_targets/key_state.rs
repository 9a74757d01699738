//! The arbitrary state of a key: it is refused, or is the one encoding of what it says.
#![no_main]

use bulla_keyring::flows::{KeyState, MAX_STATE_LEN};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(state) = KeyState::decode(data) else { return };
    assert!(data.len() <= MAX_STATE_LEN);
    assert_eq!(state.expose_encoded().as_deref(), Some(data));
    assert!(KeyState::decode(data).as_ref() == Some(&state));
    // What is printed of the values shows nothing of their bytes.
    assert!(!format!("{state:?}").contains('['));
});
