//! `check` finds whatever is wrong, all of it, and nothing else.

use std::time::Duration;

use bulla_backend::BlobId;
use bulla_store::{Lifetime, PutOptions, WalkEvent};
use pollster::block_on;

use crate::ground::{Ground, pattern, write};

#[test]
fn everything_wrong_is_named_and_hides_nothing() {
    let ground = Ground::new();
    for namespace in ["a", "b/c"] {
        let handle = ground.namespace(namespace);
        for n in 0..20 {
            write(&handle, format!("small-{n}").as_bytes(), &pattern(n, 1));
            write(&handle, format!("large-{n}").as_bytes(), &pattern(70_000 + n, 1));
        }
        let options = PutOptions { lifetime: Lifetime::For(Duration::from_secs(1)), ..PutOptions::default() };
        block_on(handle.put(b"brief", b"v", &options)).unwrap();
    }
    ground.clock.forward(Duration::from_secs(1));
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && findings.is_empty(), "{findings:?}");
    assert_eq!((counts.ok, counts.expired), (82, 2));

    // A flipped bit, a moved entry, a missing blob, a damaged one, an orphan, a strange key.
    let mut document = ground.document("a", b"small-3").value;
    document[80] ^= 1;
    ground.plant("a", b"small-3", &document);
    let moved = ground.document("a", b"small-4").value;
    ground.plant("a", b"zz", &moved);
    let missing = ground.entry("b/c", b"large-7").blob.unwrap().id;
    block_on(ground.blobs.delete(&missing)).unwrap();
    let damaged = ground.entry("b/c", b"large-8").blob.unwrap().id;
    let mut bytes = ground.blob(&damaged);
    bytes[1_000] ^= 1;
    ground.plant_blob(&damaged, &bytes);
    let orphan = BlobId([0x5a; 32]);
    ground.plant_blob(&orphan, b"nobody's");
    ground.plant("no..namespace", b"x", b"?");

    let (counts, findings) = ground.check();
    let mut named: Vec<_> = findings.iter().map(|finding| (finding.code(), finding.to_string())).collect();
    named.sort_unstable();
    let expected = [
        ("bad_key", "no..namespace\\x00x"),
        ("cannot_open", "`zz` in namespace `a`"),
        ("damaged", "`small-3` in namespace `a`"),
        ("damaged", "`large-8` in namespace `b/c`"),
        ("missing_blob", "`large-7` in namespace `b/c`"),
        ("orphan_blob", "5a5a5a5a"),
    ];
    assert_eq!(named.len(), expected.len(), "{named:?}");
    for ((code, message), (expected_code, part)) in named.iter().zip(expected) {
        assert_eq!(*code, expected_code, "{message}");
        assert!(message.contains(part), "{message}");
    }
    assert_eq!((counts.ok, counts.expired, counts.damaged), (79, 2, 5));
    assert_eq!((counts.missing_blobs, counts.orphan_blobs), (1, 1));
    assert!(!counts.is_clean());
}

#[test]
fn a_blob_whose_entry_does_not_open_is_reported_and_stays() {
    let ground = Ground::new();
    write(&ground.namespace("a"), b"n", &pattern(100_000, 1));
    let document = ground.document("a", b"n").value;
    let mut flipped = document.clone();
    flipped[100] ^= 1;
    ground.plant("a", b"n", &flipped);
    let (counts, _) = ground.check();
    assert_eq!((counts.damaged, counts.orphan_blobs), (1, 1));
    ground.plant("a", b"n", &document);
    assert!(ground.check().0.is_clean(), "mended from a backup, it is whole again");
}

#[test]
fn progress_is_told_and_does_not_run_ahead() {
    let ground = Ground::new();
    for n in 0_u32..2_500 {
        write(&ground.namespace("a"), &n.to_be_bytes(), b"v");
    }
    let mut seen = Vec::new();
    let counts = block_on(ground.store.check(&mut |event| {
        if let WalkEvent::Progress(counts) = event {
            seen.push(counts.ok);
        }
    }));
    assert_eq!(counts.unwrap().ok, 2_500);
    assert!(seen.len() >= 3 && seen.is_sorted() && seen.last() == Some(&2_500), "{seen:?}");
}

#[test]
fn an_empty_store_is_clean() {
    let (counts, findings) = Ground::new().check();
    assert!(counts.is_clean() && findings.is_empty());
    assert_eq!(counts.ok, 0);
}
