//! Arbitrary recovery words: they are refused, or are the words that the same identity is written as.
#![no_main]

use bulla_keyring::RecoveryWords;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    match data.parse::<RecoveryWords>() {
        Ok(words) => {
            let normal: Vec<String> = data.split_whitespace().map(str::to_ascii_lowercase).collect();
            assert_eq!(*words.expose_words(), normal.join(" "));
            let again: RecoveryWords = words.expose_words().parse().expect("our own words");
            assert_eq!(again.expose_words(), words.expose_words());
        }
        Err(refused) => {
            // A place at most, never a word.
            let shown = format!("{refused} {refused:?}");
            assert!(data.split_whitespace().all(|word| word.len() < 12 || !shown.contains(word)), "{shown}");
        }
    }
});
