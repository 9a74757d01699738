//! The sweep of what has expired: all of it, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use bulla_backend::{Documents, Expected, Filed, Filing, Timestamp, Write};
use bulla_store::{Budget, Lifetime};
use pollster::block_on;

use crate::ground::{ENTRIES, Ground, names, pattern, read, write};
use crate::limits::{BRIEF, all, on_json, put, usage};
use crate::watched::Watched;

#[test]
fn the_sweep_takes_what_has_expired_with_its_blobs_and_nothing_else() {
    for ground in [Ground::new(), Ground::in_folder()] {
        for namespace in ["a", "b/c"].map(|name| ground.namespace(name)) {
            for number in 0..100_u8 {
                let lifetime = if number % 4 == 0 { Lifetime::Unlimited } else { BRIEF };
                let len = if number % 10 == 1 { 70_000 } else { 50 };
                put(&namespace, &[number], &pattern(len, number), lifetime).unwrap();
            }
        }
        let [a, b] = ["a", "b/c"].map(|name| ground.namespace(name));
        assert_eq!(block_on(ground.store.expire_due(&Budget::UNLIMITED)).unwrap().expired, 0);
        ground.clock.forward(Duration::from_mins(2));
        assert_eq!(block_on(a.expire_due(&Budget::UNLIMITED)).unwrap().expired, 75);
        assert_eq!((usage(&a).documents, usage(&b).documents), (25, 100));
        let mut calls = 0;
        let mut expired = 0;
        loop {
            let counts = block_on(ground.store.expire_due(&Budget { entries: 10, ..Budget::UNLIMITED })).unwrap();
            (calls, expired) = (calls + 1, expired + counts.expired);
            assert!(counts.expired <= 10);
            if counts.finished {
                break;
            }
        }
        assert_eq!((expired, usage(&b).documents), (75, 25));
        assert!(calls >= 8);
        for number in (0..100_u8).step_by(4) {
            assert!(read(&a, &[number]).is_ok() && read(&b, &[number]).is_ok());
        }
        assert!(ground.blob_ids().is_empty(), "each tenth and one is odd, and had expired");
        let (counts, findings) = ground.check();
        assert!(counts.is_clean() && counts.ok == 50, "{findings:?}");
    }
}

#[test]
fn where_nothing_is_filed_the_sweep_reads_all_and_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let ground = on_json(folder.path());
    let namespace = ground.namespace("a");
    for number in 0..30_u8 {
        let lifetime = if number % 3 == 0 { Lifetime::Unlimited } else { BRIEF };
        put(&namespace, &[number], b"v", lifetime).unwrap();
    }
    ground.clock.forward(Duration::from_mins(2));
    let mut expired = Vec::new();
    loop {
        let counts = block_on(namespace.expire_due(&Budget { entries: 10, ..Budget::UNLIMITED })).unwrap();
        expired.push(counts.expired);
        if counts.finished {
            break;
        }
    }
    assert_eq!(expired.iter().sum::<u64>(), 20);
    assert!(expired.iter().all(|expired| *expired <= 10), "{expired:?}");
    assert_eq!(names(&namespace, b"", 0).len(), 10);
}

/// Files an entry otherwise than its writer did, as only the storage could.
fn misfile(ground: &Ground, namespace: &str, name: &[u8], due: Option<Timestamp>) {
    let document = ground.document(namespace, name);
    let filing = Filing { group_len: namespace.len() + 1, due, ..Filing::default() };
    let expected = Expected::Revision(document.revision);
    let write = Write::PutFiled { collection: ENTRIES, key: document.key, value: document.value, expected, filing };
    block_on(ground.documents.commit(&[write])).unwrap();
}

fn filed(ground: &Ground, moment: Timestamp) -> Vec<Filed> {
    block_on(ground.documents.due(ENTRIES, None, moment, None, 100)).unwrap()
}

#[test]
fn the_sweep_believes_entries_and_not_their_filing() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    put(&namespace, b"for ever", b"v", Lifetime::Unlimited).unwrap();
    put(&namespace, b"brief", b"v", BRIEF).unwrap();
    put(&namespace, b"large", &pattern(70_000, 1), BRIEF).unwrap();
    write(&namespace, b"damaged", b"v");
    let mut damaged = ground.document("a", b"damaged").value;
    *damaged.last_mut().unwrap() ^= 1;
    ground.plant("a", b"damaged", &damaged);
    for name in [&b"for ever"[..], b"brief", b"large", b"damaged"] {
        misfile(&ground, "a", name, Some(Timestamp(1)));
    }
    let counts = block_on(ground.store.expire_due(&Budget::UNLIMITED)).unwrap();
    assert_eq!((counts.expired, counts.misfiled, counts.refused, counts.finished), (0, 3, 1, true));
    assert_eq!(read(&namespace, b"for ever").unwrap(), b"v");
    assert_eq!(read(&namespace, b"large").unwrap(), pattern(70_000, 1));
    let again = block_on(ground.store.expire_due(&Budget::UNLIMITED)).unwrap();
    assert_eq!((again.expired, again.misfiled, again.refused), (0, 0, 1), "they were filed as they are");
    assert_eq!(ground.document("a", b"damaged").value, damaged);
    // The true moments are filed again.
    ground.clock.forward(Duration::from_mins(2));
    let counts = block_on(ground.store.expire_due(&Budget::UNLIMITED)).unwrap();
    assert_eq!((counts.expired, counts.misfiled), (2, 0));
    assert!(ground.blob_ids().is_empty());
    assert_eq!(filed(&ground, Timestamp(u64::MAX)).len(), 1, "what does not open is as it was");
}

#[test]
fn entries_that_do_not_open_hide_none_that_have_expired() {
    let ground = Ground::new();
    let namespace = ground.namespace("a");
    for number in 0..200_u8 {
        write(&namespace, &[number], b"v");
        ground.plant("a", &[number], b"damaged");
        misfile(&ground, "a", &[number], Some(Timestamp(1)));
    }
    put(&namespace, b"expired", b"v", BRIEF).unwrap();
    ground.clock.forward(Duration::from_mins(2));
    let counts = block_on(namespace.expire_due(&Budget::UNLIMITED)).unwrap();
    assert_eq!((counts.expired, counts.refused, counts.finished), (1, 200, true));
}

#[test]
fn an_entry_that_is_renewed_between_look_and_deletion_stays() {
    let ground = Ground::new();
    let watched = Watched::new(&ground.documents);
    let store = ground.over(Arc::clone(&watched) as Arc<dyn Documents>, Arc::clone(&ground.blobs));
    let namespace = ground.namespace("a");
    for name in [&b"renewed"[..], b"expired"] {
        put(&namespace, name, &pattern(70_000, 1), BRIEF).unwrap();
    }
    ground.clock.forward(Duration::from_mins(2));
    let other = namespace.clone();
    watched.before_delete(move || {
        put(&other, b"renewed", &pattern(80_000, 2), Lifetime::Unlimited).unwrap();
    });
    let counts = block_on(store.expire_due(&Budget::UNLIMITED)).unwrap();
    assert_eq!(counts.expired, 1);
    assert_eq!(read(&namespace, b"renewed").unwrap(), pattern(80_000, 2));
    assert_eq!(all(&namespace), ["renewed"]);
    let (counts, findings) = ground.check();
    assert!(counts.is_clean() && counts.ok == 1, "{findings:?}");
}
