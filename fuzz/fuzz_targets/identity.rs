//! An arbitrary identity file: it is refused, or it says again what was read from it.
#![no_main]

use bulla_keyring::{Identity, Passphrase, StoredIdentity};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let Ok(stored) = StoredIdentity::from_text(data) else {
        assert!(Identity::from_text(data).is_err());
        return;
    };
    let text = stored.expose_text();
    let again = StoredIdentity::from_text(&text).expect("our own text");
    assert_eq!(again.fingerprint(), stored.fingerprint());
    assert_eq!(again.expose_text(), text);
    // Comments come first and end with their line; all else has one form.
    let without_comments =
        |text: &str| text.lines().skip_while(|line| line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_comments(&text), without_comments(data));
    match stored {
        StoredIdentity::Plain(identity) => {
            assert_eq!(Identity::from_text(data).expect("a plain one").public(), identity.public());
        }
        StoredIdentity::Locked(identity) => {
            assert!(Identity::from_text(data).is_err());
            let cost = identity.cost();
            assert!(cost.memory_kib() <= 1_048_576 && cost.passes() <= 10 && cost.lanes() <= 16);
            // What costs little is tried; what it seals is what the passphrase of the seeds sealed.
            if cost.memory_kib() <= 256 {
                let passphrase = Passphrase::new(b"correct horse battery staple".to_vec()).expect("a short one");
                if let Ok(unlocked) = identity.unlock(&passphrase) {
                    assert_eq!(unlocked.fingerprint(), identity.fingerprint());
                }
            }
        }
    }
});
