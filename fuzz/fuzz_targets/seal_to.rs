//! Arbitrary bytes as what was sealed to a public key, alone and behind a head of ours, and arbitrary text as a public key.
#![no_main]

use std::io::Read;
use std::sync::LazyLock;

use bulla_keyring::{SealToKey, SealedToHead, SealedToStream, XWingKey};
use bulla_seal::{Context, KeyVersionId, ProjectId, SealKey, Secret};
use libfuzzer_sys::fuzz_target;

const PROJECT: ProjectId = ProjectId([1; 32]);

struct Setting {
    holder: XWingKey,
    context: Context,
    head: SealedToHead,
    key: SealKey,
}

static SETTING: LazyLock<Setting> = LazyLock::new(|| {
    let holder = XWingKey::new(PROJECT, KeyVersionId([2; 8]), Secret::build(|out| out.fill(3))).expect("a seed");
    let context = Context::user(&PROJECT).build().expect("an empty context");
    let (head, key) = holder.seal_to("inbox".parse().expect("a name")).begin().expect("random bytes");
    Setting { holder, context, head, key }
});

fuzz_target!(|data: &[u8]| {
    let Setting { holder, context, head, key } = &*SETTING;
    // Only what the key of the message sealed opens, and no input can hold that, unless we seal it. Each takes its time: half of the inputs
    // try the one, half the other.
    assert!(open_everywhere(holder, context, data).is_none());
    if data.len().is_multiple_of(2) {
        assert!(open_everywhere(holder, context, &[head.to_bytes(), data.to_vec()].concat()).is_none());
    } else {
        let value = key.seal(Default::default(), context, data).expect("a short message");
        let sealed = [head.to_bytes(), value].concat();
        assert_eq!(open_everywhere(holder, context, &sealed).as_deref(), Some(data));
    }
    if let Ok(found) = SealedToHead::parse(data) {
        assert!(data.starts_with(&found.to_bytes()));
    }

    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(public) = text.parse::<SealToKey>() {
        assert_eq!(public.to_string(), text);
        assert!(public.seal(context, b"a message").is_ok());
    }
});

/// Opens in one go and as a stream; both find the same.
fn open_everywhere(holder: &XWingKey, context: &Context, sealed: &[u8]) -> Option<Vec<u8>> {
    let whole = holder.open(context, sealed).ok();
    let mut message = Vec::new();
    let streamed = SealedToStream::new(sealed)
        .and_then(|stream| stream.open(holder, context))
        .and_then(|mut reader| reader.read_to_end(&mut message))
        .ok()
        .map(|_| message);
    assert_eq!(whole, streamed);
    whole
}
