//! Entries that are named after their contents.

use std::time::Duration;

use bulla_store::{ContentName, GetOptions, Lifetime, Namespace, NamespaceSettings, PutOptions};
use pollster::block_on;

use crate::ground::{Ground, assert_code, names, pattern, write};

const LENGTHS: [usize; 4] = [0, 100, 65_536, 200_000];

fn put(namespace: &Namespace, value: &[u8]) -> ContentName {
    block_on(namespace.put_content(value, &PutOptions::default())).unwrap()
}

fn put_in_pieces(namespace: &Namespace, value: &[u8]) -> ContentName {
    block_on(async {
        let mut writer = namespace.content_writer(&PutOptions::default())?;
        for piece in value.chunks(33_000) {
            writer.write(piece).await?;
        }
        writer.finish().await
    })
    .unwrap()
}

fn version(namespace: &Namespace, name: &ContentName) -> u64 {
    block_on(namespace.stat(name.entry().as_bytes(), &GetOptions::default())).unwrap().version
}

#[test]
fn the_same_bytes_are_stored_once() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for len in LENGTHS {
        let value = pattern(len, 1);
        let name = put(&namespace, &value);
        let (documents, blobs) = (ground.documents(), ground.blob_ids());
        assert_eq!(put(&namespace, &value), name);
        assert_eq!(put_in_pieces(&namespace, &value), name);
        assert!(ground.documents() == documents && ground.blob_ids() == blobs, "nothing was written again");
        assert!(block_on(namespace.get_content(&name)).unwrap().bytes == value);
        assert_eq!(name.to_string().parse::<ContentName>().unwrap(), name);
    }
    // In pieces first, whole later.
    let value = pattern(100_000, 7);
    assert_eq!(put_in_pieces(&namespace, &value), put(&namespace, &value));
    assert_eq!(names(&namespace, b"content/", 0).len(), LENGTHS.len() + 1);
    assert_eq!(ground.blob_ids().len(), 2);
    let (counts, findings) = ground.check();
    assert!(counts.is_clean(), "{findings:?}");
}

#[test]
fn a_name_says_nothing_outside_of_its_namespace_and_project() {
    let (ground, other) = (Ground::new(), Ground::new());
    let value = pattern(50, 1);
    let mut found = vec![
        put(&ground.namespace("a"), &value),
        put(&ground.namespace("b"), &value),
        put(&other.namespace("a"), &value),
    ];
    let blind = ground.namespace("blind");
    let settings = NamespaceSettings { blinded_names: true, ..NamespaceSettings::default() };
    block_on(blind.set_settings(&settings)).unwrap();
    found.push(put(&blind, &value));
    assert!(block_on(blind.get_content(&found[3])).unwrap().bytes == value);
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 4, "one name for each namespace and project");
}

#[test]
fn a_value_under_the_name_of_another_is_refused() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for len in LENGTHS {
        let value = pattern(len, 1);
        let name = put(&namespace, &value);
        write(&namespace, name.entry().as_bytes(), &pattern(len + 1, 2));
        assert_code(block_on(namespace.get_content(&name)), "content_mismatch");
        assert_code(block_on(namespace.content_reader(&name)), "content_mismatch");
        assert_eq!(put(&namespace, &value), name);
        assert!(block_on(namespace.get_content(&name)).unwrap().bytes == value, "put again, it is right again");
    }
}

#[test]
fn damaged_content_is_mended_by_putting_it_again() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for in_pieces in [false, true] {
        for len in LENGTHS {
            let value = pattern(len, if in_pieces { 3 } else { 4 });
            let name = put(&namespace, &value);
            let entry = name.entry();
            match ground.entry("a", entry.as_bytes()).blob {
                Some(blob) => {
                    let mut bytes = ground.blob(&blob.id);
                    bytes[len / 2] ^= 1;
                    ground.plant_blob(&blob.id, &bytes);
                }
                None => {
                    let mut document = ground.document("a", entry.as_bytes()).value;
                    *document.last_mut().unwrap() ^= 1;
                    ground.plant("a", entry.as_bytes(), &document);
                }
            }
            assert_eq!(if in_pieces { put_in_pieces(&namespace, &value) } else { put(&namespace, &value) }, name);
            assert!(block_on(namespace.get_content(&name)).unwrap().bytes == value);
        }
    }
}

#[test]
fn a_lifetime_is_prolonged_and_never_cut() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let value = pattern(100_000, 1);
    let put_for = |lifetime| {
        let options = PutOptions { lifetime, ..PutOptions::default() };
        block_on(namespace.put_content(&value, &options)).unwrap()
    };
    let minute = Lifetime::For(Duration::from_mins(1));
    let name = put_for(minute);
    let blobs = ground.blob_ids();
    ground.clock.forward(Duration::from_secs(30));
    put_for(minute);
    assert_eq!(version(&namespace, &name), 2);
    put_for(Lifetime::For(Duration::from_secs(1)));
    assert_eq!(version(&namespace, &name), 2);
    ground.clock.forward(Duration::from_secs(59));
    assert!(block_on(namespace.get_content(&name)).unwrap().bytes == value);
    put_for(Lifetime::Unlimited);
    put_for(minute);
    ground.clock.forward(Duration::from_hours(1));
    assert!(block_on(namespace.get_content(&name)).unwrap().bytes == value);
    assert_eq!(ground.blob_ids(), blobs, "the value was written once");
}

#[test]
fn what_is_sensitive_is_not_left_readable() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let settings = NamespaceSettings { mode: bulla_store::Mode::Authenticated, ..NamespaceSettings::default() };
    block_on(namespace.set_settings(&settings)).unwrap();
    for len in [100, 100_000] {
        let value = pattern(len, 1);
        let name = put(&namespace, &value);
        let sensitive = PutOptions { sensitive: true, ..PutOptions::default() };
        assert_eq!(block_on(namespace.put_content(&value, &sensitive)).unwrap(), name);
        assert!(block_on(namespace.stat(name.entry().as_bytes(), &GetOptions::default())).unwrap().sensitive);
        // Who puts it without a word later does not undo that.
        put(&namespace, &value);
        assert!(block_on(namespace.stat(name.entry().as_bytes(), &GetOptions::default())).unwrap().sensitive);
    }
}

#[test]
fn a_rotated_index_key_gives_new_names_and_keeps_the_old() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    let value = pattern(100, 1);
    let before = put(&namespace, &value);
    let index = bulla_keyring::SystemKey::index(&"a".parse().unwrap()).unwrap();
    block_on(ground.keyring.rotate_system_key(&index)).unwrap();
    let after = put(&namespace, &value);
    assert_ne!(before, after);
    for name in [before, after] {
        assert!(block_on(namespace.get_content(&name)).unwrap().bytes == value);
    }
}

#[test]
fn a_reader_of_content_has_checked_all_of_it() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for len in LENGTHS {
        let value = pattern(len, 5);
        let name = put(&namespace, &value);
        let mut reader = block_on(namespace.content_reader(&name)).unwrap();
        let mut whole = Vec::new();
        while let Some(piece) = block_on(reader.read_chunk()).unwrap() {
            whole.extend_from_slice(piece);
        }
        assert!(whole == value);
    }
}
