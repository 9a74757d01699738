//! Arbitrary text and an altered token of Fernet: all of it is refused but the genuine one; and what bears a genuine tag opens to no more than it
//! holds, or is refused.
//!
//! Input: the number of alterations; for each an offset, how many bytes are taken out there, and what is put in. What is left is a key, and what
//! comes before a tag under it.
#![no_main]

use bulla_fuzz::Input;
use bulla_seal::{FernetKey, MacKey, Secret, text};
use libfuzzer_sys::fuzz_target;

/// Of the specification.
const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
const TOKEN: &[u8] =
    b"gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
/// Bytes of a token before its body.
const HEAD_LEN: usize = 25;

fuzz_target!(|data: &[u8]| {
    let genuine = FernetKey::from_text(KEY).expect("a key");
    let mut input = Input(data);
    let mut token = TOKEN.to_vec();
    for _ in 0..input.byte() % 4 {
        let at = input.number() % (token.len() + 1);
        let end = (at + input.number()).min(token.len());
        token.splice(at..end, input.counted().iter().copied());
    }
    assert_eq!(genuine.open(&token).is_ok(), token == TOKEN);

    let _ = FernetKey::from_text(input.0);
    assert!(genuine.open(input.0).is_err() || input.0 == TOKEN);
    let material: [u8; 32] = input.array();
    let key = FernetKey::from_secret(&Secret::from_slice(&material).expect("32 bytes")).expect("a key");
    let signing = MacKey::new(&material[..16]).expect("a key");
    let bytes = [input.0, &signing.tag(input.0)].concat();
    if let Ok(opened) = key.open(padded(&bytes).as_bytes()) {
        let body_len = input.0.len() - HEAD_LEN;
        assert!(input.0[0] == 0x80 && body_len % 16 == 0);
        assert!((body_len - 16..body_len).contains(&opened.message.expose().len()));
        assert_eq!(opened.created_secs.to_be_bytes(), input.0[1..9]);
    }
});

/// Writes base64url with padding.
fn padded(bytes: &[u8]) -> String {
    let text = text::encode(bytes);
    let mut text = text.rsplit(':').next().unwrap_or_default().to_owned();
    while text.len() % 4 != 0 {
        text.push('=');
    }
    text
}
