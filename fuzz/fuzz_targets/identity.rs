//! An arbitrary identity file: it is refused, or it says again what was read from it.
#![no_main]

use bulla_keyring::Identity;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let Ok(identity) = Identity::from_text(data) else { return };
    let text = identity.expose_text();
    let again = Identity::from_text(&text).expect("our own text");
    assert_eq!(again.public(), identity.public());
    assert_eq!(again.expose_text(), text);
    // Comments come first and end with their line; all else has one form.
    let without_comments =
        |text: &str| text.lines().skip_while(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_comments(&text), without_comments(data));
});
