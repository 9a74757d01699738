//! An arbitrary file of fleche: it is refused, or what is in it is read again from what is written. Its payload is data, and nothing of it is run.
#![no_main]

use std::sync::LazyLock;

use bulla_store::{FlecheFile, FlecheKeys, FlecheName};
use libfuzzer_sys::fuzz_target;

const MAX_LEN: u64 = 1 << 20;

/// The key under which the vectors are signed.
static KEYS: LazyLock<FlecheKeys> = LazyLock::new(|| {
    let text = "deadbeefcafe0123456789abcdef0123456789abcdef0123456789abcdef0123";
    text.parse().expect("hex")
});

fuzz_target!(|data: &[u8]| {
    for keys in [None, Some(&*KEYS)] {
        let Ok(file) = FlecheFile::open(data.to_vec(), keys, MAX_LEN) else { continue };
        assert_eq!(file.verified_by, keys.map(|_| 1));
        read_again(&file.payload);
    }
    // Whatever it is, as a payload.
    let mut payload = data.to_vec();
    payload.push(b'.');
    read_again(&payload);
});

fn read_again(payload: &[u8]) {
    let _ = FlecheName::of_payload(payload);
    for gzip in [false, true] {
        let Ok(content) = FlecheFile::encode(payload, Some(&KEYS), gzip) else {
            assert!(payload.starts_with(b"\x1f\x8b"), "the one beginning that no pickle has");
            continue;
        };
        let file = FlecheFile::open(content.clone(), Some(&KEYS), 2 * MAX_LEN).expect("our own file");
        assert_eq!((file.payload.as_slice(), file.gzipped), (payload, gzip));
        // Nothing may stand behind it.
        assert!(FlecheFile::open([&content[..], b"0"].concat(), Some(&KEYS), 2 * MAX_LEN).is_err());
    }
}
