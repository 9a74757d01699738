//! An arbitrary request to be let in: it is refused, or it says again what was read from it.
#![no_main]

use std::sync::LazyLock;

use bulla_backend::Timestamp;
use bulla_keyring::{Identity, MAX_REQUEST_LEN, Request};
use libfuzzer_sys::fuzz_target;

static REQUEST: LazyLock<Request> = LazyLock::new(|| {
    let identity = Identity::generate().expect("an identity");
    Request::create(&identity, "laptop".parse().expect("a name"), None, Timestamp(5)).expect("a request")
});

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(read) = text.parse::<Request>()
    {
        assert!(text.trim_ascii().len() <= MAX_REQUEST_LEN);
        assert_eq!(read.to_string(), text.trim_ascii());
        assert_eq!(read.fingerprint(), read.public().fingerprint());
    }
    // Nobody finds a second text for what a machine has signed: a whole request, altered as the input says.
    let mut altered = REQUEST.to_string().into_bytes();
    for change in data.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % altered.len();
        altered[at] = change[2];
    }
    if let Ok(text) = std::str::from_utf8(&altered)
        && let Ok(read) = text.parse::<Request>()
    {
        assert_eq!(read, *REQUEST);
    }
});
