//! What is sealed, and sealed anew, is sealed as the settings say.

use std::time::Duration;

use bulla_backend::{Clock, Collection, DocumentKey, Durability, Expected};
use bulla_seal::{Header, Suite};
use bulla_store::{Budget, Depth, Mode, PutOptions, WalkEvent};
use pollster::block_on;

use super::{LARGE, only_blob, set};
use crate::ground::{Ground, assert_code, pattern, write};

fn suite_of(ground: &Ground, namespace: &str, name: &[u8]) -> Suite {
    Header::parse(&ground.document(namespace, name).value).unwrap().params().suite
}

#[test]
fn a_resealing_after_a_change_of_mode_begins_anew() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [&b"a"[..], b"b", b"c"] {
        write(&namespace, name, b"out of sight");
    }
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let two = Budget { entries: 2, bytes: u64::MAX };
    assert!(!block_on(namespace.reseal(Depth::Entries, &two, &mut |_| {})).unwrap().finished);
    assert_eq!(suite_of(&ground, "a", b"a"), Suite::Authenticated);
    set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
    let counts = block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert!(counts.finished && counts.failed == 0);
    for name in [&b"a"[..], b"b", b"c"] {
        assert_ne!(suite_of(&ground, "a", name), Suite::Authenticated, "{}", name.escape_ascii());
    }
}

#[test]
fn a_value_put_long_after_the_namespace_was_sealed_is_encrypted() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let bytes = pattern(LARGE, 1);
    let mut writer = namespace.writer(b"n", &PutOptions::default()).unwrap();
    block_on(writer.write(&bytes[..100_000])).unwrap();
    set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
    ground.clock.forward(Duration::from_hours(1));
    let put = block_on(async {
        writer.write(&bytes[100_000..]).await?;
        writer.finish().await
    });
    assert_code(put, "mode_changed");
    assert_eq!(ground.blob_ids(), [], "what can be read does not stay");
    write(&namespace, b"n", &bytes);
    let (blob, secret) = (ground.blob(&only_blob(&ground)), &bytes[150_000..150_100]);
    assert!(!blob.windows(secret.len()).any(|window| window == secret), "it can be read in the storage");
}

#[test]
fn a_resealing_in_depth_that_was_left_long_ago_begins_anew() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for name in [&b"a"[..], b"b"] {
        write(&namespace, name, &pattern(LARGE, 1));
    }
    let one = Budget { entries: 1, bytes: u64::MAX };
    assert!(!block_on(namespace.reseal(Depth::Blobs, &one, &mut |_| {})).unwrap().finished);
    let before = ground.blob_ids();
    ground.clock.forward(Duration::from_hours(24));
    let counts = block_on(namespace.reseal(Depth::Blobs, &Budget::UNLIMITED, &mut |_| {})).unwrap();
    assert_eq!((counts.finished, counts.blobs), (true, 2));
    assert!(ground.blob_ids().iter().all(|id| !before.contains(id)));
}

#[test]
fn a_value_that_was_counted_in_the_storage_is_counted_after_any_journal() {
    // A re-sealing goes by its journal: whatever that says, it neither panics nor stops.
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"n", b"v");
    let journals = Collection::new("journals", Durability::Cache);
    let key = DocumentKey::new(&b"reseal\0a"[..]).unwrap();
    let most = [&[0x1b][..], &(u64::MAX / 2).to_be_bytes()].concat();
    // Entries, sealed, by the first settings; and written now.
    let aim = [&[0x52, 0, 0][..], &1_u64.to_be_bytes(), &ground.newest("a").0].concat();
    let now = [&[0x1b][..], &ground.clock.now().0.to_be_bytes()].concat();
    let step = [&[0x85, 1][..], &aim, &[0, 0x40, 0x87], &most.repeat(6), &now].concat();
    block_on(ground.documents.put(journals, &key, &step, Expected::Absent)).unwrap();
    let counts = block_on(namespace.reseal(Depth::Entries, &Budget::UNLIMITED, &mut |_| {}));
    assert!(counts.unwrap().finished);
}

#[test]
fn a_long_resealing_follows_the_settings() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    write(&namespace, b"a", &pattern(5 * 1_024 * 1_024, 1));
    write(&namespace, b"z", b"out of sight");
    set(&namespace, |settings| settings.mode = Mode::Authenticated).unwrap();
    let mut is_changed = false;
    let counts = block_on(namespace.reseal(Depth::Blobs, &Budget::UNLIMITED, &mut |event| {
        if let WalkEvent::Progress(counts) = event
            && counts.read > 1_024 * 1_024
            && !std::mem::replace(&mut is_changed, true)
        {
            set(&namespace, |settings| settings.mode = Mode::Sealed).unwrap();
            ground.clock.forward(Duration::from_hours(1));
        }
    }));
    assert!(counts.unwrap().finished && is_changed);
    assert_ne!(suite_of(&ground, "a", b"z"), Suite::Authenticated);
}
