//! An arbitrary text as a signed note, a proof, a key of notes and the path of a tile: it is refused, or can be written again.
#![no_main]

use bulla_guard::audit::{NoteKey, Origin, Proof, SignedNote, Tile};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

fuzz_target!(|data: &[u8]| {
    let key: NoteKey = KEY.parse().expect("a key");
    if let Ok(note) = SignedNote::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
        // Nobody but its owner signs with the key.
        if let Ok(text) = note.open(&[key]) {
            assert_eq!(text, "This is an example message.\n");
        }
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(key) = text.parse::<NoteKey>() {
        assert_eq!(key.to_string(), text);
        assert!(Origin::new(key.name(), bulla_seal::VerifyingKey([0; 32])).is_some());
    }
    if let Ok(tile) = text.parse::<Tile>() {
        assert_eq!(tile.to_string(), text);
    }
    if let Ok(proof) = text.parse::<Proof>() {
        assert_eq!(proof.to_string().parse::<Proof>(), Ok(proof));
    }
});
